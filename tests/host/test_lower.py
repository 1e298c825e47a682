# SPDX-License-Identifier: Apache-2.0
from collections import Counter

import pytest
import torch

from host.driver import LawMachine, Sampler
from host.lower import Lowering, lower
from hw.config import load_config
from hw.control.isa import Opcode, VectorOp
from hw.errors import VidaError
from hw.payloads import Init
from model.exact.step import denoise
from model.methods import method
from model.networks import NetworkConfig
from model.quantise import load_quantised


def _same_as_the_law(lowered, machine, label=1, steps=(0, 1)):
    """Run steps of 50 on the machine and compare each with the law of its method."""
    sampler, network, operators = Sampler(lowered, machine), lowered.network, method(lowered.method)
    video = network.noise[label]
    for step in steps:
        want = denoise(network, video, label, step, 50, operators)
        assert torch.equal(sampler.step(video, label, step, 50), want)
        video = want


def _machine(lowered, **parameters):
    return LawMachine(lowered.config, lowered.image.size, **parameters)


@pytest.mark.parametrize("label", [0, 3])
def test_steps_of_tiny_are_the_laws_bit_for_bit(lowered, label):
    _same_as_the_law(lowered(), _machine(lowered()), label, steps=(0, 1, 2, 49))


@pytest.mark.parametrize("seed", range(6))
def test_every_legal_order_of_the_queues_gives_the_same(lowered, seed):
    _same_as_the_law(lowered(), _machine(lowered(), seed=seed), steps=(7,))


@pytest.mark.parametrize("seed", [None, 0])
def test_queues_of_one_instruction_suffice(lowered, seed):
    _same_as_the_law(lowered(), _machine(lowered(), seed=seed, queue_depth=1), steps=(7,))


@pytest.mark.parametrize("changes", [
    {"ccpes": 1}, {"ccpes": 4}, {"pegs": 3}, {"pegs": 4}, {"right_rows": 24, "ccpes": 1}, {"right_rows": 512},
    {"buffers": 2, "buffer_lines": 1024}, {"buffer_lines": 512}, {"buffer_lines": 256},
    {"lane": "native", "allocation": "none", "queue_depth": 8}], ids=str)
def test_other_machines(lowered, changes):
    _same_as_the_law(lowered(**changes), _machine(lowered(**changes), seed=1), steps=(7,))


def test_original_is_dense_with_zeros_skipped(lowered):
    products = [[item.replace(wait=0, signal=0, fence=0) for item in lowered(method).step.instructions
                 if item.opcode is Opcode.MATMUL] for method in ("dense", "original")]
    assert sorted(map(str, (item.replace(skip=0) for item in products[1]))) == sorted(map(str, products[0]))
    assert all(item["skip"] for item in products[1])
    _same_as_the_law(lowered("original"), _machine(lowered("original")), steps=(7,))


@pytest.mark.parametrize("name", ["ditto", "vida"])
@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_methods_of_differences_are_their_laws(lowered, name, seed):
    _same_as_the_law(lowered(name), _machine(lowered(name), seed=seed), steps=(0, 1, 2))


@pytest.mark.parametrize("name", ["ditto", "vida"])
@pytest.mark.parametrize("changes", [{"ccpes": 1}, {"ccpes": 4}, {"right_rows": 16}, {"pegs": 2}, {"pegs": 3},
                                     {"pegs": 4, "buffer_lines": 2048}], ids=str)
def test_methods_of_differences_on_other_machines(lowered, name, changes):
    _same_as_the_law(lowered(name, **changes), _machine(lowered(name, **changes), seed=1), steps=(30, 31))


def test_a_new_run_of_ditto_begins_anew(lowered):
    ditto = lowered("ditto")
    sampler, network = Sampler(ditto, _machine(ditto)), ditto.network
    first = sampler.step(network.noise[0], 0, 0, 50)
    sampler.step(first, 0, 1, 50)
    sampler.begin()
    assert torch.equal(sampler.step(network.noise[0], 0, 0, 50), first)


def test_differences_are_what_is_multiplied(lowered):
    """Of every product but those the method computes whole: embed, qkv, out, fc1, fc2 and head, and spatial scores."""
    referred = {lowered("ditto").operators[item["tag"]] for item in lowered("ditto").step.instructions
                if item.opcode is Opcode.MATMUL and item["use_reference"]}
    names = {f"block{n}.{kind}" for n in range(2) for kind in ("qkv", "out", "fc1", "fc2")}
    assert referred == names | {"block0.scores", "embed", "head"}


@pytest.mark.parametrize(("name", "under_way"), [("dense", 4), ("ditto", 4), ("vida", 1)])
def test_small_on_default(name, under_way):
    small = Lowering(load_quantised("small")[0], load_config("default"), name, places=1, under_way=under_way).run()
    _same_as_the_law(small, _machine(small, seed=1, queue_depth=8), steps=(20,))


@pytest.mark.parametrize(("name", "width"), [("dense", 2), ("vida", 4)])
def test_pegs_share_the_rows_of_a_group(lowered, name, width):
    """Of every linear operator each PEG has as many; those of two PEGs of a group are of the same columns."""
    shared = lowered(name, pegs=4)
    rows = Counter()
    for item in shared.step.instructions:
        if item.opcode is Opcode.MATMUL and item["init"] is not Init.ZERO:
            rows[shared.operators[item["tag"]], item["unit"], item["rows"]] += 1
    tokens = shared.network.config.tokens
    assert {size for (operator, _, size) in rows if operator.endswith("fc1")} == {tokens // width}
    assert len({rows["block0.fc1", unit, tokens // width] for unit in range(4)}) == 1


def test_a_norm_reads_its_operands_from_three_banks(lowered):
    norms = [item for item in lowered().step.instructions[:-1]
             if item.opcode is Opcode.VECTOR and item["op"] is VectorOp.LAYERNORM]
    size = lowered().config.buffer_lines
    assert norms and all(len({item[name] // size for name in "xuv"}) == 3 for item in norms)


@pytest.mark.parametrize("places", [1, 2])
def test_constants_loaded_once_or_with_every_step(places):
    found = Lowering(load_quantised("tiny")[0], load_config("tiny"), "dense", places, under_way=2).run()
    assert found.resident is (places == 2)
    names = {found.operators[item["tag"]] for item in found.step.instructions[:-1]}
    assert ("constants" in names) != found.resident
    _same_as_the_law(found, _machine(found, seed=2), steps=(7, 8))


@pytest.mark.parametrize(("changes", "words"), [
    ({"ccpes": 8}, "ccpes is 8: heads of 16 columns must fill lines.* 1 or 2 or 4 allowed"),
    ({"ccpes": 3}, "ccpes is 3"),
    ({"buffer_lines": 64}, "tiny: .* needs .* adjacent lines of a bank.*; buffer_lines = 256 would do")])
def test_what_does_not_fit_is_refused_with_what_would(changes, words):
    with pytest.raises(VidaError, match=words):
        lower(load_quantised("tiny")[0], load_config("tiny").replace(**changes))


def test_what_a_machine_cannot_do_is_refused():
    network, native = load_quantised("tiny")[0], {"lane": "native", "allocation": "none", "queue_depth": 8}
    with pytest.raises(VidaError, match="lane is native, which has no differences: ditto needs lane = digit"):
        lower(network, load_config("tiny").replace(**native), "ditto")
    with pytest.raises(VidaError, match="k_max is 64: sums of 128 products need at least that"):
        lower(network, load_config("tiny").replace(k_max=64))


def test_unknown_methods_and_odd_shapes_are_refused():
    network = load_quantised("tiny")[0]
    with pytest.raises(VidaError, match="method 'magic' cannot be lowered: dense, original, ditto, vida can"):
        lower(network, load_config("tiny"), "magic")
    odd = NetworkConfig(frames=6, size=12, patch=4, dim=32, heads=2, pairs=1, classes=4)
    object.__setattr__(network, "config", odd)
    with pytest.raises(VidaError, match="9 tokens of a frame: a multiple of 4 needed; 6 frames"):
        lower(network, load_config("tiny"))


@pytest.mark.parametrize(("preset", "words"), [
    ("full", "family is full: blocks of one spatial or temporal attention"), ("stdit", "family is stdit"),
    ("latent", "frames have 4 channels: the driver patches gray frames")])
def test_families_that_are_not_lowered_are_refused(preset, words):
    with pytest.raises(VidaError, match=words):
        lower(load_quantised(preset)[0], load_config("tiny"))
