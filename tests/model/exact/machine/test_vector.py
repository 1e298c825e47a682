# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from hw.control.isa import Opcode, VectorOp, instruction
from model.exact.machine.store import Fault, ProgramError
from model.exact.vector.gelu import GeluParams, gelu
from model.exact.vector.layernorm import LayerNormParams, layernorm
from model.exact.vector.residual import ResidualParams, residual
from model.exact.vector.scaling import Scale, requantise8
from model.exact.vector.softmax import normalise, softmax
from model.exact.vector.tables import build_tables

END = instruction(Opcode.END)
ROWS, COLS = 6, 21
TABLES = build_tables()
ONE = Scale((3000,), 20)
STREAM = torch.randint(-32768, 32768, (ROWS, COLS), generator=torch.Generator().manual_seed(1))
ACC = torch.randint(-1 << 20, 1 << 20, (ROWS, COLS), generator=torch.Generator().manual_seed(2))
SMALL = torch.randint(-128, 128, (2, ROWS, COLS), generator=torch.Generator().manual_seed(3))
U = torch.randint(0, 4096, (COLS,), generator=torch.Generator().manual_seed(4))
V = torch.randint(-32768, 32768, (COLS,), generator=torch.Generator().manual_seed(5))
EACH = Scale(tuple(U.tolist()), 19)
SUM = torch.arange(1, ROWS + 1) * 1000

CASES = {
    VectorOp.REQUANTISE16: (STREAM, 2, 1, {}, requantise8(STREAM, ONE)),
    VectorOp.LAYERNORM: (STREAM, 2, 1, {"epsilon": 12345},
                         layernorm(STREAM, U, V, LayerNormParams(12345, ONE), TABLES.rsqrt)),
    VectorOp.SOFTMAX: (ACC, 4, 1, {"sums": 5}, softmax(ACC, ONE, TABLES.exp2)[0]),
    VectorOp.NORMALISE: (ACC, 4, 1, {"shift": 19, "sums": 5}, normalise(ACC, SUM, EACH, TABLES.reciprocal)),
    VectorOp.GELU: (ACC, 4, 1, {"shift": 19, "shift2": 8}, gelu(ACC, GeluParams(EACH, Scale((3000,), 8)), TABLES.gelu)),
    VectorOp.RESIDUAL: (ACC, 4, 2, {"shift": 19, "shift2": 3}, residual(STREAM, V, ACC, ResidualParams(EACH, 3))),
    VectorOp.SNAP: (SMALL[0], 1, 1, {"epsilon": 40},
                    torch.where((SMALL[0] - SMALL[1]).abs() <= 40, SMALL[1], SMALL[0]))}


def _bench(machine, op, **values):
    x, width, out_width, fields, want = CASES[op]
    bench = machine()
    pitch = bench.put(0, x.numpy(), width)
    y = (SMALL[1], 1) if op is VectorOp.SNAP else (STREAM, 2)
    y_pitch = bench.put(200, y[0].numpy(), y[1])
    bench.row(300, U.numpy())
    bench.row(310, V.numpy())
    bench.sums.write(4 * np.arange(5, 5 + ROWS), SUM.numpy(), 4)
    fields = {"multiplier": 3000, "shift": 20} | fields | values
    item = instruction(Opcode.VECTOR, op=op, rows=ROWS, cols=COLS, x=0, x_pitch=pitch, y=200, y_pitch=y_pitch, u=300,
                       v=310, out=400, out_pitch=3 * out_width, **fields)
    return bench, item, want.numpy(), out_width


@pytest.mark.parametrize("op", CASES)
def test_every_operation_is_its_law(machine, op):
    bench, item, want, width = _bench(machine, op)
    counts = bench.run([item, END])
    assert (bench.get(400, want.shape, width, 3 * width) == want).all()
    assert counts.beats == ROWS * 3 * (2 if op in (VectorOp.LAYERNORM, VectorOp.SOFTMAX) else 1)
    if op is VectorOp.SOFTMAX:
        sums = bench.sums.read(4 * np.arange(5, 5 + ROWS), 4)
        assert (sums == softmax(ACC, ONE, TABLES.exp2)[1].numpy()).all()


def test_rows_are_mapped_one_by_one(machine):
    order = [0, 3, 1, 4, 2, 5]  # i % 2 * 3 + i // 2
    mapping = dict(inner=2, inner_stride=3, outer_stride=1)
    bench, item, want, _ = _bench(machine, VectorOp.RESIDUAL, y_mapped=1, **mapping)
    bench.run([item, END])
    gathered = residual(STREAM[order], V, ACC, ResidualParams(EACH, 3))
    assert (bench.get(400, want.shape, 2, 6) == gathered.numpy()).all()
    bench.run([item.replace(y_mapped=0, out_mapped=1), END])
    assert (bench.get(400, want.shape, 2, 6)[order] == want).all()
    bench, item, want, _ = _bench(machine, VectorOp.SOFTMAX, x_mapped=1, **mapping)
    bench.run([item, END])
    assert (bench.get(400, want.shape, 1, 3) == want[order]).all()


def test_accumulators_are_read_transposed(machine):
    bench, item, want, _ = _bench(machine, VectorOp.GELU)
    pitch = bench.put(600, ACC.T.numpy(), 4, 5)
    bench.run([item.replace(x=600, x_pitch=pitch, x_transposed=1), END])
    assert (bench.get(400, want.shape, 1, 3) == want).all()
    with pytest.raises(ProgramError, match="lines 1021 to 1024 are read transposed"):
        bench.run([item.replace(x=1020, x_pitch=3, x_transposed=1), END])


@pytest.mark.parametrize(("op", "change", "kind", "words"), [
    (VectorOp.GELU, {"x_mapped": 1, "inner_stride": 65535, "inner": 3}, Fault.ADDRESS, "row 131070 of x"),
    (VectorOp.NORMALISE, {"sums": 100}, Fault.UNDEFINED, "row sums byte 0x190 is read"),
    (VectorOp.GELU, {"x": 4095}, Fault.ADDRESS, "buffer byte")])
def test_what_the_machine_refuses(machine, op, change, kind, words):
    bench, item, _, _ = _bench(machine, op)
    with pytest.raises(ProgramError, match=words) as caught:
        bench.run([item.replace(**change), END])
    assert caught.value.kind is kind


def test_out_of_a_slice_means_nothing_but_other_rows_stay(machine):
    bench, item, want, _ = _bench(machine, VectorOp.GELU)
    bench.put(400, np.full((8, 24), 7), 1)
    bench.run([item, END])
    assert (bench.get(401, (8, 8), 1, 3)[6:] == 7).all()
    assert not bench.buffer.defined[bench.matrix(400, 24, 1, 3).addresses(np.arange(6), np.arange(21, 24))].any()
