# SPDX-License-Identifier: Apache-2.0
"""What the vector unit is told, and the widths and limits of its operations (docs/numerics.md)."""

from __future__ import annotations

from collections.abc import Iterable

from amaranth.hdl import Cat, Value, signed, unsigned
from amaranth.lib import data, enum

from hw.config import MachineConfig
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX


class Op(enum.Enum, shape=3):
    """What the vector unit does with each row, in its commands and in VECTOR instructions (there `VectorOp`)."""

    NONE = 0  #: no operation: neither command nor instruction has it
    REQUANTISE16 = 1  #: x int16 -> int8 by (multiplier, shift)
    LAYERNORM = 2  #: x int16, u scale row, v shift row -> int8 by (multiplier, shift); every row of x twice
    SOFTMAX = 3  #: x accumulators -> int8 probabilities by (multiplier, shift); keeps row sums; every row of x twice
    NORMALISE = 4  #: x accumulators over the kept row sums, u multipliers, shift -> int8
    GELU = 5  #: x accumulators, u multipliers, shift; then (multiplier, shift2) -> int8
    RESIDUAL = 6  #: x accumulators, u multipliers, shift; v gate, y int16 stream, shift2 fraction -> int16
    SNAP = 7  #: x int8, y int8 reference: y where |x - y| is at most a threshold, else x


#: The operations that read their rows twice, and every operation with the streams beside x that it takes.
TWICE = (Op.LAYERNORM, Op.SOFTMAX)
STREAMS = {Op.REQUANTISE16: "", Op.LAYERNORM: "uv", Op.SOFTMAX: "", Op.NORMALISE: "u", Op.GELU: "u",
           Op.RESIDUAL: "yuv", Op.SNAP: "y"}

#: Most rows whose first readings may come before their second ones.
GROUP_MAX = 16
#: Widest row of LayerNorm: it sets the width of its sums.
WIDTH_MAX = 4096
#: Unsigned width of d^2 times the variance, epsilon included.
VARIANCE_BITS = 55
#: Fraction bits of x_hat and of LayerNorm's modulated output, int16: +-32.
NORM_FRACTION_BITS = 10
#: Fraction bits of the modulation vectors scale, shift and gate, int16: +-8.
MODULATION_FRACTION_BITS = 12
#: Longest row of softmax: it sets the width of the row sum.
TOKENS_MAX = 8192
#: Row sum of probabilities, unsigned: `TOKENS_MAX` times 127.
ROW_SUM_BITS = 20
#: From this many halvings on a probability rounds to zero, whatever its fraction.
HALVINGS_MAX = 8
#: Fraction bits of the int16 mean of V that NORMALISE requantises.
MEAN_FRACTION_BITS = 8
#: Most fraction bits that RESIDUAL's branch carries below the stream's last place.
BRANCH_FRACTION_MAX = 8
#: Largest threshold of SNAP.
THRESHOLD_MAX = 255

#: A command: one operation over a matrix of `rows` x `cols`, neither 0. `group`: of an operation that reads rows twice,
#: the rows less one that are read once before the first of them is read again. `shift` is that of the only rescaling by
#: command or of the first one; `shift2` that of GELU's second, or the fraction bits of RESIDUAL's branch.
Command = data.StructLayout({
    "op": Op, "cols": 16, "rows": 16, "group": range(GROUP_MAX), "epsilon": VARIANCE_BITS,
    "multiplier": unsigned(MULTIPLIER_BITS), "shift": range(SHIFT_MAX + 1), "shift2": range(SHIFT_MAX + 1), "sums": 16,
    "threshold": range(THRESHOLD_MAX + 1)})


def wide_layout(config: MachineConfig) -> data.StructLayout:
    """A beat of x or u: `lanes` elements of 32 bits."""
    return data.StructLayout({"value": data.ArrayLayout(signed(32), config.lanes)})


def narrow_layout(config: MachineConfig) -> data.StructLayout:
    """A beat of y or v: `lanes` elements of 16 bits."""
    return data.StructLayout({"value": data.ArrayLayout(signed(16), config.lanes)})


def output_layout(config: MachineConfig) -> data.StructLayout:
    """A beat of results; `last` with the last beat of each row."""
    return data.StructLayout({"value": data.ArrayLayout(signed(16), config.lanes), "last": 1})


def among(op: Value, some: Iterable[Op]) -> Value:
    """Whether `op` is one of some operations."""
    return Cat(op == one for one in some).any()
