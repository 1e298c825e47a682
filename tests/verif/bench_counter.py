# SPDX-License-Identifier: Apache-2.0
"""Bench of `test_simulator.Counter`."""

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer

from verif.simulator import bench_parameters


@cocotb.test()
async def counts(dut):
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    dut.rst.value = 0
    dut.on.value = 1
    for _ in range(20):
        await RisingEdge(dut.clk)
    await Timer(1, "ns")
    assert int(dut.count.value) == bench_parameters()["want"], "counted something else"


@cocotb.test()
async def waits_for_ever(dut):
    if bench_parameters().get("hang"):
        while True:
            pass
