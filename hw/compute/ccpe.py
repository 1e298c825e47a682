# SPDX-License-Identifier: Apache-2.0
"""Column-concentrate processing element: a 4x4 block of the result, its dense and sparse lanes, merge and drain."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.compute.dpu import DPU
from hw.compute.multiplier import Multiplier, in_plane
from hw.compute.spu import SPU
from hw.config import TILE, Drain, Lane, MachineConfig
from hw.payloads import Command, Fill, Shift, factor_layout
from hw.recover.merge import Merge
from hw.recover.shadow import Shadow


class CCPE(Component):
    """Hold a 4x4 block of the result and walk K (ViDA, column-concentrate PE).

    All CCPEs of a PEG get the same digits and the same command, and four columns each of the right operand. The
    dense lane forms outer products of four digits with four right values; under `merge` each element takes its right
    value from one of several rows. The sparse lane multiplies one digit by four right values into its own
    accumulators, which `Merge` adds as both leave, or into those of the addressed row.

    Parameters
    ----------
    config : MachineConfig
        Uses lane, depth, allocation, buses, sparse_sum, drain, acc_bits.

    Members
    -------
    dense_left : In(array of 4 rows x depth x factor), dense_right : In(array of right_reads x 4 signed(8))
        Dense issue of this cycle.
    dense_plane : In(depth, or 1 under merge), dense_select : In(array of 4 rows x depth x buses)
        Plane of each multiplier's digits; under merge of all, and the bus of each multiplier, one-hot: bus i of
        multiplier j is row 2j + i, round the end.
    sparse_left, sparse_plane, sparse_row, sparse_right : In
        Sparse issue of this cycle; `sparse_right` is four signed(8).
    command : In(Command)
        From the drain control.
    init : In(array of 4 x signed(acc_bits))
        The row (column) that a shift brings in with `Fill.INIT`.
    result : Out(array of 4 x signed(acc_bits))
        Row 0 of the set that is drained.

    Members exist where the configuration uses them.
    Latency: 2 cycles from issue to accumulator (`latency`). Throughput: a dense and a sparse issue a cycle.
    Numerics: exact modulo 2^acc_bits.
    """

    latency = DPU.latency

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        row, depth = data.ArrayLayout(signed(config.acc_bits), TILE), config.dense_depth
        right, factor = data.ArrayLayout(signed(8), TILE), factor_layout(config)
        members = {"command": In(Command), "init": In(row), "result": Out(row)}
        if depth:
            members |= {"dense_left": In(data.ArrayLayout(data.ArrayLayout(factor, depth), TILE)),
                        "dense_right": In(data.ArrayLayout(right, config.right_reads))}
        if depth and config.lane is Lane.DIGIT:
            members |= {"dense_plane": In(1 if config.merges else depth)}
        if config.merges:
            members |= {"dense_select": In(data.ArrayLayout(data.ArrayLayout(config.buses, depth), TILE))}
        if config.sparse_lanes:
            members |= {"sparse_left": In(factor), "sparse_plane": In(1), "sparse_row": In(range(TILE)),
                        "sparse_right": In(right)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config, command = self._config, self.command
        dpu = [[DPU(config) for _ in range(TILE)] for _ in range(TILE)]
        m.submodules.merge = merge = Merge(config)
        for r in range(TILE):
            for c in range(TILE):
                m.submodules[f"dpu_{r}_{c}"] = element = dpu[r][c]
                m.d.comb += [element.advance.eq(command.advance), merge.dense[r][c].eq(element.acc)]
                self._dense_lane(m, element, r, c)
        if config.own_sparse_sum:
            self._sparse_lane(m, merge)
        elif config.sparse_lanes:
            self._shared_sparse_lane(m, dpu)

        if config.drain is Drain.SHADOW:
            m.submodules.shadow = shadow = Shadow(config)
            m.d.comb += [shadow.merged.eq(merge.merged), shadow.capture.eq(command.capture),
                         shadow.shift.eq(command.shift), shadow.init.eq(self.init), self.result.eq(shadow.stored[0])]
            m.d.comb += [[dpu[r][c].base.eq(command.base), dpu[r][c].shadow.eq(shadow.stored[r][c])]
                         for r in range(TILE) for c in range(TILE)]
        else:
            self._inplace_chain(m, dpu, merge.merged[0])
            m.d.comb += self.result.eq(merge.merged[0])
        return m

    def _dense_lane(self, m: Module, element: DPU, r: int, c: int) -> None:
        config = self._config
        if not config.dense_depth:
            return
        m.d.comb += element.left.eq(self.dense_left[r])
        if config.lane is Lane.DIGIT:
            m.d.comb += element.plane.eq(self.dense_plane)
        if config.merges:
            m.d.comb += element.select.eq(self.dense_select[r])
        for j in range(config.depth):
            rows = range(2 * j, 2 * j + config.buses) if config.merges else [j]
            m.d.comb += [element.right[j][bus].eq(self.dense_right[row % config.right_reads][c])
                         for bus, row in enumerate(rows)]

    def _shared_sparse_lane(self, m: Module, dpu: list[list[DPU]]) -> None:
        """One multiplier a column; its product joins the sum of the element in the addressed row."""
        for c in range(TILE):
            m.submodules[f"sparse_{c}"] = multiplier = Multiplier(factor_layout(self._config).length)
            product = Signal(signed(16), name=f"sparse_product_{c}")
            m.d.comb += [multiplier.left.eq(self.sparse_left), multiplier.right.eq(self.sparse_right[c]),
                         product.eq(in_plane(multiplier.product, self.sparse_plane))]
            m.d.comb += [dpu[r][c].sparse.eq(Mux(self.sparse_row == r, product, 0)) for r in range(TILE)]

    def _sparse_lane(self, m: Module, merge: Merge) -> None:
        command = self.command
        for c in range(TILE):
            m.submodules[f"spu_{c}"] = spu = SPU(self._config)
            m.d.comb += [spu.left.eq(self.sparse_left), spu.plane.eq(self.sparse_plane),
                         spu.row.eq(self.sparse_row), spu.right.eq(self.sparse_right[c]),
                         spu.advance.eq(command.advance), spu.clear.eq(command.clear_sparse)]
            if self._config.drain is Drain.INPLACE:
                m.d.comb += spu.shift.eq(command.shift != Shift.NONE)
            m.d.comb += [merge.sparse[r][c].eq(spu.acc[r]) for r in range(TILE)]

    def _inplace_chain(self, m: Module, dpu: list[list[DPU]], leaving) -> None:
        """Rows move up and leave at row 0, or columns move left: the accumulators are the shift register."""
        command = self.command
        for r in range(TILE):
            for c in range(TILE):
                up = dpu[r + 1][c].acc if r + 1 < TILE else self._entering(m, c, leaving[c])
                along = dpu[r][c + 1].acc if c + 1 < TILE else self.init[r]
                m.d.comb += [dpu[r][c].shift.eq(command.shift != Shift.NONE),
                             dpu[r][c].neighbour.eq(Mux(command.shift == Shift.COLUMNS, along, up))]

    def _entering(self, m: Module, column: int, leaving) -> Signal:
        fill = self.command.fill
        entering = Signal(signed(self._config.acc_bits), name=f"entering_{column}")
        m.d.comb += entering.eq(Mux(fill == Fill.ROTATE, leaving, Mux(fill == Fill.INIT, self.init[column], 0)))
        return entering
