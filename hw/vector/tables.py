# SPDX-License-Identifier: Apache-2.0
"""Contents of the table unit, and their offline builder.

It computes in `decimal`, whose exp and sqrt are correctly rounded: the integers are the same on every machine. They are
constants of the hardware; a checkpoint carries the same ones for the law (`model/exact/vector/tables.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from functools import cache

from hw.errors import VidaError

#: Address bits: every function has 2^6 = 64 rows, so that one memory shape serves all.
SEGMENT_BITS = 6
#: A row's base, unsigned, in units of 2^-shift of the output's last place.
BASE_BITS = 28
#: A row's slope, signed, in units of 2^-shift output places per input place.
SLOPE_BITS = 13
#: Widest input: 6 address bits and a remainder of 10.
INPUT_BITS_MAX = 16
#: The output, unsigned.
OUTPUT_BITS = 16

#: Input bits of the four functions.
EXP2_INPUT_BITS = 10
RECIPROCAL_INPUT_BITS = 16
RSQRT_INPUT_BITS = 16
GELU_INPUT_BITS = 13
#: Output fraction bits of exp2: 127 * 2^-f in 2^-8.
EXP2_GUARD_BITS = 8
#: Largest probability: softmax is relative to the row maximum, which is always this.
PROBABILITY_MAX = 127
#: Output fraction bits of the reciprocal and the reciprocal square root, whose values lie in (1/2, 1].
RECIPROCAL_FRACTION_BITS = 15
#: Fraction bits of GELU's int16 input and output.
GELU_FRACTION_BITS = 11

_DIGITS = 40
_SAMPLES = 16


@dataclass(frozen=True)
class Table:
    """Contents of the table unit for one function over 0 .. 2^input_bits - 1.

    The top `SEGMENT_BITS` of the input choose a row, the rest is the remainder r (at most 10 bits):
    `y = round_shift(base[row] + slope[row] * r, shift)`, rounded once, half up.

    Parameters
    ----------
    bases, slopes : 64 integers each, unsigned `BASE_BITS` and signed `SLOPE_BITS` wide
    input_bits : width of the unsigned input, `SEGMENT_BITS` .. `INPUT_BITS_MAX`
    shift : fraction bits of base and slope, 1..12

    Raises `VidaError` for a row that does not fit its width.
    """

    bases: tuple[int, ...]
    slopes: tuple[int, ...]
    input_bits: int
    shift: int

    def __post_init__(self) -> None:
        rows = len(self.bases), len(self.slopes)
        if rows != (1 << SEGMENT_BITS,) * 2:
            raise VidaError(f"table of {rows[0]} bases, {rows[1]} slopes; {1 << SEGMENT_BITS} of each needed")
        if not SEGMENT_BITS <= self.input_bits <= INPUT_BITS_MAX:
            raise VidaError(f"table input {self.input_bits} bits, {SEGMENT_BITS}..{INPUT_BITS_MAX} allowed")
        if not 1 <= self.shift <= BASE_BITS - OUTPUT_BITS:
            raise VidaError(f"table shift {self.shift}, 1..{BASE_BITS - OUTPUT_BITS} allowed")
        for base in self.bases:
            if not 0 <= base < 1 << BASE_BITS:
                raise VidaError(f"table base {base}, unsigned {BASE_BITS} bits allowed")
        for slope in self.slopes:
            if not -(1 << SLOPE_BITS - 1) <= slope < 1 << SLOPE_BITS - 1:
                raise VidaError(f"table slope {slope}, signed {SLOPE_BITS} bits allowed")

    @property
    def remainder_bits(self) -> int:
        """Input bits below the row's address."""
        return self.input_bits - SEGMENT_BITS


def _nearest(x: Decimal) -> int:
    return int((x + Decimal("0.5")).to_integral_value(ROUND_FLOOR))


def _fit(function: Callable[[Decimal], Decimal], input_bits: int, shift: int) -> Table:
    """Fit `function` (in places, to places): a row's slope is the secant's, its base centres the error."""
    width = 1 << (input_bits - SEGMENT_BITS)
    unit = Decimal(1 << shift)
    bases, slopes = [], []
    with localcontext(Context(prec=_DIGITS)):
        for row in range(1 << SEGMENT_BITS):
            offsets = [Decimal(width * i) / _SAMPLES for i in range(_SAMPLES + 1)]
            values = [function(row * width + offset) * unit for offset in offsets]
            slope = _nearest((values[-1] - values[0]) / width)
            rests = [value - slope * offset for value, offset in zip(values, offsets, strict=True)]
            bases.append(max(0, _nearest((max(rests) + min(rests)) / 2)))
            slopes.append(slope)
    return Table(tuple(bases), tuple(slopes), input_bits, shift)


@cache
def exp2_table() -> Table:
    """127 * 2^(-x / 2^10) in 2^-8, for x = 0..1023: 15 bits, 127 * 256 down to its half.

    Error: at most 0.72 places of 2^-8, over all inputs.
    """
    ln2 = Decimal(2).ln(Context(prec=_DIGITS))
    peak = Decimal(PROBABILITY_MAX << EXP2_GUARD_BITS)
    return _fit(lambda x: peak * (-x * ln2 / (1 << EXP2_INPUT_BITS)).exp(), EXP2_INPUT_BITS, shift=6)


@cache
def reciprocal_table() -> Table:
    """2^15 / (1 + x / 2^16), for x = 0..65535: the reciprocal of a normalised number, 16 bits.

    Error: at most 4.7e-5 of the value, over all inputs.
    """
    one = Decimal(1 << RECIPROCAL_FRACTION_BITS)
    return _fit(lambda x: one / (1 + x / (1 << RECIPROCAL_INPUT_BITS)), RECIPROCAL_INPUT_BITS, shift=12)


@cache
def rsqrt_table() -> Table:
    """2^15 / sqrt(m), 16 bits, for x = 0..65535.

    x holds an octave bit o above a 15-bit fraction f: m = (1 + f) * 2^o.
    The octave bit makes the rows log-uniform over [1, 4), which is where an even power of two normalises to;
    m is continuous in x and its kink lies between two rows. Error: at most 6.7e-5 of the value, over all
    inputs.
    """
    one, octave = Decimal(1 << RECIPROCAL_FRACTION_BITS), 1 << (RSQRT_INPUT_BITS - 1)

    def root(x: Decimal) -> Decimal:
        m = 1 + x / octave if x < octave else 2 * x / octave
        return one / m.sqrt()

    return _fit(root, RSQRT_INPUT_BITS, shift=12)


@cache
def gelu_table() -> Table:
    """relu(u) - gelu(u) for u in [0, 4), 11 fraction bits: u / (1 + exp(2 sqrt(2 / pi) (u + 0.044715 u^3))).

    The difference is even, so the magnitude addresses it, and it falls to 7e-5 at u = 4: no rows are spent on
    the straight parts.
    """
    pi = Decimal("3.141592653589793238462643383279502884197")
    root, cubic = (2 / pi).sqrt(Context(prec=_DIGITS)), Decimal("0.044715")

    def difference(x: Decimal) -> Decimal:
        u = x / (1 << GELU_FRACTION_BITS)
        return x / (1 + (2 * root * (u + cubic * u * u * u)).exp())

    return _fit(difference, GELU_INPUT_BITS, shift=9)
