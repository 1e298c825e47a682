# SPDX-License-Identifier: Apache-2.0
"""What is synthesised: block name -> factory, and how many of each a group holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from amaranth.lib.wiring import Component

from hw.compute.ccpe import CCPE
from hw.compute.dpu import DPU
from hw.compute.group import Group
from hw.compute.peg import issue_unit
from hw.compute.spu import SPU
from hw.config import TILE, Drain, Lane, MachineConfig
from hw.control.counters import Counters
from hw.converted import TOP
from hw.encode.encoder import Encoder
from hw.encode.sad import SadUnit
from hw.memory.right_store import RightStore
from hw.recover.drain import drain_control
from hw.recover.merge import Merge
from hw.recover.shadow import Shadow
from hw.vector.requantise import Requantise


@dataclass(frozen=True)
class Block:
    """One block of a configuration.

    `make` gives its component; where there is none, `top` names a module of the whole machine. `group` and `ccpe`:
    instances in one group, in one CCPE (0: not a part of it). `without`: modules below it whose area is counted
    elsewhere. `apart`: modules of a machine below it that are mapped by themselves; its area is the sum.
    """

    make: Callable[[], Component] | None = None
    group: int = 0
    ccpe: int = 0
    without: tuple[str, ...] = ()
    top: str = ""
    apart: tuple[str, ...] = ()


def blocks(config: MachineConfig) -> dict[str, Block]:
    """Every block of `config` by name.

    A group's area is `ccpe` x CCPEs + `requantise` + `control`: all the rest of the group, with
    its encoder, allocation, right-store logic, drain control, queues and counters, synthesised as one.
    `vector` without its lanes and `around`, the machine without groups, vector unit and the banks, are the rest
    of a machine; `around` is mapped unit by unit. `path` is a group with one CCPE and without the requantiser, for
    paths that cross blocks.
    """
    narrow = config.replace(ccpes=1)
    found = {
        "ccpe": Block(lambda: CCPE(config), group=config.ccpes),
        "requantise": Block(lambda: Requantise(config), group=1),
        "control": Block(lambda: Group(config), group=1, without=("ccpe", "requantise")),
        "path": Block(lambda: Group(narrow), without=("requantise",)),
        "dpu": Block(lambda: DPU(config), ccpe=TILE * TILE),
        "issue": Block(lambda: issue_unit(config)(config)),
        "drain": Block(lambda: drain_control(config)(config)),
        "right_store": Block(lambda: RightStore(config)),
        "counters": Block(lambda: Counters(config)),
        "sad": Block(lambda: SadUnit(config)),
        "vector": Block(top="vector_engine", without=("vector_lane",)),
        "vector_lane": Block(top="vector_lane"),
        "around": Block(top=TOP, without=("group", "vector_engine", "buffer_bank"),
                        apart=("registers", "fetch", "dma", "usage")),
    }
    if config.lane is Lane.DIGIT:
        found["encoder"] = Block(lambda: Encoder(config))
    if config.own_sparse_sum:
        found["spu"] = Block(lambda: SPU(config), ccpe=TILE)
        found["merge"] = Block(lambda: Merge(config), ccpe=1)
    if config.drain is Drain.SHADOW:
        found["shadow"] = Block(lambda: Shadow(config), ccpe=1)
    return found
