# SPDX-License-Identifier: Apache-2.0
"""Vector engine with a buffer: instructions from lines to lines against the law of the instruction."""

import random

import numpy as np
import pytest

from hw.config import load_config
from hw.control.isa import ROW_SUMS, Opcode, VectorOp, instruction
from hw.vector.engine import VectorEngine
from model.exact.machine.matrix import Matrix, row_addresses
from model.exact.machine.store import Store
from model.exact.machine.vector import WIDTHS, VectorLaw

MACHINES = {"two": {"ccpes": 2}, "four lanes": {"ccpes": 2, "vector_lanes": 4}, "one CCPE": {"ccpes": 1}}
BANK = 128


def items(config, draw):
    """One instruction of each operation, each with its operands and results in places of its own."""
    rows, cols = draw.randint(1, 12), draw.randint(1, 3 * config.columns)
    inner = draw.randint(1, min(rows, 8))
    common = {"rows": rows, "cols": cols, "x_pitch": 21, "y_pitch": 7, "x": 0, "y": BANK, "u": BANK + 90,
              "v": BANK + 110, "multiplier": draw.randint(500, 4095), "epsilon": draw.randint(1, 1 << 20),
              "inner": inner, "inner_stride": -(-rows // inner), "outer_stride": 1}
    shifts = {VectorOp.REQUANTISE16: (18, 0), VectorOp.LAYERNORM: (14, 0), VectorOp.SOFTMAX: (22, 0),
              VectorOp.NORMALISE: (10, 0), VectorOp.GELU: (24, 16), VectorOp.RESIDUAL: (24, 3), VectorOp.SNAP: (0, 0)}
    for n, (op, (shift, shift2)) in enumerate(shifts.items()):
        wide = op is VectorOp.RESIDUAL
        yield instruction(Opcode.VECTOR, op=op, **common, shift=shift, shift2=shift2, sums=40,
                          out_pitch=7 if wide else 5, out=2 * BANK + (200 if wide else 25 * n)).replace(
            epsilon=30 if op is VectorOp.SNAP else common["epsilon"], out_mapped=draw.getrandbits(1),
            x_mapped=draw.getrandbits(1), y_mapped=draw.getrandbits(1),
            x_transposed=draw.getrandbits(1) if WIDTHS[op][0] == 4 else 0)


@pytest.mark.parametrize("name", MACHINES)
def test_instructions_leave_what_the_law_says(name, on_buffer):
    config = load_config("tiny").replace(buffers=4, buffer_lines=BANK, **MACHINES[name])
    draw, random_bytes = random.Random(name), np.random.default_rng(3)
    store = Store("buffer", 4 * BANK * config.line_bytes, strict=False, seed=3)
    program = list(items(config, draw))
    cols, all_rows = np.arange(3 * config.columns), np.arange(max(20, 3 * config.columns))
    for item in program:      # accumulators of 28 bits and parameters of their widths; int16 anything
        if WIDTHS[item["op"]][0] == 4:
            values = random_bytes.integers(-1 << 26, 1 << 26, (len(all_rows), 20))
            store.write(Matrix(0, 21, 4, config.ccpes).addresses(all_rows, all_rows[:20]), values, 4)
    store.write(row_addresses(BANK + 90, len(cols), config.ccpes), random_bytes.integers(0, 4096, len(cols)), 4)
    store.write(row_addresses(BANK + 110, len(cols), config.ccpes), random_bytes.integers(-9000, 9000, len(cols)), 4)
    before = store.bytes.copy()
    store.defined[:] = False
    law = VectorLaw(store, Store("row sums", 4 * ROW_SUMS), config)
    for item in program:
        law.run(item)
    after, done = on_buffer(config, VectorEngine(config), before, program)
    assert store.defined.any() and len(done) == len(program)
    wrong = np.flatnonzero(store.defined & (after != store.bytes)) // config.line_bytes
    assert not len(wrong), sorted(set(wrong.tolist()))[:20]
