# SPDX-License-Identifier: Apache-2.0
import pytest

from hw.config import load_config
from hw.generate import verilog_text
from verif.lint import WAIVERS, lint


@pytest.mark.parametrize(("preset", "changes"), [
    ("tiny", {}), ("tiny", {"allocation": "none", "drain": "inplace", "depth": 2}),
    ("tiny", {"allocation": "sparse", "sparse_sum": "shared", "queue_depth": 8}), ("paper", {"pegs": 1, "ccpes": 2}),
    ("default", {"pegs": 1, "ccpes": 4}), ("dense8", {"pegs": 1, "ccpes": 1})])
def test_generated_verilog_is_clean(preset, changes):
    config = load_config(preset).replace(**changes)
    assert lint(verilog_text(config)[0], f"vida_{config.name}") == []


def test_faults_are_told():
    latch = "module bad(input a, input b, output reg q);\n  always @* if (a) q = b;\nendmodule\n"
    assert any("LATCH" in message for message in lint(latch, "bad"))
    undeclared = "module bad(input a, output q);\n  assign q = a & missing_name[3];\nendmodule\n"
    messages = lint(undeclared, "bad")
    assert any(message.startswith("%Error") for message in messages)
    assert any(message.startswith("slang:") and "missing_name" in message for message in messages)


def test_each_waiver_names_one_rule_and_its_reason():
    lines = WAIVERS.read_text().splitlines()
    for before, line in zip(lines, lines[1:], strict=False):
        if line.startswith("lint_off"):
            assert line.startswith("lint_off -rule ") and before.startswith(("//", "lint_off"))
