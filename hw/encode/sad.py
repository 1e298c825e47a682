# SPDX-License-Identifier: Apache-2.0
"""SAD encoding unit: the nearest I-frame token of a token, and whether it is near enough to be copied."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import MachineConfig
from hw.encode.magnitude import Magnitude

#: Largest difference of two int8 values.
MAGNITUDE_MAX = 255


class SadUnit(Component):
    """Minimum sum of absolute differences of a token over candidates (CMC, inter-matrix prediction).

    A beat is one pass: `sad_lanes` elements of the token and of one candidate, through magnitude lanes
    and an adder tree. A wider token takes more passes, whose sums are accumulated until `last_pass`;
    lanes from `count` on are padded with zeros. Candidates follow one another until `last_candidate`. The
    result is the smallest sum, the lowest index that has it, and `informative`: no candidate's sum is
    below the threshold, so that the token must be computed, not copied. Operands stay in memory, the
    token is sent with each candidate.

    Parameters
    ----------
    config : MachineConfig
        Uses sad_lanes.
    dimension_max : int
        Longest token, elements, at least 1.
    candidates_max : int
        Most candidates of a token, at least 2.

    Members
    -------
    beats : In(stream of beats)
        `token`, `candidate` (sad_lanes x int8), `count` (valid lanes, from 0), `last_pass`; in a candidate's
        last pass also `last_candidate` and `threshold`, the same for all candidates of a token: 0 makes every
        token informative, 255 * dimension_max + 1 none.
    result : Out(stream of results)
        `minimum`, `index`, `informative`: one beat a token.

    Latency: log2(sad_lanes) + 3 cycles from a token's last beat to its result. Throughput: one beat a cycle,
    tokens back to back; all stages wait while a result is refused. Numerics: exact; a sum is at most
    255 * dimension_max.
    """

    def __init__(self, config: MachineConfig, *, dimension_max: int = 4096,
                 candidates_max: int = 1024) -> None:
        if dimension_max < 1:
            raise ValueError(f"dimension_max is {dimension_max}, must be at least 1")
        if candidates_max < 2:
            raise ValueError(f"candidates_max is {candidates_max}, must be at least 2")
        self._lanes = config.sad_lanes
        self._index = range(candidates_max)
        self._sum = range(MAGNITUDE_MAX * dimension_max + 1)
        lanes = data.ArrayLayout(signed(8), self._lanes)
        flags = {"last_pass": 1, "last_candidate": 1, "threshold": range(MAGNITUDE_MAX * dimension_max + 2)}
        self._control = data.StructLayout({"valid": 1, **flags})
        super().__init__({
            "beats": In(stream.Signature(data.StructLayout({
                "token": lanes, "candidate": lanes, "count": range(self._lanes + 1), **flags}))),
            "result": Out(stream.Signature(data.StructLayout({
                "minimum": self._sum, "index": self._index, "informative": 1})))})

    @property
    def latency(self) -> int:
        """Cycles from a token's last beat accepted to its result offered."""
        return exact_log2(self._lanes) + 3

    def elaborate(self, platform):
        m = Module()
        advance, arriving = Signal(), Signal(self._control)
        beat = self.beats.p
        m.d.comb += [advance.eq(~self.result.valid | self.result.ready), self.beats.ready.eq(advance),
                     arriving.valid.eq(self.beats.valid), arriving.last_pass.eq(beat.last_pass),
                     arriving.last_candidate.eq(beat.last_candidate), arriving.threshold.eq(beat.threshold)]
        magnitudes = self._magnitudes(m)
        with m.If(advance):
            control, total = self._tree(m, arriving, magnitudes)
            control, sad = self._accumulate(m, control, total)
            self._minimum(m, control, sad)
        return m

    def _magnitudes(self, m: Module) -> list:
        """|token - candidate| of every lane, zero where padded."""
        magnitudes = []
        for i in range(self._lanes):
            m.submodules[f"magnitude_{i}"] = lane = Magnitude()
            m.d.comb += [lane.current.eq(self.beats.p.token[i]), lane.reference.eq(self.beats.p.candidate[i])]
            magnitudes.append(Mux(i < self.beats.p.count, lane.magnitude, 0))
        return magnitudes

    def _tree(self, m: Module, control, terms: list):
        """A stage that holds the magnitudes, then one for each level of sums of pairs."""
        for level in range(exact_log2(self._lanes) + 1):
            sums = [Signal(unsigned(8 + level), name=f"sum_{level}_{i}") for i in range(len(terms))]
            m.d.sync += [total.eq(term) for total, term in zip(sums, terms, strict=True)]
            control = self._stage(m, control, f"control_{level}")
            terms = [a + b for a, b in zip(sums[::2], sums[1::2], strict=False)]
        return control, sums[0]

    def _stage(self, m: Module, control, name: str):
        register = Signal(self._control, name=name)
        m.d.sync += register.eq(control)
        return register

    def _accumulate(self, m: Module, control, total):
        """Partial sums over the passes of a candidate."""
        sad, fresh = Signal(self._sum), Signal(init=1)
        with m.If(control.valid):
            m.d.sync += [sad.eq(Mux(fresh, 0, sad) + total), fresh.eq(control.last_pass)]
        return self._stage(m, control, "control_sad"), sad

    def _minimum(self, m: Module, control, sad) -> None:
        """Running minimum over a token's candidates; informative while none of them is near."""
        result, fresh, position = self.result.p, Signal(init=1), Signal(self._index)
        ended = control.valid & control.last_pass
        m.d.sync += self.result.valid.eq(ended & control.last_candidate)
        with m.If(ended):
            with m.If(fresh | (sad < result.minimum)):
                m.d.sync += [result.minimum.eq(sad), result.index.eq(position)]
            m.d.sync += [result.informative.eq((fresh | result.informative) & (sad >= control.threshold)),
                         fresh.eq(control.last_candidate),
                         position.eq(Mux(control.last_candidate, 0, position + 1))]
