# SPDX-License-Identifier: Apache-2.0
"""Performance counters of a PEG: the evaluation reads these, so a test holds each against the law."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from hw.config import MachineConfig
from hw.payloads import op_layout

#: Counter name -> what it counts.
COUNTERS: dict[str, str] = {
    "cycles": "cycles since clear",
    "ops": "cycles in which an op was issued",
    "dense_issues": "dense segments (native: columns) issued, under merge finished",
    "sparse_issues": "digits issued to the sparse lane",
    "digits": "digits (native: values) issued, both lanes",
    "tiles": "tiles closed",
    "wait_left": "lanes ready, job and right operand here, no segment",
    "wait_job": "no job, or its right slot is not full",
    "wait_init": "lanes held for an init",
    "wait_result": "lanes held for a result that drains or is not taken",
}

#: Width of every counter; wraps.
COUNTER_BITS = 32

CounterValues = data.StructLayout({name: COUNTER_BITS for name in COUNTERS})


class Counters(Component):
    """Count events of a PEG.

    Parameters
    ----------
    config : MachineConfig
        Uses depth, residues.

    Members
    -------
    clear : In(1)
        All counters to zero (wins over counting).
    op_taken : In(1), segments, digits : In, sparse : In(1), last : In(1)
        The op issued in this cycle; as in the op.
    wait_left, wait_job, wait_init, wait_result : In(1)
        Why none was.
    values : Out(CounterValues)

    Latency: 2 cycles (events are summed first, then counted). Throughput: every event of every cycle.
    Numerics: modulo 2^32.
    """

    latency = 2

    def __init__(self, config: MachineConfig) -> None:
        super().__init__({
            "clear": In(1), "op_taken": In(1), "segments": In(op_layout(config)["segments"].shape),
            "digits": In(op_layout(config)["digits"].shape), "sparse": In(1), "last": In(1), "wait_left": In(1),
            "wait_job": In(1), "wait_init": In(1), "wait_result": In(1), "values": Out(CounterValues)})

    def elaborate(self, platform):
        m = Module()
        taken = self.op_taken
        increments = {
            "cycles": 1, "ops": taken, "dense_issues": Mux(taken, self.segments, 0),
            "sparse_issues": taken & self.sparse, "digits": Mux(taken, self.digits, 0),
            "tiles": taken & self.last, "wait_left": self.wait_left, "wait_job": self.wait_job,
            "wait_init": self.wait_init, "wait_result": self.wait_result}
        for name, amount in increments.items():
            # `cycles` counts from the first cycle after reset, so its register must not begin at 0.
            increment = Signal(Value.cast(amount).shape(), name=f"{name}_increment", init=int(name == "cycles"))
            m.d.sync += increment.eq(amount)
            with m.If(self.clear):
                m.d.sync += self.values[name].eq(0)
            with m.Else():
                m.d.sync += self.values[name].eq(self.values[name] + increment)
        return m
