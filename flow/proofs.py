# SPDX-License-Identifier: Apache-2.0
"""What `vida prove` prints: each run of the solver on a machine's issue unit, and what it showed."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from hw.compute.peg import issue_unit
from hw.config import MachineConfig
from verif.formal.harness import PROPERTIES
from verif.formal.run import Proof
from verif.formal.run import prove as run

_RUNS = {"prove": "induction", "bmc": "from reset", "cover": "cover points"}


def prove(config: MachineConfig, depth: int, timeout_s: float, console: Console) -> bool:
    """Induction; where it does not close, up to `depth` cycles from reset; cover points as far. Prints a table.

    Returns whether the properties hold, without limit or from reset for as many cycles as it takes to reach every
    cover point: what is assumed leaves tiles that fill the queues and follow each other.
    Raises VidaError as `verif.formal.run.prove`.
    """
    block, proofs = issue_unit(config).__name__, {}

    def attempt(mode: str, cycles: int) -> Proof:
        with console.status(f"{block} of {config.name}: {_RUNS[mode]}"):
            proofs[mode] = run(config, mode, cycles, timeout_s)
        return proofs[mode]

    proof = attempt("prove", 1)
    if proof.verdict != "proved":
        proof = attempt("bmc", depth)
    holds, cycles = proof.verdict in ("proved", "bounded"), proof.depth if proof.verdict == "bounded" else depth
    reached = attempt("cover", cycles).verdict == "reached"
    table = Table("block", "configuration", "run", "result", "s", box=None, pad_edge=False)
    for mode, proof in proofs.items():
        table.add_row(block, f"{config.name} {config.allocation.value} depth {config.depth}", _RUNS[mode],
                      _verdict(mode, proof), f"{proof.seconds:.0f}")
    console.print(table)
    console.print("properties, of every digit: " + "; ".join(PROPERTIES))
    for proof in proofs.values():
        if proof.trace:
            console.print(f"[red]refuted[/]: {'; '.join(proof.failed)} (waves {proof.trace})", soft_wrap=True)
    return holds and reached


def _verdict(mode: str, proof: Proof) -> str:
    if proof.verdict == "proved":
        return "proved for any length"
    if proof.verdict == "bounded":
        return f"holds for {proof.depth} cycles"
    if proof.verdict == "reached":
        return f"all reached in {proof.depth} cycles"
    return "refuted" if proof.verdict == "refuted" else f"open (log {proof.log})"
