# SPDX-License-Identifier: Apache-2.0
import subprocess
from pathlib import Path

import pytest

from hw.control.isa import BYTES, FORMATS, Opcode, instruction
from hw.control.isa_text import c_header, disassemble, markdown
from hw.payloads import Init

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_what_the_definition_gives():
    assert (DOCS / "isa.md").read_text() == markdown(), "python -m hw.control.isa_text > docs/isa.md"


def test_a_line_shows_what_is_not_at_its_default():
    item = instruction(Opcode.MATMUL, wait=0b101, rows=4, init=Init.TILE, current=0x20)
    assert disassemble(item) == "MATMUL wait=0+2 init=TILE rows=4 current=0x20"
    assert disassemble(instruction(Opcode.END, tag=3)) == "END tag=3"


def test_the_header_is_c(tmp_path):
    header = c_header()
    for opcode, fields in FORMATS.items():
        for field in fields:
            place = f"{field.byte}, {field.bit}, {field.bits}"
            assert f"#define VIDA_{opcode.name}_{field.name.upper()} {place}\n" in header
    (tmp_path / "isa.h").write_text(header)
    try:
        subprocess.run(["cc", "-fsyntax-only", "-Wall", "-Werror", tmp_path / "isa.h"], check=True)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    assert f"VIDA_ISA_BYTES {BYTES}" in header
