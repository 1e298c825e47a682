# SPDX-License-Identifier: Apache-2.0
"""One interface over machines (the law, a simulation, later a board), and a sampling run over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from host.layouts import matrix_bytes, matrix_from, row_bytes
from host.program import Lowered
from hw.config import MachineConfig
from hw.control.isa import BYTES, Opcode, decode
from hw.errors import VidaError
from model.exact.machine.executor import Executor
from model.exact.machine.store import Fault, ProgramError
from model.exact.step import advance
from model.networks import patchify, unpatchify


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    Members
    -------
    status : "done", or why it stopped
    message : names instruction or access; empty when done
    counters : by name
    """

    status: str
    message: str = ""
    counters: Mapping[str, int] = field(default_factory=dict)


class Machine(Protocol):
    """What a driver needs of a machine: its DRAM, and to run what lies there."""

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into DRAM."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes from DRAM."""

    def run(self, address: int) -> Outcome:
        """Run the program at `address` until END, or until it stops with a status."""


class LawMachine:
    """The law as a machine: see `Executor` for its parameters."""

    def __init__(self, config: MachineConfig, dram_bytes: int, strict: bool = True, seed: int | None = None,
                 queue_depth: int | None = None) -> None:
        self.executor = Executor(config, dram_bytes, strict, seed, queue_depth)

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into DRAM; raises `ProgramError` beyond its end."""
        dram, places = self.executor.dram, np.arange(address, address + len(data))
        dram.check(places)
        dram.bytes[places], dram.defined[places] = np.frombuffer(data, dtype=np.uint8), True

    def read(self, address: int, size: int) -> bytes:
        """Bytes from DRAM, defined or not; raises `ProgramError` beyond its end."""
        places = np.arange(address, address + size)
        self.executor.dram.check(places)
        return self.executor.dram.bytes[places].tobytes()

    def run(self, address: int) -> Outcome:
        """Run the program at `address`; counters are those of `Counts`."""
        try:
            counts = self.executor.run(self._fetch(address))
        except ProgramError as error:
            return Outcome(error.kind.value, str(error))
        numbers = dict(products=counts.products, beats=counts.beats, loaded=counts.loaded, stored=counts.stored)
        return Outcome("done", "", numbers | dict(counts.instructions))

    def _fetch(self, address: int) -> list:
        """Instructions from `address` to the first END; fetch faults as an execution would."""
        program = []
        while True:
            try:
                program.append(decode(self.read(address + BYTES * len(program), BYTES)))
            except ProgramError:
                raise
            except VidaError as error:
                raise ProgramError(Fault.ILLEGAL, str(error), len(program)) from None
            if program[-1].opcode is Opcode.END:
                return program


class Sampler:
    """A sampling run of a lowered network on a machine; the update between steps is the host's.

    Parameters
    ----------
    lowered : what is run
    machine : where; its DRAM gets the image, the setup program runs at once and a sampling run begins
    watch : called with the outcome of every program; None: none

    Raises VidaError where a program stops with a status.
    """

    def __init__(self, lowered: Lowered, machine: Machine, watch: Callable[[Outcome], None] | None = None) -> None:
        self.lowered, self.machine, self.watch = lowered, machine, watch
        for address, data in lowered.image.contents.items():
            machine.write(address, data)
        self._run("setup")
        self.begin()

    def begin(self) -> None:
        """Begin a new sampling run: nothing is left of the one before."""
        for address, data in self.lowered.image.fresh.items():
            self.machine.write(address, data)

    def _run(self, name: str) -> None:
        outcome = self.machine.run(self.lowered.image.pieces[name][0])
        if self.watch:
            self.watch(outcome)
        if outcome.status != "done":
            raise VidaError(f"program {name}: {outcome.status}: {outcome.message}")

    def step(self, video: Tensor, label: int, step: int, steps: int) -> Tensor:
        """As `model.exact.step.denoise`: pixels (F, H, W) int16 to pixels, both held as int64."""
        network, ccpes = self.lowered.network, self.lowered.config.ccpes
        pieces, write = self.lowered.image.pieces, self.machine.write
        patches = patchify(video[None], network.config)[0]  # (F, T, P)
        rows = patches.shape[0] * patches.shape[1]
        write(pieces["input"][0], matrix_bytes(patches.reshape(rows, -1), 2, ccpes))
        vectors = network.modulation[steps][step, label]
        write(pieces["modulation"][0], b"".join(row_bytes(vector, ccpes) for vector in vectors))
        self._run("step")
        acc = matrix_from(self.machine.read(*pieces["output"]), rows, patches.shape[-1], 4, ccpes)
        moved = advance(patches, torch.from_numpy(acc).reshape(patches.shape), network.velocity, steps)
        return unpatchify(moved[None], network.config)[0]
