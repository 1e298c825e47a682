# SPDX-License-Identifier: Apache-2.0
"""How matrices lie in the global buffer and in memory, and the payloads of the buffer's clients.

A *word* is 16 bytes, a *line* one word for each CCPE: one tile of 4 x (4 x CCPEs) int8. Word c of an int8 line is the
4x4 block of columns 4c..4c+3, its rows one after the other. An int16 tile takes two lines (rows 0-1, rows 2-3), an
int32 tile four (a row each); word c holds columns 4c..4c+3 there too. Little-endian.
"""

from __future__ import annotations

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.utils import exact_log2

from hw.config import TILE, MachineConfig

#: Bits of a word.
WORD_BITS = 128
#: Bits of a pitch or stride, in lines.
PITCH_BITS = 16


def line_shape(config: MachineConfig) -> data.ArrayLayout:
    """A line: its words."""
    return data.ArrayLayout(unsigned(WORD_BITS), config.ccpes)


def address_shape(config: MachineConfig):
    """A line's address: bank in the top bits, line of the bank below."""
    return unsigned(exact_log2(config.buffers * config.buffer_lines))


def read_layout(config: MachineConfig) -> data.StructLayout:
    """One line is asked for; `transposed`: word `word` of the lines address, address + stride, ... instead.

    The stride of a transposed read is odd, and its lines lie in one bank.
    """
    return data.StructLayout({"address": address_shape(config), "transposed": 1,
                              "word": unsigned(exact_log2(config.ccpes)), "stride": unsigned(PITCH_BITS)})


def write_layout(config: MachineConfig) -> data.StructLayout:
    """One line to be written; bit 4c + g of the mask stands for bytes 4g..4g+3 of word c."""
    return data.StructLayout({"address": address_shape(config), "line": line_shape(config),
                              "mask": TILE * config.ccpes})
