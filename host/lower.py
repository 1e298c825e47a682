# SPDX-License-Identifier: Apache-2.0
"""A trained network, a method and a machine become programs and a memory image."""

from __future__ import annotations

import torch

from host.allocate import Buffer, DoesNotFit, Operand, Row
from host.blocks import Block
from host.build import Builder
from host.constants import BlockWeights, Ends, Loader, load_ends
from host.ditto import DittoProducts
from host.groups import Group, groups
from host.layouts import matrix_bytes, matrix_lines
from host.products import Products, SkippingProducts
from host.program import Lowered, assemble
from host.vida import VidaProducts
from hw.config import TILE, Lane, MachineConfig
from hw.control.isa import Opcode, VectorOp
from hw.errors import VidaError
from model.exact.machine.matrix import line_bytes
from model.exact.network import QuantisedNetwork
from model.networks import Family, NetworkConfig

#: Methods that can be lowered.
METHODS: dict[str, type[Products]] = {
    "dense": Products, "original": SkippingProducts, "ditto": DittoProducts, "vida": VidaProducts}
#: Digits up to which a segment may go to the sparse lane, where the allocation has a static threshold.
THRESHOLD = 2
#: How much faster constants that are loaded anew must make a step: they cost traffic.
RELOAD = 1.01


class Lowering:
    """One attempt.

    Parameters
    ----------
    network, config, method, bandwidth : see `lower`
    places : blocks whose constants have room at once; fewer than all are loaded anew with every step, with two places
        while the block before is computed
    under_way : groups whose intermediate results have room at once

    Raises `DoesNotFit` where the buffer is too small.
    """

    def __init__(self, network: QuantisedNetwork, config: MachineConfig, method: str, places: int,
                 under_way: int, bandwidth: float | None = None) -> None:
        self.network, self.shape, self.config, self.method = network, network.config, config, method
        self.places, self.under_way = min(places, len(network.blocks)), under_way
        self.resident = self.places == len(network.blocks)
        skips = METHODS[method].skips and config.lane is Lane.DIGIT
        self.builder = Builder(config, skips, THRESHOLD, METHODS[method].share if skips else 1.0, bandwidth)
        self.products = METHODS[method](self.builder, network.config)
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
        builder, shape = self.builder, self.shape
        stream = builder.buffer.matrix(shape.frames * shape.tokens, shape.dim, 2, what="residual stream")
        modulation = self._modulation()
        self.products.setup()
        ends = load_ends(Loader(builder), self.network)
        turns: list[dict] = [{} for _ in range(self.places)]
        weights = [self._weights(index, turns) for index in range(len(turns))]
        passing = builder.passing(Loader(builder).matrix("relay", torch.zeros(TILE, TILE, dtype=torch.int64)))
        setup, builder.tasks = builder.tasks, []
        buffers = builder.buffer.split(self.under_way)
        self._step(stream, modulation, ends, weights, turns, buffers)
        operators: list[str] = []
        programs = {name: assemble(tasks, operators, passing)
                    for name, tasks in (("setup", setup), ("step", builder.tasks))}
        for name, program in programs.items():
            builder.image.place(name, program.encode())
        return Lowered(self.config, self.network, self.method, self.resident, builder.image, programs["setup"],
                       programs["step"], tuple(operators), self.products.notes, builder.share)

    def _modulation(self) -> list[Row]:
        """Places of all shifts, all scales and all gates, in different banks: a norm reads two of them at once."""
        each, taken = self._row_lines(), []
        for kind in range(3):
            lines = len(range(kind, self._vectors(), 3)) * each
            taken.append(Row(self.builder.buffer.take(lines, [row.base for row in taken], "modulation"), lines))
        return taken

    def _weights(self, index: int, turns: list[dict]) -> BlockWeights:
        """Emit the LOADs of a block's constants, to the place whose turn it is."""
        loader = Loader(self.builder, f"block{index}.", turns[index % len(turns)])
        return loader.block(self.network.blocks[index], self.shape.head_dim)

    def _step(self, stream: Operand, modulation: list[Row], ends: Ends, weights: list[BlockWeights], turns: list[dict],
              buffers: list[Buffer]) -> None:
        builder, each = self.builder, self._row_lines()
        builder.operator = "modulation"
        for kind, rows in enumerate(modulation):
            address = builder.image.pieces["modulation"][0] + kind * each * self.config.line_bytes
            builder.move_rows(address, 3 * each, rows, each)
        vectors = [Row(modulation[n % 3].base + n // 3 * each, each) for n in range(self._vectors())]
        frames = self._groups(stream, "spatial", buffers)
        self._embed(ends, stream, frames)
        for index, (axis,) in enumerate(self.shape.blocks):
            mine = weights[index] if self.resident else self._weights(index, turns)
            block = Block(self.products, f"block{index}", self.shape, self.network.blocks[index], mine,
                          vectors[6 * index:6 * index + 6])
            for group in self._groups(stream, axis, buffers):
                block.emit(group)
            self.products.end_block()
        self._head(ends, stream, frames, vectors[-2], vectors[-1])

    def _groups(self, stream: Operand, axis: str, buffers: list[Buffer]) -> list[Group]:
        return groups(stream, self.shape, axis, self.config.pegs, buffers, self.products.width)

    def _move(self, opcode: Opcode, name: str, near: Operand, first: int, width: int) -> None:
        """Rows of a matrix in DRAM, from row `first`, and the same of the buffer."""
        across = matrix_lines(TILE, near.cols, width, self.config.ccpes) * self.config.line_bytes
        self.builder.move(opcode, self.builder.image.pieces[name][0] + first // TILE * across, near)

    def _embed(self, ends: Ends, stream: Operand, frames: list[Group]) -> None:
        """Pixels int16 and positions from DRAM; the residual stream."""
        builder, network, shape = self.builder, self.network, self.shape
        for group in frames:
            first = (group.stream.base - stream.base) // stream.pitch * TILE
            builder.operator = "embed.load"
            pixels = group.buffer.matrix(group.rows, shape.patch_dim, 2)
            self._move(Opcode.LOAD, "input", pixels, first, 2)
            self._move(Opcode.LOAD, "position", group.stream, first, 2)
            builder.operator = "embed.requantise"
            small = group.buffer.matrix(group.rows, shape.patch_dim, 1, (pixels.base, ends.embed.right.base))
            builder.vector(VectorOp.REQUANTISE16, pixels, small, one=network.embed_scale)
            builder.operator = "embed"
            acc = self.products.linear(group, small, ends.embed)
            builder.operator = "embed.residual"
            params = network.embed_residual
            builder.vector(VectorOp.RESIDUAL, acc, group.stream, y=group.stream, u=ends.embed.scale, v=ends.one,
                           shift=params.branch.shift, shift2=params.fraction)
            for operand in (pixels, small):
                group.buffer.give(operand.origin)
            self.products.done(group, acc)

    def _head(self, ends: Ends, stream: Operand, frames: list[Group], shift: Row, scale: Row) -> None:
        """The stream's last norm and the head, whose accumulators go to DRAM."""
        builder, shape, norm = self.builder, self.shape, self.network.norm
        for group in frames:
            builder.operator = "head.norm"
            h = group.buffer.matrix(group.rows, shape.dim, 1, (stream.base, ends.head.right.base))
            builder.vector(VectorOp.LAYERNORM, group.stream, h, u=scale, v=shift, one=norm.output,
                           epsilon=norm.epsilon)
            builder.operator = "head"
            acc = self.products.linear(group, h, ends.head)
            builder.operator = "head.store"
            first = (group.stream.base - stream.base) // stream.pitch * TILE
            self._move(Opcode.STORE, "output", acc, first, 4)
            group.buffer.give(h.origin)
            self.products.done(group, acc)


def check(shape: NetworkConfig, config: MachineConfig, method: str) -> None:
    """Raise VidaError with every reason why a network of this shape cannot be mapped, and what would do."""
    problems = []
    if shape.family is not Family.LATTE:
        problems.append(f"family is {shape.family.value}: blocks of one spatial or temporal attention (latte) needed")
    if shape.channels > 1:
        problems.append(f"frames have {shape.channels} channels: the driver patches gray frames, channels = 1")
    if METHODS[method].refers and config.lane is Lane.NATIVE:
        problems.append(f"lane is native, which has no differences: {method} needs lane = digit")
    longest = max(4 * shape.dim, shape.tokens)
    if longest > config.k_max:
        problems.append(f"k_max is {config.k_max}: sums of {longest} products need at least that")
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


def lower(network: QuantisedNetwork, config: MachineConfig, method: str = "dense",
          bandwidth: float | None = None) -> Lowered:
    """Programs and image of `network` by `method` on `config`: of the ways to keep constants the fastest.

    bandwidth : bytes a cycle of the memory that the programs are for, both ways together; None: what the bus carries
        in both. They run with any; what `ditto` carries is chosen by it.
    Raises VidaError for a method or a network that cannot be mapped, and for a buffer that is too small, with the
    smallest that is not.
    """
    if method not in METHODS:
        raise VidaError(f"method '{method}' cannot be lowered: {', '.join(METHODS)} can")
    check(network.config, config, method)
    found, problem = [], None
    for places in dict.fromkeys((len(network.blocks), 2, 1)):
        for under_way in _choices(network.config, config):
            try:
                found.append(Lowering(network, config, method, places, under_way, bandwidth).run())
                break
            except DoesNotFit as error:
                problem = error
    if found:
        return min(found, key=lambda lowered: lowered.step.cycles * (1 if lowered.resident else RELOAD))
    raise VidaError(f"{config.name}: {problem}; {_smallest(network, config, method)}")


def _choices(shape: NetworkConfig, config: MachineConfig) -> list[int]:
    """Numbers of groups under way, best first: multiples of the PEGs, up to all groups of a block."""
    return sorted({min(shape.frames, config.pegs * each) for each in (1, 2, 3, 4)} | {1, 2}, reverse=True)


def _smallest(network: QuantisedNetwork, config: MachineConfig, method: str) -> str:
    """In words, the shortest banks with which the network fits."""
    lines = config.buffer_lines
    while lines < 65536:
        lines *= 2
        try:
            Lowering(network, config.replace(buffer_lines=lines), method, places=1, under_way=1).run()
        except DoesNotFit:
            continue
        return f"buffer_lines = {lines} would do"
    return "no buffer_lines up to 65536 would do"
