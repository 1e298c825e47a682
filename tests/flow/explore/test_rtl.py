# SPDX-License-Identifier: Apache-2.0
"""The schedule of a small machine against its Verilog; a machine that differs in size only is played once."""

from __future__ import annotations

import pytest
import torch

from flow.explore import command, rtl
from flow.explore.rtl import Ratio, narrowed, ratios
from flow.explore.space import Configured
from hw.config import load_config
from hw.errors import VidaError
from model.vectors import Entry
from verif.operators import Operands, load_list


@pytest.fixture
def part(monkeypatch):
    generator = torch.Generator().manual_seed(1)
    current = torch.randint(-9, 10, (24, 32), generator=generator)
    right = torch.randint(-128, 128, (32, 8), generator=generator)
    init = torch.zeros(24, 8, dtype=torch.int64)
    entry = Entry("x", "small", "fc1", 0, "spatial", 50, 5, 3, -1, "none", "single", current,
                  torch.zeros_like(current), right, init, current @ right)
    made = Operands(load_list().operator[4], "none", (entry,))
    monkeypatch.setattr(rtl, "operand_set", lambda *_: {made.operator: made})
    return made


def test_the_verilog_takes_the_cycles_of_the_schedule(part):
    config = load_config("tiny").replace(allocation="none", queue_depth=8)
    machines = [Configured("none", f"ccpes={ccpes}", config.replace(ccpes=ccpes)) for ccpes in (2, 4)]
    found = ratios(machines, 50, ("none",))
    assert len(found) == 1 and found[0].mismatches == 0 and found[0].results == 24 * 4
    assert found[0].total == found[0].worst == pytest.approx(1, abs=0.01)
    assert narrowed(part).entries[0].result.shape == (24, 4)


def test_a_schedule_that_is_off_is_an_error(monkeypatch, capsys):
    off = Ratio("none", "depth=2", 1.02, 1.1, "fc1 spatial, none", 100, 0)
    monkeypatch.setattr(rtl, "ratios", lambda *_: [off])
    with pytest.raises(VidaError, match="none depth=2: cycles of the Verilog / of the schedule 1.0200, must be within"):
        command.check_schedule("quick", command.Console())
    assert "1.1000" in capsys.readouterr().out
