# SPDX-License-Identifier: Apache-2.0
import random

from amaranth.sim import Simulator

from hw.config import load_config
from hw.control.counters import COUNTERS, Counters


def test_each_counter_counts_its_events_after_the_stated_latency():
    dut, draw = Counters(load_config("tiny").replace(depth=2)), random.Random(1)
    want, late = dict.fromkeys(COUNTERS, 0), []

    async def bench(ctx):
        for cycle in range(200):
            event = {"op_taken": draw.randint(0, 1), "segments": draw.randint(0, 2), "digits": draw.randint(0, 9),
                     "sparse": draw.randint(0, 1), "last": draw.randint(0, 1),
                     **{f"wait_{name}": draw.randint(0, 1) for name in ("left", "job", "init", "result")}}
            for name, value in event.items():
                ctx.set(getattr(dut, name), value)
            taken = event["op_taken"]
            late.append({
                "ops": taken, "dense_issues": taken * event["segments"],
                "sparse_issues": taken & event["sparse"],
                "digits": taken * event["digits"], "tiles": taken & event["last"],
                **{name: value for name, value in event.items() if name.startswith("wait_")}})
            await ctx.tick()
            if len(late) == Counters.latency:
                for name, value in late.pop(0).items():
                    want[name] += value
            want["cycles"] = cycle + 1           # reset to now
            got = ctx.get(dut.values)
            assert {name: got[name] for name in COUNTERS} == want

        ctx.set(dut.clear, 1)
        await ctx.tick()
        assert all(ctx.get(dut.values)[name] == 0 for name in COUNTERS)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
