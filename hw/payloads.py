# SPDX-License-Identifier: Apache-2.0
"""Every bus of the PEG, typed once (design: the PEG interface).

A *segment* is four digits of one column k of the left operand in one plane; a *slot* carries one segment of a beat.
A *digit* is -8..8, radix 16. It travels as a window of five bits, the nibble and below it the bit that carries into it
(value = nibble as two's complement + that bit), and reaches the elements as two radix-4 Booth digits, recoded where
all columns still share it.
"""

from __future__ import annotations

from amaranth.hdl import signed, unsigned
from amaranth.lib import data, enum
from amaranth.utils import ceil_log2, exact_log2

from hw.config import TILE, Lane, MachineConfig
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX


class Init(enum.Enum, shape=2):
    """What the accumulators hold when a job begins."""

    ZERO = 0  #: nothing
    BIAS = 1  #: one beat of `init`, copied to the four rows
    TILE = 2  #: four beats of `init`: rows of the tile, or its columns where the job says transposed
    HOLD = 3  #: what the job before left


class Base(enum.Enum, shape=2):
    """What an accumulator adds the arriving product to."""

    ACC = 0
    ZERO = 1
    SHADOW = 2


class Shift(enum.Enum, shape=2):
    """How the drained set moves: rows leave at row 0; an init enters at the far row or column."""

    NONE = 0
    ROWS = 1
    COLUMNS = 2


class Fill(enum.Enum, shape=2):
    """What enters the row that a shift frees."""

    ZERO = 0
    INIT = 1
    ROTATE = 2


#: Drain control to every CCPE of a PEG, in step. `advance`: the pipeline moves and the accumulators add.
#: `clear_sparse`: the sparse lane's own accumulators start anew with this product.
Command = data.StructLayout({
    "advance": 1, "base": Base, "clear_sparse": 1, "capture": 1, "shift": Shift, "fill": Fill})


def k_shape(config: MachineConfig):
    """A row of a right slot."""
    return unsigned(ceil_log2(config.right_rows))


def word_shape(config: MachineConfig):
    """A row of a right slot within its bank: k / residues."""
    return unsigned(k_shape(config).width - exact_log2(config.residues))


def job_layout(config: MachineConfig) -> data.StructLayout:
    """One panel of four left rows against one right slot."""
    return data.StructLayout({
        "rows": range(TILE + 1),                  # in-range rows of the tile
        "cols": range(config.columns + 1),        # in-range columns of the tile
        "k": range(config.right_rows + 1),        # columns of the left panel, rows of the right slot
        "init": Init,
        "transposed": 1,                          # of a TILE init
        "emit": 2,                                # bit 0: accumulators leave; bit 1: requantised int8 leaves
        "slot": 1,                                # right slot to use
        "release": 1,                             # last job on that right slot: it may be filled again
        "threshold": range(TILE + 1),             # segments of 1..threshold digits may go to the sparse lane
        "tag": unsigned(config.tag_bits)})


def left_layout(config: MachineConfig) -> data.StructLayout:
    """A beat into the encoder: `scan` columns x four rows of the operand and of its reference."""
    tile = data.ArrayLayout(data.ArrayLayout(signed(8), TILE), config.scan)
    return data.StructLayout({
        "current": tile, "reference": tile,
        "count": range(config.scan + 1),          # valid columns, from 0
        "skip": 1,                                # 0: both planes of every column are issued, zeros included
        "last": 1})


#: A digit as it travels: bit 0 carries into the nibble above it.
DIGIT_BITS = 5


def slot_layout(config: MachineConfig) -> data.StructLayout:
    """One segment: which rows are to be issued, and the digits of the four rows."""
    return data.StructLayout({
        "valid": 1, "k": k_shape(config), "plane": 1, "rows": TILE, "digit": data.ArrayLayout(DIGIT_BITS, TILE)})


def segments_layout(config: MachineConfig) -> data.StructLayout:
    """A beat of segments; slot s serves columns k with k mod residues = s // (slots / residues), its residue's
    first slots first."""
    return data.StructLayout({"slot": data.ArrayLayout(slot_layout(config), config.slots), "last": 1})


def native_layout(config: MachineConfig) -> data.StructLayout:
    """A beat into a native PEG: `depth` columns x four rows of int8."""
    return data.StructLayout({
        "value": data.ArrayLayout(data.ArrayLayout(signed(8), TILE), config.depth), "last": 1})


def right_layout(config: MachineConfig) -> data.StructLayout:
    """Row k of the right operand; rows arrive in order, `last` completes the slot."""
    return data.StructLayout({"value": data.ArrayLayout(signed(8), config.columns), "last": 1})


def init_layout(config: MachineConfig) -> data.StructLayout:
    """One row (or column, four values a CCPE) of the tile that the accumulators start from."""
    return data.StructLayout({"value": data.ArrayLayout(signed(config.acc_bits), config.columns)})


def result_layout(config: MachineConfig) -> data.StructLayout:
    """One row of the 4x4 blocks of all CCPEs; four beats a tile, row 0 first."""
    return data.StructLayout({
        "value": data.ArrayLayout(signed(config.acc_bits), config.columns),
        "row": range(TILE), "last": 1, "rows": range(TILE + 1), "cols": range(config.columns + 1),
        "emit": 2, "tag": unsigned(config.tag_bits)})


def int8_layout(config: MachineConfig) -> data.StructLayout:
    """One row of requantised results."""
    return data.StructLayout({
        "value": data.ArrayLayout(signed(8), config.columns),
        "row": range(TILE), "last": 1, "rows": range(TILE + 1), "cols": range(config.columns + 1),
        "tag": unsigned(config.tag_bits)})


def scale_layout(config: MachineConfig) -> data.StructLayout:
    """Requantisation of one tile: a multiplier a column, one shift."""
    return data.StructLayout({
        "multiplier": data.ArrayLayout(unsigned(MULTIPLIER_BITS), config.columns), "shift": range(SHIFT_MAX + 1)})


#: A radix-4 digit, -2..2: which multiple of the right operand is added, and with which sign.
Booth = data.StructLayout({"negative": 1, "one": 1, "two": 1})


def factor_layout(config: MachineConfig) -> data.ArrayLayout:
    """The left factor of an element: a digit, or a whole int8 value, in radix 4."""
    return data.ArrayLayout(Booth, 2 if config.lane is Lane.DIGIT else 4)


def op_layout(config: MachineConfig) -> data.StructLayout:
    """What the lanes of a PEG do in one cycle: the issue unit's output.

    `k`: the row that each bank reads. `dense`, an entry for each multiplier of an element: left factors of the four
    rows; with pools the plane, and with two banks which of them it reads; with `merge` the bus of each row, one-hot,
    and one plane for all. For the counters: `segments`, dense segments that this op issues (under merge finishes), and
    `digits` (native: values) that both lanes issue.
    """
    factor = factor_layout(config)
    multiplier = {"left": data.ArrayLayout(factor, TILE)}
    multiplier |= {"select": data.ArrayLayout(config.buses, TILE)} if config.merges else {"plane": 1, "upper": 1}
    layout: dict = {"valid": 1, "first": 1, "last": 1, "slot": 1,
                    "k": data.ArrayLayout(word_shape(config), config.residues),
                    "dense": data.ArrayLayout(data.StructLayout(multiplier), config.dense_depth),
                    "segments": range(config.residues + 1), "digits": range(TILE * config.dense_depth + 2)}
    if config.merges:
        layout["plane"] = 1
    if config.sparse_lanes:
        layout["sparse"] = data.StructLayout({"valid": 1, "fresh": 1, "bank": config.residues, "plane": 1,
                                              "left": factor, "row": range(TILE)})
    return data.StructLayout(layout)
