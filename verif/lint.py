# SPDX-License-Identifier: Apache-2.0
"""Two independent front ends read the generated Verilog; what they may remark is waived by name in one file."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pyslang

from hw.toolbox import run_tool
from verif.verilator import find_verilator

WAIVERS = Path(__file__).with_name("lint_waivers.vlt")


def lint(verilog: str, top: str) -> list[str]:
    """Every message of Verilator (-Wall, minus the waivers) and every error of slang; empty when clean.

    Raises VidaError where Verilator is missing.
    """
    return _verilator(verilog, top) + _slang(verilog)


def _verilator(verilog: str, top: str) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="vida-") as folder:
        work = Path(folder)
        (work / f"{top}.v").write_text(verilog)
        log = work / "lint.log"
        run_tool([find_verilator().executable, "--lint-only", "-Wall", "-Wno-fatal", "--top-module", top, WAIVERS,
                  f"{top}.v"], cwd=work, log=log, timeout_s=300, what=f"lint of {top}", check=False)
        return re.findall(r"^%(?:Warning|Error).*$", log.read_text(errors="replace"), re.M)


def _slang(verilog: str) -> list[str]:
    tree = pyslang.syntax.SyntaxTree.fromText(verilog)
    compilation = pyslang.ast.Compilation()
    compilation.addSyntaxTree(tree)
    engine = pyslang.DiagnosticEngine(tree.sourceManager)
    found = [item for item in compilation.getAllDiagnostics() if item.isError()]
    return [f"slang: {engine.formatMessage(item)}" for item in found]
