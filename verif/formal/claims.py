# SPDX-License-Identifier: Apache-2.0
"""What is proved of a machine: each claim by its name, with the circuit that the solver is asked about."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hw.config import Lane, MachineConfig
from hw.control.decode import units
from hw.control.isa import BYTES
from hw.memory.axi_read import AxiReader
from hw.memory.axi_write import AxiWriter
from hw.workspace import build_folder
from verif.formal import axi, axi_lite, fifo, harness, sequencer, tokens
from verif.formal.axi import AxiPart
from verif.formal.axi_lite import AxiLitePart
from verif.formal.boundaries import BURST, GROUPS, OUTSTANDING, BoundaryPart
from verif.formal.circuit import Part, circuit
from verif.formal.fifo import QueuePart, queues
from verif.formal.handshake import JOINS, broken
from verif.formal.harness import Harness
from verif.formal.rules import STAYS
from verif.formal.run import Proof, solve
from verif.formal.sequencer import SequencerPart
from verif.formal.tokens import TokensPart


@dataclass(frozen=True)
class Claim:
    """One question for the solver, or a walk over netlists.

    Attributes
    ----------
    name : as in tables, documents and the summary
    blocks : what it is about
    properties : what is shown, in words
    ask : (configuration, strengthen) to the circuit, as RTLIL; None: `walk` instead
    walk : configuration to what is wrong, in words
    main : whether the main job asks it too; the others take longer
    cover : cycles in which every cover point must be reached; 0: it has none
    free_memories : whether what is read of memories is arbitrary: more than they do, and less work
    """

    name: str
    blocks: str
    properties: tuple[str, ...]
    ask: Callable[[MachineConfig, bool], str] | None = None
    walk: Callable[[MachineConfig], list[str]] | None = None
    main: bool = True
    cover: int = 0
    free_memories: bool = False


def _of(parts: Callable[[MachineConfig, bool], list[Part]]) -> Callable[[MachineConfig, bool], str]:
    return lambda config, strengthen: circuit(parts(config, strengthen))


def _axi(name: str, master: type) -> Callable[[MachineConfig, bool], str]:
    return _of(lambda config, strengthen: [AxiPart(
        name, master, (config.bus_bytes, config.line_bytes, BURST, OUTSTANDING), strengthen)])


def _fetch(config: MachineConfig, strengthen: bool) -> list[Part]:
    return [AxiPart("fetch", AxiReader, (config.bus_bytes, BYTES, BYTES // config.bus_bytes, 2), strengthen)]


def _streams(group: str) -> Callable[[MachineConfig, bool], str]:
    return _of(lambda config, strengthen: [BoundaryPart(name, block(), strengthen)
                                           for name, block in GROUPS[group](config).items()])


def _handshakes(config: MachineConfig) -> list[str]:
    return [f"{name} {path}" for blocks in GROUPS.values() for name, block in blocks(config).items()
            for path in broken(block(), name in JOINS)]


CLAIMS = (
    Claim("queues", f"RegisterQueue of {', '.join(map(str, fifo.REGISTER_DEPTHS))}, RowQueue, SyncFIFOBuffered",
          fifo.PROPERTIES,
          _of(lambda config, more: [QueuePart(name, queue(), more) for name, queue in queues().items()])),
    Claim("semaphores", "Tokens, RoundRobin", tokens.PROPERTIES,
          _of(lambda config, more: [TokensPart(len(units(config)), more)])),
    Claim("sequencer", "Sequencer", sequencer.PROPERTIES,
          _of(lambda config, more: [SequencerPart(config, more)])),
    Claim("axi.write", "AxiWriter of Store", axi.PROPERTIES, _axi("write", AxiWriter)),
    Claim("axi.fetch", "AxiReader of Fetch", axi.PROPERTIES[:5], _of(_fetch)),
    Claim("axi.read", "AxiReader of Load", axi.PROPERTIES[:5], _axi("read", AxiReader), main=False),
    Claim("axi.lite", "AxiLite", axi_lite.PROPERTIES, _of(lambda config, more: [AxiLitePart(more)])),
    *(Claim(f"streams.{group}", blocks, (STAYS,), _streams(group), main=main, free_memories=True)
      for group, blocks, main in (
          ("control", "bus, DMA, registers, fetch, sequencer", True), ("buffer", "global buffer", True),
          ("operands", "loaders, walker, jobs, result writer", True),
          ("group", "encoder, group, requantiser, matmul unit", False),
          ("vector", "row readers, row writer, vector unit and engine", False))),
    Claim("handshakes", "every block of streams.*", (
        "no ready depends on the valid of its own stream in the same cycle, no valid on its ready",
        f"none but {', '.join(JOINS)} joins streams in a cycle"), walk=_handshakes, main=False),
    Claim("digits", "AllocationUnit or MergeUnit", harness.PROPERTIES,
          lambda config, strengthen: Harness(config, strengthen).rtlil(), main=False, cover=12),
)


def claims(config: MachineConfig) -> list[Claim]:
    """Those that can be made of a machine: native lanes skip nothing, so there are no digits to lose."""
    return [claim for claim in CLAIMS if claim.name != "digits" or config.lane is Lane.DIGIT]


def show(claim: Claim, config: MachineConfig, depth: int, timeout_s: float, mode: str = "prove") -> Proof:
    """Ask about one claim: by induction, and where that does not close, for `depth` cycles from reset.

    mode : `cover` instead: whether every cover point is reached, within the claim's number of cycles.
    Raises VidaError where a tool is missing or fails.
    """
    folder = build_folder("formal", f"{config.name}_{config.digest()[:8]}_{claim.name}")
    if claim.walk is not None:
        return _walk(claim, config, folder)
    if mode == "cover":
        return solve(claim.ask(config, False), claim.name, "cover", claim.cover, timeout_s, folder / "cover")
    proof = solve(claim.ask(config, True), claim.name, "prove", 1, timeout_s, folder / "prove", claim.free_memories)
    if proof.verdict == "proved":
        return proof
    return solve(claim.ask(config, False), claim.name, "bmc", depth, timeout_s, folder / "bmc", claim.free_memories)


def _walk(claim: Claim, config: MachineConfig, folder: Path) -> Proof:
    begun, log = time.monotonic(), folder / "walk.log"
    wrong = claim.walk(config)
    log.write_text("".join(f"{line}\n" for line in wrong))
    return Proof("refuted" if wrong else "proved", 1, time.monotonic() - begun, None, log, tuple(wrong))
