# SPDX-License-Identifier: Apache-2.0
"""Matmul unit with a buffer: instructions from lines to lines against the law of the instruction."""

import random

import numpy as np
import pytest

from hw.config import load_config
from hw.control.isa import Opcode, instruction
from hw.control.matmul import MatmulUnit
from hw.payloads import Init
from model.exact.machine.matmul import matmul
from model.exact.machine.store import Store


def small(**changes):
    return load_config("tiny").replace(buffers=4, buffer_lines=128, right_rows=32, **changes)


MACHINES = {
    "balance": small(), "one CCPE": small(ccpes=1), "four CCPEs": small(ccpes=4, allocation="none", queue_depth=8),
    "threshold": small(allocation="threshold", drain="inplace", scan=8, queue_depth=8),
    "merge": small(allocation="merge", depth=4, buses=4, scan=8, slots=8, queue_depth=4, requantise_cycles=3),
    "native": small(lane="native", allocation="none", queue_depth=8),
    "native 4": small(lane="native", allocation="none", depth=4),
}


def chain(config, draw):
    """Instructions of every kind, each with its operands and results in places of its own."""
    bank = config.buffer_lines
    digits = config.lane.value == "digit"
    shape = {"rows": draw.randint(1, 13), "cols": draw.randint(1, 3 * config.columns - 1), "k": draw.randint(1, 32)}
    common = {**shape, "left_pitch": 9, "right_pitch": 7, "skip": draw.getrandbits(1), "threshold": draw.randint(0, 4),
              "current": 0, "reference": 40, "right": bank, "shift": draw.randint(8, 14), "scale": 2 * bank,
              "acc_pitch": 13, "int8_pitch": 3, "init_pitch": 13}
    items = [instruction(Opcode.MATMUL, **common, init=Init.BIAS, init_address=2 * bank + 8, emit_accumulators=1,
                         emit_int8=1, accumulators=2 * bank + 20, int8=3 * bank)]
    items.append(items[0].replace(init=Init.ZERO, emit_accumulators=0, use_reference=digits, right_transposed=1,
                                  right_word=draw.randrange(config.ccpes), int8=3 * bank + 20))
    items.append(items[0].replace(init=Init.TILE, init_address=bank + 60, emit_int8=0, use_reference=digits,
                                  accumulators=3 * bank + 60))
    items.append(items[0].replace(init=Init.TILE, init_transposed=1, init_address=bank + 60, init_pitch=7,
                                  rows=min(shape["rows"], 8), accumulators=2 * bank + 76, emit_int8=0, cols=1,
                                  acc_pitch=4))
    # Its right slot still holds rows of one with a longer K.
    items.append(items[1].replace(k=max(1, shape["k"] - 3), int8=3 * bank + 40))
    return items


@pytest.mark.parametrize("name", MACHINES)
def test_instructions_leave_what_the_law_says(name, on_buffer, seed=1):
    config, draw = MACHINES[name], random.Random(f"{name}{seed}")
    store = Store("buffer", config.buffers * config.buffer_lines * config.line_bytes, strict=False, seed=seed)
    sparse = store.bytes[:config.buffer_lines * config.line_bytes]
    sparse[np.random.default_rng(seed).random(len(sparse)) < 0.4] = 0
    items = chain(config, draw)
    after, done = on_buffer(config, MatmulUnit(config), store.bytes, items)
    for item in items:
        matmul(item, store, None, config)
    defined = store.defined
    assert defined.any() and (after[defined] == store.bytes[defined]).all()
    assert len(done) == len(items) and done == sorted(done)
