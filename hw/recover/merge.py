# SPDX-License-Identifier: Apache-2.0
"""Merge unit: adds the sparse lane's accumulators to the dense lane's."""

from __future__ import annotations

from amaranth.hdl import Module, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.config import TILE, Drain, MachineConfig


class Merge(Component):
    """Add both partial sums of a tile as it leaves the lanes (ViDA, merge unit).

    In-place drain: one row leaves a cycle, so four adders serve the block (row 0). Shadow drain: the whole block is
    captured in one cycle, so there are sixteen. Without a sparse lane of own accumulators it is wires.

    Parameters
    ----------
    config : MachineConfig
        Uses allocation, sparse_sum, drain, acc_bits.

    Members
    -------
    dense, sparse : In(array of 4 x 4 x signed(acc_bits))
        Accumulators [row][column] of the two lanes.
    merged : Out(array of rows x 4 x signed(acc_bits))
        Their sum; `rows` is 1 for in-place drain, 4 for shadow drain.

    Latency: 0 cycles (combinational). Throughput: `rows` rows a cycle. Numerics: exact modulo 2^acc_bits.
    """

    latency = 0

    def __init__(self, config: MachineConfig) -> None:
        self._config = config
        self.rows = TILE if config.drain is Drain.SHADOW else 1
        row = data.ArrayLayout(signed(config.acc_bits), TILE)
        super().__init__({"dense": In(data.ArrayLayout(row, TILE)), "sparse": In(data.ArrayLayout(row, TILE)),
                          "merged": Out(data.ArrayLayout(row, self.rows))})

    def elaborate(self, platform):
        m = Module()
        for r in range(self.rows):
            for c in range(TILE):
                total = self.dense[r][c] + self.sparse[r][c] if self._config.own_sparse_sum else self.dense[r][c]
                m.d.comb += self.merged[r][c].eq(total)
        return m
