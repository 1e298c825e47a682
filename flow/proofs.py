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


def prove(config: MachineConfig, depth: int, timeout_s: float, console: Console) -> bool:
    """Induction; from reset, `depth` cycles, whatever induction says; covers as far. Prints a table.

    Returns whether nothing is refuted and the properties hold without limit, or for `depth` cycles in which every
    cover point is reached: fewer cycles than a few tiles need would show next to nothing.
    Raises VidaError as `verif.formal.run.prove`.
    """
    block, proofs = issue_unit(config).__name__, {}
    for mode, cycles in (("prove", 1), ("bmc", depth), ("cover", depth)):
        with console.status(f"{block} of {config.name}: {mode}"):
            proofs[mode] = run(config, mode, cycles, timeout_s)
    table = Table("block", "configuration", "run", "result", "s", box=None, pad_edge=False)
    names = {"prove": "induction", "bmc": "from reset", "cover": "cover points"}
    for mode, proof in proofs.items():
        table.add_row(block, f"{config.name} {config.allocation.value} depth {config.depth}", names[mode],
                      _verdict(mode, proof), f"{proof.seconds:.0f}")
    console.print(table)
    console.print("properties, of every digit: " + "; ".join(PROPERTIES))
    for proof in proofs.values():
        if proof.trace:
            console.print(f"[red]refuted[/]: waves {proof.trace}", soft_wrap=True)
    verdicts = {proof.verdict for proof in proofs.values()}
    return "refuted" not in verdicts and ("proved" in verdicts or {"bounded", "reached"} <= verdicts)


def _verdict(mode: str, proof: Proof) -> str:
    if proof.verdict == "proved":
        return "proved for any length"
    if proof.verdict == "bounded":
        return f"holds for {proof.depth} cycles"
    if proof.verdict == "reached":
        return f"all reached in {proof.depth} cycles"
    return "refuted" if proof.verdict == "refuted" else f"open (log {proof.log})"
