# SPDX-License-Identifier: Apache-2.0
"""A trained network, a method and a machine become programs and a memory image."""

from __future__ import annotations

from host.allocate import DoesNotFit, Operand, Row
from host.blocks import Block, groups
from host.build import Builder
from host.constants import Ends, Loader, load_ends
from host.layouts import matrix_bytes, matrix_lines
from host.program import Lowered, assemble
from hw.config import TILE, Lane, MachineConfig
from hw.control.isa import Opcode, VectorOp
from hw.errors import VidaError
from model.exact.machine.matrix import line_bytes
from model.exact.network import QuantisedNetwork
from model.networks import NetworkConfig

#: Methods that can be lowered, and whether zero digits are skipped.
METHODS = {"dense": False, "original": True}
#: Digits up to which a segment may go to the sparse lane, where the allocation has a static threshold.
THRESHOLD = 2


class Lowering:
    """One attempt: with `resident` all constants are loaded once, else a block's with every step.

    Raises `DoesNotFit` where the buffer is too small.
    """

    def __init__(self, network: QuantisedNetwork, config: MachineConfig, method: str, resident: bool) -> None:
        self.network, self.shape, self.config, self.method = network, network.config, config, method
        self.resident = resident
        self.builder = Builder(config, METHODS[method] and config.lane is Lane.DIGIT, THRESHOLD)
        self.loaders = [Loader(self.builder) for _ in network.blocks]
        self._place_in_dram()

    def _place_in_dram(self) -> None:
        image, ccpes, shape = self.builder.image, self.config.ccpes, self.shape
        rows, size = shape.frames * shape.tokens, line_bytes(ccpes)
        image.place("position", matrix_bytes(self.network.position.reshape(rows, shape.dim), 2, ccpes))
        image.reserve("input", matrix_lines(rows, shape.patch_dim, 2, ccpes) * size)
        image.reserve("output", matrix_lines(rows, shape.patch_dim, 4, ccpes) * size)
        image.reserve("modulation", self._vectors() * self._row_lines() * size)

    def _vectors(self) -> int:
        return 6 * len(self.network.blocks) + 2

    def _row_lines(self) -> int:
        return matrix_lines(TILE, self.shape.dim, 1, self.config.ccpes)

    def run(self) -> Lowered:
        """The programs and their image."""
        builder, operators = self.builder, []
        stream = builder.buffer.matrix(self.shape.frames * self.shape.tokens, self.shape.dim, 2, what="residual stream")
        ends = load_ends(Loader(builder), self.network)
        weights = [self._weights(index) for index in range(len(self.network.blocks))] if self.resident else []
        setup, builder.tasks = builder.tasks, []
        self._step(stream, ends, weights)
        programs = {"setup": assemble(setup, operators), "step": assemble(builder.tasks, operators)}
        for name, program in programs.items():
            builder.image.place(name, program.encode())
        return Lowered(self.config, self.network, self.method, self.resident, builder.image, programs["setup"],
                       programs["step"], tuple(operators))

    def _weights(self, index: int):
        return self.loaders[index].block(index, self.network.blocks[index], self.shape.head_dim)

    def _step(self, stream: Operand, ends: Ends, weights: list) -> None:
        builder, shape = self.builder, self.shape
        count = self._vectors() * self._row_lines()
        modulation = Row(builder.buffer.take(count, what="modulation"), count)
        builder.operator = "modulation"
        builder.move(Opcode.LOAD, builder.image.pieces["modulation"][0], modulation)
        each = self._row_lines()
        vectors = [Row(modulation.base + n * each, each) for n in range(self._vectors())]
        self._embed(ends, stream)
        for index, axis in enumerate(shape.blocks):
            mine = weights[index] if self.resident else self._weights(index)
            block = Block(builder, f"block{index}", shape, self.network.blocks[index], mine,
                          vectors[6 * index:6 * index + 6])
            for group in groups(stream, shape, axis, self.config.pegs):
                block.emit(group)
            if not self.resident:
                self.loaders[index].give()
        self._head(ends, stream, vectors[-2], vectors[-1])

    def _move(self, opcode: Opcode, name: str, near: Operand, first: int, width: int) -> None:
        """Rows of a matrix in DRAM, from row `first`, and the same of the buffer."""
        across = matrix_lines(TILE, near.cols, width, self.config.ccpes) * line_bytes(self.config.ccpes)
        self.builder.move(opcode, self.builder.image.pieces[name][0] + first // TILE * across, near)

    def _embed(self, ends: Ends, stream: Operand) -> None:
        """Pixels int16 and positions from DRAM; the residual stream."""
        builder, network, shape = self.builder, self.network, self.shape
        for group in groups(stream, shape, "spatial", self.config.pegs):
            first = (group.stream.base - stream.base) // stream.pitch * TILE
            builder.operator = "embed.load"
            pixels = builder.buffer.matrix(group.rows, shape.patch_dim, 2)
            self._move(Opcode.LOAD, "input", pixels, first, 2)
            self._move(Opcode.LOAD, "position", group.stream, first, 2)
            builder.operator = "embed.requantise"
            small = builder.buffer.matrix(group.rows, shape.patch_dim, 1, (pixels.base, ends.embed.right.base))
            builder.vector(VectorOp.REQUANTISE16, pixels, small, one=network.embed_scale)
            builder.operator = "embed"
            acc = builder.buffer.matrix(group.rows, shape.dim, 4, (small.base, ends.embed.right.base))
            builder.matmul(small, ends.embed.right, group.unit, bias=ends.embed.bias, acc=acc)
            builder.operator = "embed.residual"
            params = network.embed_residual
            builder.vector(VectorOp.RESIDUAL, acc, group.stream, y=group.stream, u=ends.embed.scale, v=ends.one,
                           shift=params.branch.shift, shift2=params.fraction)
            for operand in (pixels, small, acc):
                builder.buffer.give(operand.base)

    def _head(self, ends: Ends, stream: Operand, shift: Row, scale: Row) -> None:
        """The stream's last norm and the head, whose accumulators go to DRAM."""
        builder, shape, norm = self.builder, self.shape, self.network.norm
        for group in groups(stream, shape, "spatial", self.config.pegs):
            builder.operator = "head.norm"
            h = builder.buffer.matrix(group.rows, shape.dim, 1, (stream.base, ends.head.right.base))
            builder.vector(VectorOp.LAYERNORM, group.stream, h, u=scale, v=shift, one=norm.output,
                           epsilon=norm.epsilon)
            builder.operator = "head"
            acc = builder.buffer.matrix(group.rows, shape.patch_dim, 4, (h.base, ends.head.right.base))
            builder.matmul(h, ends.head.right, group.unit, bias=ends.head.bias, acc=acc)
            builder.operator = "head.store"
            first = (group.stream.base - stream.base) // stream.pitch * TILE
            self._move(Opcode.STORE, "output", acc, first, 4)
            for operand in (h, acc):
                builder.buffer.give(operand.base)


def check(shape: NetworkConfig, config: MachineConfig) -> None:
    """Raise VidaError with every reason why a network of this shape cannot be mapped, and what would do."""
    problems = []
    fitting = [ccpes for ccpes in (1, 2, 4, 8) if shape.head_dim % (TILE * ccpes) == 0]
    if config.ccpes not in fitting:
        allowed = f"{' or '.join(map(str, fitting))} allowed" if fitting else "none would do"
        problems.append(f"ccpes is {config.ccpes}: heads of {shape.head_dim} columns must fill lines of 4 x ccpes, "
                        f"ccpes 1, 2, 4 or 8: {allowed}")
    for name, rows in (("tokens of a frame", shape.tokens), ("frames", shape.frames)):
        if rows % TILE:
            problems.append(f"{rows} {name}: a multiple of {TILE} needed")
    if config.right_rows < config.columns:
        problems.append(f"right_rows is {config.right_rows}: at least a line, {config.columns}, needed")
    if problems:
        raise VidaError(f"network cannot be mapped to {config.name}: " + "; ".join(problems))


def lower(network: QuantisedNetwork, config: MachineConfig, method: str = "dense") -> Lowered:
    """Programs and image of `network` by `method` on `config`: of two ways to keep constants the faster.

    Raises VidaError for a method or a network that cannot be mapped, and for a buffer that is too small, with the
    smallest that is not.
    """
    if method not in METHODS:
        raise VidaError(f"method '{method}' cannot be lowered: {', '.join(METHODS)} can")
    check(network.config, config)
    found = []
    for resident in (True, False):
        try:
            found.append(Lowering(network, config, method, resident).run())
        except DoesNotFit as error:
            problem = error
    if found:
        return min(found, key=lambda lowered: lowered.step.cycles)
    raise VidaError(f"{config.name}: {problem}; {_smallest(network, config, method)}")


def _smallest(network: QuantisedNetwork, config: MachineConfig, method: str) -> str:
    """In words, the shortest banks with which the network fits."""
    lines = config.buffer_lines
    while lines < 65536:
        lines *= 2
        try:
            Lowering(network, config.replace(buffer_lines=lines), method, resident=False).run()
        except DoesNotFit:
            continue
        return f"buffer_lines = {lines} would do"
    return "no buffer_lines up to 65536 would do"
