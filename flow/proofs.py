# SPDX-License-Identifier: Apache-2.0
"""What `vida prove` prints: every claim about a machine, and what the solver said. Answers are kept by digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hw.config import MachineConfig
from hw.errors import VidaError
from hw.workspace import build_folder
from verif.formal.claims import Claim, claims, show
from verif.formal.run import Proof

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Answer:
    """What is known of a claim. `verdict`: proved, bounded, refuted, open; `failed`: what a refutation leads to, or
    the step of an induction that does not close; `covered`: whether every cover point is reached (True: has none);
    `kept`: from an earlier run on the same sources."""

    name: str
    verdict: str
    depth: int
    seconds: float
    failed: tuple[str, ...] = ()
    trace: str = ""
    covered: bool = True
    kept: bool = False

    @property
    def holds(self) -> bool:
        """Without limit, or for so many cycles from reset, in which every cover point is reached."""
        return self.verdict in ("proved", "bounded") and self.covered

    @property
    def text(self) -> str:
        """The verdict in words."""
        words = {"proved": "proved for any length", "bounded": f"holds for {self.depth} cycles from reset",
                 "refuted": "refuted: " + "; ".join(self.failed),
                 "open": "open" + (f": {'; '.join(self.failed)}" if self.failed else "")}[self.verdict]
        return words if self.covered else f"{words}; a cover point is not reached"


def chosen(config: MachineConfig, names: Sequence[str] = ()) -> list[Claim]:
    """The claims about a machine, or those named. Raises VidaError for a name that is none of them."""
    every = {claim.name: claim for claim in claims(config)}
    for name in names:
        if name not in every:
            raise VidaError(f"unknown claim {name!r} about {config.name}: known are {', '.join(every)}")
    return [every[name] for name in names or every]


def answer(claim: Claim, config: MachineConfig, depth: int, timeout_s: float) -> Answer:
    """Ask, unless the answer is known for the same machine and sources. An open question is asked again."""
    key = f"{_sources()} {config.digest()} {claim.name} {depth}"
    kept = build_folder("formal", "answers") / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    if kept.exists():
        content = json.loads(kept.read_text())
        return Answer(**content | {"failed": tuple(content["failed"]), "kept": True})
    proof = show(claim, config, depth, timeout_s)
    covered, seconds = True, proof.seconds
    if claim.cover and proof.verdict in ("proved", "bounded"):
        reached = show(claim, config, depth, timeout_s, "cover")
        covered, seconds = reached.verdict == "reached", seconds + reached.seconds
    found = _answer(claim, proof, covered, seconds)
    if found.holds:
        kept.write_text(json.dumps(asdict(found)))
    return found


def _answer(claim: Claim, proof: Proof, covered: bool, seconds: float) -> Answer:
    return Answer(claim.name, proof.verdict, proof.depth, seconds, proof.failed, str(proof.trace or ""), covered)


def _sources() -> str:
    """Digest of what the circuits are made from, and of what asks about them."""
    state = hashlib.sha256()
    for folder in ("hw", "verif/formal"):
        for file in sorted((_ROOT / folder).rglob("*.py")):
            state.update(str(file.relative_to(_ROOT)).encode() + file.read_bytes())
    return state.hexdigest()


def prove(config: MachineConfig, names: Sequence[str], depth: int, timeout_s: float, console: Console,
          ask: Callable[..., Answer] = answer) -> bool:
    """Ask about every claim, or those named, print a line for each; returns whether all hold.

    Raises VidaError where a tool is missing, or for an unknown name.
    """
    table = Table("claim", "blocks", "result", "s", box=None, pad_edge=False)
    found = []
    for claim in chosen(config, names):
        with console.status(f"{config.name}: {claim.name}"):
            found.append(ask(claim, config, depth, timeout_s))
        table.add_row(claim.name, claim.blocks, found[-1].text,
                      "kept" if found[-1].kept else f"{found[-1].seconds:.0f}")
    console.print(table)
    for one in found:
        if one.trace:
            console.print(f"[red]{one.name}[/]: waves {one.trace}", soft_wrap=True)
    return all(one.holds for one in found)


def listing(config: MachineConfig, console: Console) -> None:
    """Every claim with what it says; those that the main job asks too are marked."""
    for claim in claims(config):
        console.print(f"{claim.name:<18} {'main job' if claim.main else '':<9} {claim.blocks}", soft_wrap=True)
        for text in claim.properties:
            console.print(f"    {text}", soft_wrap=True)
