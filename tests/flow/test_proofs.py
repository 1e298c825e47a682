# SPDX-License-Identifier: Apache-2.0
"""What `vida prove` asks, prints and keeps, and what it takes for a proof. The solver itself: tests/verif/formal."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from flow import proofs
from hw.config import load_config
from hw.errors import VidaError
from verif.formal.claims import CLAIMS
from verif.formal.run import Proof

TINY = load_config("tiny")
CLAIM = next(claim for claim in CLAIMS if claim.name == "digits")
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "verification.md"


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """Runs made; `asked.verdicts` says what each mode gives."""
    class Asked(list):
        verdicts = {"prove": "proved", "cover": "reached"}

    asked = Asked()
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))

    def show(claim, config, depth, timeout_s, mode="prove"):
        asked.append((claim.name, mode))
        return Proof(asked.verdicts[mode], depth, 1.0, None, tmp_path / "sby.log", ("issued once",))

    monkeypatch.setattr(proofs, "show", show)
    return asked


def test_an_answer_is_kept(asked):
    first = proofs.answer(CLAIM, TINY, 12, 600)
    again = proofs.answer(CLAIM, TINY, 12, 600)
    assert first.holds and again.holds and again.kept and not first.kept
    assert asked == [("digits", "prove"), ("digits", "cover")]
    assert not proofs.answer(CLAIM, load_config("paper"), 12, 600).kept


@pytest.mark.parametrize("verdicts, text", [
    ({"prove": "proved", "cover": "open"}, "a cover point is not reached"),
    ({"prove": "refuted", "cover": "reached"}, "refuted: issued once"),
    ({"prove": "open", "cover": "reached"}, "open")])
def test_anything_less_is_no_proof(asked, verdicts, text):
    asked.verdicts = verdicts
    found = proofs.answer(CLAIM, TINY, 12, 600)
    assert not found.holds and text in found.text
    assert not proofs.answer(CLAIM, TINY, 12, 600).kept


def test_a_bound_is_told(asked):
    asked.verdicts = {"prove": "bounded", "cover": "reached"}
    found = proofs.answer(CLAIM, TINY, 7, 600)
    assert found.holds and found.text == "holds for 7 cycles from reset"


def test_every_claim_has_a_line():
    console = Console(file=io.StringIO(), width=200)
    answers = iter(["proved"] * (len(CLAIMS) - 1) + ["refuted"])

    def ask(claim, config, depth, timeout_s):
        return proofs.Answer(claim.name, next(answers), depth, 1.0, trace="trace.vcd")

    assert not proofs.prove(TINY, [], 12, 600, console, ask)
    text = console.file.getvalue()
    assert all(claim.name in text for claim in CLAIMS) and "proved for any length" in text and "trace.vcd" in text


def test_an_unknown_claim_is_told():
    with pytest.raises(VidaError, match="unknown claim 'queue' about tiny: known are queues, "):
        proofs.chosen(TINY, ["queue"])
    with pytest.raises(VidaError, match="'digits' about dense8"):
        proofs.chosen(load_config("dense8"), ["digits"])


def test_the_document_names_every_claim():
    table = re.findall(r"(?m)^\| `([a-z.0-9]+)` \|.*\| (yes|no) \|", DOCUMENT.read_text())
    assert dict(table) == {claim.name: "yes" if claim.main else "no" for claim in CLAIMS}
    console = Console(file=io.StringIO(), width=200)
    proofs.listing(TINY, console)
    listed = re.findall(r"(?m)^([a-z.0-9]+) ", console.file.getvalue())
    assert listed == [claim.name for claim in CLAIMS]
