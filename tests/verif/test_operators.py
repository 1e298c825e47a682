# SPDX-License-Identifier: Apache-2.0
"""Operand sets: other lengths of the sampling run, and samples of panels."""

from __future__ import annotations

import pytest
import torch

from hw.config import load_config
from hw.errors import VidaError
from model.vectors import Entry
from verif.operators import Operands, Operator, load_list
from verif.stimulus import stimulus


def entry(step: int, frame: int, rows: int, columns: int, product: str = "single") -> Entry:
    current = torch.arange(rows)[:, None].repeat(1, 8)
    result = torch.arange(rows)[:, None].repeat(1, columns)
    return Entry(f"{step}.{frame}.{product}", "small", "fc1", 0, "spatial", 50, step, frame, -1, "timestep", product,
                 current, current, torch.ones(8, columns), result, result)


def operands(kind: str, layer: int, entries: list[Entry]) -> Operands:
    return Operands(Operator(kind=kind, layer=layer, emit=("int8",)), "timestep", tuple(entries))


def test_positions_scale_with_the_length_of_the_run() -> None:
    chosen = load_list()
    assert chosen.at_steps(50) == chosen
    assert {steps: chosen.at_steps(steps).at for steps in (20, 8)} == {20: (2, 10, 18), 8: (1, 4, 7)}
    with pytest.raises(VidaError, match="sampling run of 12 steps: the network is quantised for 50, 20, 8"):
        chosen.at_steps(12)


def test_a_sample_is_a_run_of_panels_that_moves_from_step_to_step() -> None:
    whole = operands("fc1", 0, [entry(step, 3, 64, 16) for step in (5, 25, 45)])
    sample = whole.sampled(4)
    assert whole.sampled(1) is whole and sample.macs * 4 == whole.macs
    # The weights are the same in all steps: one right slot.
    assert [part.current[:, 0].tolist() for part in sample.entries] == [list(range(16, 64))]
    assert all(torch.equal(part.result[:, 0], part.current[:, 0]) and torch.equal(part.init, part.result)
               for part in sample.entries)


@pytest.mark.parametrize("layer", [0, 3])
def test_attention_stays_whole(layer) -> None:
    whole = operands("values", layer, [entry(step, 3, 64, 32) for step in (5, 25, 45)])
    assert whole.sampled(4).entries == whole.entries


def test_keys_of_several_tokens_share_a_right_slot() -> None:
    entries = [entry(step, token, 8, 8, product) for product in ("first", "second")
               for step in (5, 25) for token in (3, 17, 34, 60)]
    whole = operands("scores", 3, entries)
    products = whole.products()
    assert len(products) == 4 and whole.macs == 8 * 8 * 8 * 8
    for n, product in enumerate(products):
        assert product.current.shape == (32, 8) and product.right.shape == (8, 32)
        mine = stimulus([product], load_config("paper"))
        for t, one in enumerate(entries[4 * n:4 * n + 4]):
            block = slice(8 * t, 8 * t + 8)
            assert (mine.accumulators[block, block] == one.result.numpy()).all()
            assert (product.init[block, block] == one.init.numpy()).all()
        assert not product.init[:8, 8:].any()
