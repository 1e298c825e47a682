# SPDX-License-Identifier: Apache-2.0
"""Rules over several fields: decoder and law allow and refuse the same instructions."""

import random

import pytest
from amaranth.sim import Simulator

from hw.config import load_config
from hw.control.decode import Decoder
from hw.control.isa import FORMATS, Opcode, VectorOp, encode, instruction
from hw.control.rules import limits, refusal, rules, steps
from hw.payloads import Init
from model.exact.machine.executor import Executor
from model.exact.machine.store import Fault, ProgramError

TINY = load_config("tiny")
MACHINES = {"tiny": TINY, "one word": TINY.replace(ccpes=1), "wide scan": TINY.replace(ccpes=4, scan=8, queue_depth=8),
            "native": TINY.replace(lane="native", allocation="none", depth=4)}


def vector(op, **fields):
    return instruction(Opcode.VECTOR, op=VectorOp[op], **fields)


def matmul(**fields):
    return instruction(Opcode.MATMUL, **fields)


#: An instruction that is allowed, and a change of it that is not.
PAIRS = {
    "layernorm cols": (vector("LAYERNORM", cols=4096, epsilon=1), {"cols": 4097}),
    "layernorm epsilon": (vector("LAYERNORM", epsilon=1), {"epsilon": 0}),
    "softmax cols": (vector("SOFTMAX", cols=8192), {"cols": 8193}),
    "softmax sums": (vector("SOFTMAX", sums=1000, rows=24), {"rows": 25}),
    "normalise sums": (vector("NORMALISE", sums=1000, rows=24), {"sums": 1001}),
    "residual fraction": (vector("RESIDUAL", shift2=8), {"shift2": 9}),
    "snap threshold": (vector("SNAP", epsilon=255), {"epsilon": 256}),
    "x transposed": (vector("GELU", x_transposed=1, x_pitch=3), {"op": VectorOp.SNAP}),
    "x pitch": (vector("SOFTMAX", x_transposed=1, x_pitch=3), {"x_pitch": 4}),
    "right pitch": (matmul(right_transposed=1, right_pitch=3), {"right_pitch": 4}),
    "init pitch": (matmul(init=Init.TILE, init_transposed=1, init_pitch=5), {"init_pitch": 6}),
    "init transposed": (matmul(init=Init.TILE, init_transposed=1, init_pitch=5), {"init": Init.BIAS}),
    "hold rows": (matmul(init=Init.HOLD, rows=4, cols=8), {"rows": 5}),
    "hold cols": (matmul(init=Init.HOLD, rows=4, cols=8), {"cols": 9}),
    "dram": (instruction(Opcode.LOAD, dram=96), {"dram": 80}),
}


def legal(config, items):
    """What the decoder says of each."""
    dut, said = Decoder(config), []

    async def bench(ctx):
        for item in items:
            ctx.set(dut.code, int.from_bytes(encode(item), "little"))
            await ctx.delay(1e-9)
            said.append(bool(ctx.get(dut.legal)))

    simulator = Simulator(dut)
    simulator.add_testbench(bench)
    simulator.run()
    return said


@pytest.mark.parametrize("good, change", PAIRS.values(), ids=PAIRS)
def test_a_rule_allows_its_last_value_and_refuses_the_next(good, change):
    bad = good.replace(**change)
    assert legal(TINY, [good, bad]) == [True, False] and refusal(good, TINY) is None
    with pytest.raises(ProgramError, match="allowed") as caught:
        Executor(TINY, 1 << 10).run([bad])
    assert caught.value.kind is Fault.ILLEGAL


def draw_instruction(draw, config):
    """Fields at, or one beyond, an end of what is allowed."""
    opcode = draw.choice(list(FORMATS))
    edges = {rule.high or rule.low for rule in rules(config)}
    edges |= set(limits(config).values()) | set(steps(config).values())
    fields = {}
    for field in FORMATS[opcode][1:]:
        if field.kind:
            fields[field.name] = draw.choice(field.members)
        elif draw.random() < 0.3:
            value = draw.choice([field.low, *edges]) + draw.randint(-1, 1)
            fields[field.name] = min(max(value // field.step * field.step, field.low), field.last)
    return instruction(opcode, **fields)


@pytest.mark.parametrize("name", MACHINES)
def test_decoder_and_law_refuse_the_same(name):
    draw, config = random.Random(name), MACHINES[name]
    items = [draw_instruction(draw, config) for _ in range(800)]
    allowed = [refusal(item, config) is None for item in items]
    assert legal(config, items) == allowed and 50 < sum(allowed) < 750
