# SPDX-License-Identifier: Apache-2.0
from host.listing import instructions, table, work
from model.networks import count_macs


def test_work_of_the_listing_is_the_networks(lowered):
    found = work(lowered().step, lowered().operators, lowered().config)
    macs = count_macs(lowered().network.config)
    for kind in ("qkv", "scores", "values", "out", "fc1", "fc2"):
        assert sum(entry.products for name, entry in found.items() if name.endswith(f".{kind}")) == macs[kind]
    assert (found["embed"].products, found["head"].products) == (macs["embed"], macs["head"])
    assert found["block0.fc1"].tiles == 4 * 4 * 16
    assert found["head.store"].bytes == 64 * 16 * 4


def test_moves_are_listed_apart_from_what_they_serve(lowered):
    found = work(lowered("ditto").step, lowered("ditto").operators, lowered("ditto").config)
    assert found["block0.fc1"].unit == "MATMUL"
    assert found["block0.fc1.store"].bytes == 64 * 32 + 64 * 128 * 4


def test_a_person_can_read_it(lowered):
    text = table(lowered())
    assert text.startswith("dense on tiny: ")
    assert "cycles modelled" in text
    assert "block1.softmax" in text
    assert "note:" not in text
    assert "note: values are of whole operands" in table(lowered("ditto"))
    lines = instructions(lowered().step, lowered().operators).splitlines()
    assert len(lines) == len(lowered().step.instructions)
    assert lines[-1].endswith(" END")
    assert any("MATMUL" in line and "block0.qkv" in line for line in lines)
