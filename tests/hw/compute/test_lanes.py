# SPDX-License-Identifier: Apache-2.0
"""DPU, SPU and merge, step by step; longer runs are in the PEG's tests and the CCPE's bench."""

import random

import pytest
from amaranth.sim import Simulator

from hw.compute.dpu import DPU
from hw.compute.spu import SPU
from hw.config import load_config
from hw.numerics import wrap
from hw.payloads import Base
from hw.recover.merge import Merge
from verif.digits import factor_of


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


VARIANTS = {"plain": {}, "shared": {"allocation": "balance", "sparse_sum": "shared"},
            "merge": {"allocation": "merge", "buses": 2}}


def variant(name, depth, **changes):
    config = {"depth": depth, "scan": 8, "slots": 8, "queue_depth": 16, "k_max": 64, **VARIANTS[name], **changes}
    return load_config("tiny").replace(**{"allocation": "none", **config})


class DPUDriver:
    """Random factors for a DPU of any variant, and what they add."""

    def __init__(self, dut, config, draw):
        self.dut, self.config, self.draw = dut, config, draw
        self.merges = config.allocation.value == "merge"
        self.buses = config.buses if self.merges else 1

    def drive(self, ctx):
        """Returns the sum of products at the inputs."""
        dut, draw, depth = self.dut, self.draw, self.config.depth
        left = [draw.choice((-8, 8, draw.randint(-8, 8))) for _ in range(depth)]
        right = [[draw.choice((-128, 127, draw.randint(-128, 127))) for _ in range(self.buses)] for _ in range(depth)]
        select = [draw.randrange(self.buses) for _ in range(depth)]
        plane = draw.getrandbits(1) * ((1 << depth) - 1) if self.merges else draw.getrandbits(depth)
        ctx.set(dut.left, [factor_of(digit, 2) for digit in left])
        ctx.set(dut.right, right)
        ctx.set(dut.plane, plane & 1 if self.merges else plane)
        if self.merges:
            ctx.set(dut.select, [1 << bus for bus in select])
        total = sum(a * row[bus] * 16 ** (plane >> j & 1)
                    for j, (a, row, bus) in enumerate(zip(left, right, select, strict=True)))
        if self.config.sparse_lanes and not self.config.own_sparse_sum:
            sparse = draw.choice((0, -16384, 16384, draw.randint(-999, 999)))
            ctx.set(dut.sparse, sparse)
            total += sparse
        return total


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("drain", ["inplace", "shadow"])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_dpu_adds_what_entered_two_cycles_ago_and_wraps(depth, drain, name):
    config = variant(name, depth, drain=drain)
    dut, draw, total, product = DPU(config), random.Random(depth), 0, 0
    driver = DPUDriver(dut, config, draw)

    async def bench(ctx):
        nonlocal total, product
        for _ in range(200):
            advance = draw.random() < 0.8
            entering = driver.drive(ctx)
            ctx.set(dut.advance, advance)
            await ctx.tick()
            if advance:
                total, product = wrap(total + product, config.acc_bits), entering
            assert ctx.get(dut.acc) == total

    simulate(dut, bench)


def test_dpu_with_a_sparse_lane_only():
    dut = DPU(load_config("tiny").replace(allocation="sparse", sparse_sum="shared", queue_depth=8))
    assert not hasattr(dut, "left")

    async def bench(ctx):
        ctx.set(dut.advance, 1)
        for sparse, want in ((16384, 0), (-5, 16384), (0, 16379), (0, 16379)):
            ctx.set(dut.sparse, sparse)
            await ctx.tick()
            assert ctx.get(dut.acc) == want

    simulate(dut, bench)


def test_dpu_starts_from_zero_or_from_the_shadow():
    dut = DPU(load_config("tiny"))

    async def bench(ctx):
        for base, want in ((Base.ACC, 6), (Base.ACC, 12), (Base.ZERO, 6), (Base.SHADOW, -94), (Base.ACC, -88)):
            ctx.set(dut.shadow, -100)
            ctx.set(dut.left, [factor_of(2, 2)])
            ctx.set(dut.right, [[3]])
            ctx.set(dut.base, base)
            ctx.set(dut.advance, 1)
            if want == 6 and base is Base.ACC:
                await ctx.tick()              # the first product
            await ctx.tick()
            assert ctx.get(dut.acc) == want

    simulate(dut, bench)


def test_dpu_in_place_takes_its_neighbour():
    dut = DPU(load_config("tiny").replace(drain="inplace"))

    async def bench(ctx):
        ctx.set(dut.neighbour, -1234)
        ctx.set(dut.shift, 1)
        await ctx.tick()
        assert ctx.get(dut.acc) == -1234

    simulate(dut, bench)


def test_spu_adds_into_the_row_and_clears_the_others():
    dut = SPU(load_config("tiny"))

    async def bench(ctx):
        ctx.set(dut.advance, 1)
        want = [0, 0, 0, 0]
        pending = (0, 0)
        for n, (digit, plane, row, right) in enumerate([(8, 1, 0, -128), (-8, 0, 3, 127), (1, 0, 0, 5),
                                                        (0, 0, 0, 9), (-7, 1, 2, -128), (3, 0, 1, 4), (0, 0, 1, 0)]):
            ctx.set(dut.left, factor_of(digit, 2))
            ctx.set(dut.plane, plane)
            ctx.set(dut.row, row)
            ctx.set(dut.right, right)
            ctx.set(dut.clear, n == 5)
            await ctx.tick()
            want = [0, 0, 0, 0] if n == 5 else want
            want[pending[0]] += pending[1]
            pending = row, digit * right * 16 ** plane
            assert [ctx.get(dut.acc[r]) for r in range(4)] == want

    simulate(dut, bench)


@pytest.mark.parametrize("drain, allocation, sparse_sum", [
    ("inplace", "balance", "own"), ("shadow", "threshold", "own"), ("shadow", "none", "own"),
    ("shadow", "balance", "shared"), ("inplace", "merge", "own")])
def test_merge_adds_both_lanes_modulo_the_accumulator(drain, allocation, sparse_sum):
    config = load_config("tiny").replace(drain=drain, allocation=allocation, sparse_sum=sparse_sum, queue_depth=8)
    dut, draw, half = Merge(config), random.Random(1), 1 << config.acc_bits - 1
    assert dut.rows == (4 if drain == "shadow" else 1)

    async def bench(ctx):
        for _ in range(20):
            dense, sparse = ([[draw.choice((-half, half - 1, draw.randint(-half, half - 1))) for _ in range(4)]
                              for _ in range(4)] for _ in range(2))
            ctx.set(dut.dense, dense)
            ctx.set(dut.sparse, sparse)
            await ctx.delay(1e-9)
            for r in range(dut.rows):
                for c in range(4):
                    both = dense[r][c] + (sparse[r][c] if config.own_sparse_sum else 0)
                    assert ctx.get(dut.merged[r][c]) == wrap(both, config.acc_bits)

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
