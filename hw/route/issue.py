# SPDX-License-Identifier: Apache-2.0
"""What stands between the left operand and the lanes: one interface, one unit for digits, one for native int8."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.compute.multiplier import recode
from hw.config import TILE, Lane, MachineConfig
from hw.payloads import k_shape, native_layout, op_layout, segments_layout


class IssueUnit(Component):
    """Turn the left stream of successive tiles into one op a cycle.

    Parameters
    ----------
    config : MachineConfig
        Uses lane, depth, slots, residues, queue_depth, allocation.

    Members
    -------
    left : In(stream of segments, or of native beats)
        Left operands, panel after panel.
    here, here_next : In(1)
        The job of the tile that is being issued, of the tile after it, is here.
    go, go_next : In(1)
        And its right slot is full.
    threshold, threshold_next : In
        Their thresholds.
    slot : In(1)
        Right slot of the tile that is being issued.
    advance : In(1)
        The op is taken.
    op : Out(op)
        This cycle's op; `last` closes the tile.
    """

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        left = segments_layout(config) if config.lane is Lane.DIGIT else native_layout(config)
        super().__init__({
            "left": In(stream.Signature(left)), "here": In(1), "here_next": In(1), "go": In(1), "go_next": In(1),
            "threshold": In(range(TILE + 1)), "threshold_next": In(range(TILE + 1)),
            "slot": In(1), "advance": In(1), "op": Out(op_layout(config))})


class SegmentIssue(IssueUnit):
    """What the units for digits share: segments wait in a queue or pool for each residue of k.

    Segments of the next tile may wait beside those of the tile being issued; a parity bit tells them apart.
    """

    def _accept(self, m: Module, waiting, parity, ends, closing) -> None:
        """Beats of this tile or the next one enter while everywhere is room for a whole beat.

        waiting : list of components with write, write_parity, incoming, ready; ends : panels wholly received but not
        wholly issued; closing : the op ends its tile.
        """
        each = self._config.slots_per_residue
        accept, known = Signal(), Signal()
        m.d.comb += [known.eq(Mux(ends == 0, self.here, self.here_next & (ends == 1))),
                     self.left.ready.eq(known & Cat(place.ready for place in waiting).all()),
                     accept.eq(self.left.valid & self.left.ready)]
        m.d.sync += ends.eq(ends + (accept & self.left.p.last) - (closing & self.advance))
        for n, place in enumerate(waiting):
            m.d.comb += [place.write.eq(accept), place.write_parity.eq(parity ^ ends[0])]
            m.d.comb += [place.incoming[i].eq(self.left.p.slot[n * each + i]) for i in range(each)]


class NativeIssue(IssueUnit):
    """Issue `depth` columns of int8 a cycle: the dense baseline has nothing to skip or to choose.

    Latency: 0 cycles (combinational). Throughput: a beat a cycle. Numerics: values pass unchanged.
    """

    latency = 0

    def elaborate(self, platform):
        m = Module()
        depth = self._config.depth
        started, k, valid = Signal(), Signal(k_shape(self._config)), Signal()
        below = exact_log2(depth)
        m.d.comb += [self.left.ready.eq(self.go & self.advance), valid.eq(self.go & self.left.valid),
                     self.op.valid.eq(valid),
                     self.op.first.eq(~started), self.op.last.eq(self.left.p.last), self.op.slot.eq(self.slot)]
        m.d.comb += [self.op.segments.eq(depth), self.op.digits.eq(depth * TILE)]
        for j in range(depth):
            m.d.comb += self.op.k[j].eq(k[below:])
            m.d.comb += [self.op.dense[j].left[r].eq(
                Mux(valid, recode(Cat(C(0, 1), self.left.p.value[j][r])), 0)) for r in range(TILE)]
        with m.If(self.left.valid & self.left.ready):
            m.d.sync += [started.eq(~self.left.p.last), k.eq(Mux(self.left.p.last, 0, k + depth))]
        return m
