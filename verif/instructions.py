# SPDX-License-Identifier: Apache-2.0
"""Random single instructions over what a program has put into the buffer so far; the law says which are legal."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from hw.config import TILE, Lane, MachineConfig
from hw.control.isa import ROW_SUMS, Instruction, Opcode, VectorOp, instruction
from hw.numerics import wrap
from hw.payloads import Init
from model.exact.machine.executor import Executor
from model.exact.machine.matrix import Matrix
from model.exact.machine.vector import WIDTHS

#: Parts of DRAM, in lines each: bytes, accumulators, small indices, and where programs store.
PART = 512
#: Lines of the buffer that a program uses, from a random one on.
ARENA = 320


@dataclass(frozen=True)
class Known:
    """A matrix in the buffer: `tiles` (down, across) at `base`."""

    base: int
    pitch: int
    width: int
    down: int
    across: int


class Instructions:
    """Draws instructions; raises IndexError or ValueError where nothing is there to draw from.

    Parameters
    ----------
    config : the machine
    draw : where all chance comes from
    law : what buffer and accumulators hold now

    Members
    -------
    known : matrices that the program has put into the buffer; a width of 0 is a table
    arena : the first line that it uses
    """

    def __init__(self, config: MachineConfig, draw: random.Random, law: Executor) -> None:
        self.config, self.draw, self.law = config, draw, law
        self.begin()

    def begin(self) -> None:
        """A new program: nothing is known."""
        self.known: list[Known] = []
        last = self.config.buffers * self.config.buffer_lines - ARENA
        self.arena = self.draw.choice((0, last, self.draw.randint(0, last)))

    def _place(self, lines: int) -> int:
        return self.arena + self.draw.randint(0, ARENA - lines)

    def _room(self, down: int, across: int, width: int, odd: bool = False) -> Known:
        """A place for a matrix of `down` x `across` tiles."""
        pitch = across * width + self.draw.choice((0, 0, 1, 2))
        pitch |= odd
        return Known(self._place((down - 1) * pitch + across * width), pitch, width, down, across)

    def _some(self, width: int, down: int = 1, across: int = 1) -> Known:
        found = [one for one in self.known if one.width == width and one.down >= down and one.across >= across]
        return self.draw.choice(found[-12:])

    def load(self) -> tuple[Instruction, list[Known]]:
        """A LOAD: bytes, int16, accumulators or a table; by a pitch or by a table."""
        draw, line = self.draw, self.config.line_bytes
        width = draw.choice((1, 1, 1, 2, 4))
        to = self._room(draw.randint(1, 6), draw.randint(1, 4), width, draw.random() < 0.7)
        part = {4: 1}.get(width, draw.choice((0, 0, 0, 3)))
        lines, pitch = to.across * width, draw.randint(0, 12)
        fields = {"rows": to.down, "lines": lines, "buffer": to.base, "buffer_pitch": to.pitch}
        tables = [one for one in self.known if one.width == 0]
        if tables and draw.random() < 0.3:
            fields |= {"use_table": 1, "table": draw.choice(tables).base}
        elif draw.random() < 0.15:       # indices
            part, fields["rows"], to = 2, 1, Known(to.base, 0, 0, 1, 1)
        high = PART - lines - pitch * 20
        return instruction(Opcode.LOAD, dram=(part * PART + draw.randint(0, high)) * line, dram_pitch=pitch * line,
                           tag=draw.getrandbits(16), **fields), [to]

    def store(self) -> tuple[Instruction, list[Known]]:
        """A STORE of part of a matrix."""
        draw, line = self.draw, self.config.line_bytes
        one = draw.choice([one for one in self.known if one.width])
        lines = draw.randint(1, one.across * one.width)
        pitch = lines + draw.randint(0, 3)
        fields = {"rows": one.down, "lines": lines, "buffer": one.base, "buffer_pitch": one.pitch}
        tables = [known for known in self.known if known.width == 0]
        if tables and draw.random() < 0.3:
            fields |= {"use_table": 1, "table": draw.choice(tables).base}
        at = 3 * PART + draw.randint(0, PART - lines - 20 * pitch)
        return instruction(Opcode.STORE, dram=at * line, dram_pitch=pitch * line, tag=draw.getrandbits(16),
                           **fields), []

    def matmul(self) -> tuple[Instruction, list[Known]]:
        """A MATMUL of matrices that are there."""
        draw, config = self.draw, self.config
        left, turned = self._some(1), draw.random() < 0.5
        right = self._some(1)
        word = draw.randrange(config.ccpes) if draw.random() < 0.3 else 0
        right_word = draw.randrange(config.ccpes) if turned and draw.random() < 0.3 else 0
        k = min((right.across * config.columns - TILE * right_word) if turned else right.down * TILE,
                left.across * config.columns - TILE * word, config.right_rows)
        n = right.down * TILE if turned else right.across * config.columns
        m, k, n = (top if draw.random() < 0.5 else draw.randint(1, top) for top in (left.down * TILE, k, n))
        unit = draw.randrange(config.pegs)
        init, m, n = self._init(unit, m, n)
        fields = {"current": left.base, "left_pitch": left.pitch, "left_word": word, "right": right.base,
                  "right_pitch": right.pitch, "right_transposed": int(turned), "right_word": right_word, **init}
        same = [one for one in self.known if one.width == 1 and one.pitch == left.pitch]
        if config.lane is Lane.DIGIT and draw.random() < 0.5:
            fields |= {"use_reference": 1, "reference": draw.choice(same).base}
        down, across, emit, result = -(-m // TILE), -(-n // config.columns), draw.choice((1, 1, 2, 2, 3, 0)), []
        if emit & 1:
            to = self._room(down, across, 4, draw.random() < 0.7)
            if fields["init"] is Init.TILE and not fields["init_transposed"] and draw.random() < 0.4:
                to = Known(fields["init_address"], fields["init_pitch"], 4, down, across)
            fields |= {"emit_accumulators": 1, "accumulators": to.base, "acc_pitch": to.pitch}
            result.append(to)
        if emit & 2:
            to = self._room(down, across, 1, draw.random() < 0.7)
            fields |= {"emit_int8": 1, "int8": to.base, "int8_pitch": to.pitch, "scale": self._some(4).base}
            result.append(to)
        if emit == 3 and set(lines(result[0], config)) & set(lines(result[1], config)):
            raise ValueError("results overlap")
        shift = draw.choice((draw.randint(8, 24), draw.randint(0, 39)))
        return instruction(Opcode.MATMUL, unit=unit, rows=m, cols=n, k=k, skip=draw.getrandbits(1), shift=shift,
                           tag=draw.getrandbits(16), threshold=draw.randint(0, TILE), **fields), result

    def _init(self, unit: int, m: int, n: int) -> tuple[dict, int, int]:
        """Fields of an init, and the shape that it leaves possible."""
        held = self.law.held.get(unit)
        kind = self.draw.choice([init for init in Init if held is not None or init is not Init.HOLD])
        fields = {"init": kind, "init_transposed": 0}
        if kind is Init.HOLD:
            return fields, *held.shape
        if kind is Init.ZERO:
            return fields, m, n
        one = self._some(4)
        fields |= {"init_address": one.base, "init_pitch": one.pitch}
        if kind is Init.TILE:
            turned = fields["init_transposed"] = self.draw.getrandbits(1)
            rows, cols = one.down * TILE, one.across * self.config.columns
            m, n = min(m, cols if turned else rows), min(n, rows if turned else cols)
        return fields, m, n

    def vector(self) -> tuple[Instruction, list[Known]]:
        """A VECTOR of any operation."""
        draw, config = self.draw, self.config
        op = draw.choice(list(WIDTHS))
        widths, turned = WIDTHS[op], 0
        x = self._some(widths[0])
        rows, cols = x.down * TILE, x.across * config.columns
        if widths[0] == 4:
            self._in_range(x)
            if draw.random() < 0.4:
                turned, rows, cols = 1, cols, rows
        y = self._some(widths[1]) if widths[1] else x
        if widths[1]:
            rows, cols = min(rows, y.down * TILE), min(cols, y.across * config.columns)
        rows, cols = (top if draw.random() < 0.4 else draw.randint(1, top) for top in (rows, cols))
        inner = draw.randint(1, rows)
        mapped = {f"{name}_mapped": int(draw.random() < 0.3) for name in ("x", "y", "out")}
        if widths[0] == 4 and rows % inner:
            mapped["x_mapped"] = 0      # rows beyond x may be no accumulators
        down = -(-rows // TILE) + -(-inner // TILE) * mapped["out_mapped"]
        to = self._room(down, -(-cols // config.columns), widths[2], draw.random() < 0.7)
        if op is VectorOp.RESIDUAL and not mapped["out_mapped"] and not mapped["y_mapped"] and draw.random() < 0.5:
            to = Known(y.base, y.pitch, 2, to.down, to.across)
        epsilon = draw.randint(0, 255) if op is VectorOp.SNAP else draw.randint(1, 1 << draw.randint(1, 53))
        sums = draw.choice((0, 0, draw.randrange(ROW_SUMS))) if op in (VectorOp.SOFTMAX, VectorOp.NORMALISE) else 0
        item = instruction(
            Opcode.VECTOR, op=op, rows=rows, cols=cols, x_transposed=turned, inner=inner, outer_stride=1,
            inner_stride=-(-rows // inner), x=x.base, x_pitch=x.pitch, y=y.base, y_pitch=y.pitch, out=to.base,
            out_pitch=to.pitch, sums=sums,
            u=self._some(4).base, v=self._some(4).base, epsilon=epsilon, multiplier=draw.randint(0, 4095),
            shift=draw.choice((draw.randint(8, 26), draw.randint(0, 39))), tag=draw.getrandbits(16),
            shift2=draw.randint(0, 8) if op is VectorOp.RESIDUAL else draw.randint(0, 39), **mapped)
        return item, [] if mapped["out_mapped"] else [Known(to.base, to.pitch, to.width, -(-rows // TILE), to.across)]

    def _in_range(self, x: Known) -> None:
        """Raise where a matrix is not of accumulators: other things were written over it."""
        matrix = Matrix(x.base, x.pitch, 4, self.config.ccpes)
        places = matrix.addresses(np.arange(x.down * TILE), np.arange(x.across * self.config.columns))
        values = self.law.buffer.bytes[places[..., None] + np.arange(4)].view("<i4")[..., 0]
        known = self.law.buffer.defined[places]
        if (wrap(values[known].astype(np.int64), self.config.acc_bits) != values[known]).any():
            raise ValueError("no accumulators")


def lines(one: Known, config: MachineConfig) -> list[int]:
    """The lines of a matrix."""
    return Matrix(one.base, one.pitch, one.width, config.ccpes).lines(
        one.down * TILE, one.across * config.columns).tolist()


def in_place(item: Instruction) -> bool:
    """Its result may lie on its own operand, row by row."""
    if item.opcode is Opcode.MATMUL:
        same = item["init"] is Init.TILE and not item["init_transposed"] and item["emit_accumulators"]
        return bool(same and (item["init_address"], item["init_pitch"]) == (item["accumulators"], item["acc_pitch"]))
    if item.opcode is Opcode.VECTOR and item["op"] is VectorOp.RESIDUAL:
        mapped = item["y_mapped"] | item["out_mapped"]
        return (item["y"], item["y_pitch"], 0) == (item["out"], item["out_pitch"], mapped)
    return False
