# SPDX-License-Identifier: Apache-2.0
"""A network lowered to a machine: programs, memory image, and what is predicted of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from host.graph import Task, overwriting
from host.image import Image
from host.schedule import Slot, schedule
from host.tokens import assign, reduce_pairs
from hw.config import MachineConfig
from hw.control.isa import Instruction, Opcode, encode, instruction
from model.exact.network import QuantisedNetwork


@dataclass(frozen=True)
class Program:
    """Instructions in fetch order, END last; `slots[n]` says when instruction n is predicted to run."""

    instructions: tuple[Instruction, ...]
    slots: tuple[Slot, ...]

    @property
    def cycles(self) -> int:
        """Predicted, from start to END."""
        return max((slot.end for slot in self.slots), default=0)

    def encode(self) -> bytes:
        """As it lies in DRAM."""
        return b"".join(encode(item) for item in self.instructions)


def assemble(tasks: Sequence[Task], operators: list[str], passing: Task) -> Program:
    """Order `tasks`, give them semaphores, and tags: places in `operators`, which grows by new names.

    `passing` is a VECTOR that does nothing, for where one must wait.
    """
    tasks, before = reduce_pairs(overwriting(tasks), passing)
    slots = schedule(tasks, before)
    masks = assign(tasks, before, slots)
    for task in tasks:
        if task.operator not in operators:
            operators.append(task.operator)
    items = []
    for slot, (wait, signal, fence) in zip(slots, masks, strict=True):
        task = tasks[slot.task]
        tag = operators.index(task.operator)
        items.append(instruction(task.opcode, wait=wait, signal=signal, fence=fence, tag=tag, **task.fields))
    return Program((*items, instruction(Opcode.END)), tuple(slots))


@dataclass(frozen=True)
class Lowered:
    """Everything a driver needs.

    Members
    -------
    config, network, method : what was lowered
    resident : all constants stay in the buffer from one step to the next
    image : DRAM; its pieces "input", "modulation" and "output" are the host's, "setup" and "step" are programs
    setup, step : run once after reset; run for every denoising step
    operators : names, by tag
    notes : what could not be mapped as the method has it, and why
    share : of the array's cycles, that skipping was taken to leave in all that is predicted
    """

    config: MachineConfig
    network: QuantisedNetwork
    method: str
    resident: bool
    image: Image
    setup: Program
    step: Program
    operators: tuple[str, ...]
    notes: tuple[str, ...]
    share: float
