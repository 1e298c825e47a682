# SPDX-License-Identifier: Apache-2.0
"""The watched digit: one arbitrary digit of each tile, followed from the left stream to the lanes.

Its place (bank, word, plane, row) and value are constants that the solver chooses, so what holds for it holds for all.
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth.hdl import C, Cat, Signal
from amaranth.hdl._ast import AnyConst
from amaranth.utils import exact_log2

from hw.compute.multiplier import recode
from hw.config import TILE, MachineConfig
from hw.payloads import DIGIT_BITS, word_shape


def nonzero(factor):
    """Whether a factor of two radix-4 digits multiplies by more than zero (a negative zero is zero)."""
    return factor[1] | factor[2] | factor[4] | factor[5]


class Watched:
    """What tells the digit: the right row that it must meet (bank, word), plane, left row, and its factor.

    `bank` and `row` are one-hot lists of values. The digit is not zero: a zero may be issued or not.
    """

    def __init__(self, m, config: MachineConfig) -> None:
        self._m = m
        self._below = exact_log2(config.residues)
        self.word = AnyConst(word_shape(config))
        self.plane = AnyConst(1)
        digit, row = AnyConst(DIGIT_BITS), AnyConst(range(TILE))
        self.factor = Signal(6, name="watched_factor")
        m.d.comb += self.factor.eq(recode(digit))
        self.row = [self.shared(row == r) for r in range(TILE)]
        bank = AnyConst(max(1, self._below))
        self.bank = [self.shared(bank == b) if config.residues > 1 else C(1) for b in range(config.residues)]

    def of_row(self, values):
        """The watched row's among a value for each row."""
        return self.shared(reduce(or_, (self.row[r].replicate(len(value)) & value for r, value in enumerate(values))))

    def shared(self, value):
        """A signal of that value: used more than once, an expression would be written out as often."""
        signal = Signal(len(value))
        self._m.d.comb += signal.eq(value)
        return signal

    def factor_of(self, digit):
        """What the lanes get of a digit."""
        return recode(digit)

    def is_word(self, k):
        """`k` as a slot carries it is the watched word of its bank."""
        return k[self._below:] == self.word

    def in_slot(self, slot):
        """A segment of the watched bank holds the digit."""
        return self.shared(
            slot.valid & self.is_word(slot.k) & (slot.plane == self.plane)
            & self.of_row([slot.rows[r] for r in range(TILE)])
            & (recode(self.of_row([slot.digit[r] for r in range(TILE)])) == self.factor) & nonzero(self.factor))

    def arrivals(self, config: MachineConfig, slots):
        """For each slot of a beat, whether it brings the digit."""
        each = config.slots_per_residue
        return self.shared(Cat(self.bank[s // each] & self.in_slot(slot) for s, slot in enumerate(slots)))
