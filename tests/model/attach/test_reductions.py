# SPDX-License-Identifier: Apache-2.0
"""Methods that leave out or merge tokens, on unmodified models: what is copied and how much work is left."""

import pytest
import torch

from hw.errors import VidaError
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    DiToConfig,
    DittoConfig,
    KeyGuide,
    ORBISConfig,
    ToMeConfig,
)
from model.attach import apply, dito_interval

COGVIDEOX, DIT = "CogVideoXTransformer3DModel", "DiTTransformer2DModel"


def _matrices(rows, calibration):
    """Rows of a layer's output as the matrices that its attention mixes, text left out."""
    prefix = calibration.geometry.prefix
    return [matrix[prefix:] for matrix in rows.reshape(-1, *rows.shape[-2:])]


def _copies(found, dense, calibration):
    """Rows that are another one's in `dense`; every row is one of them."""
    count = 0
    for here, there in zip(_matrices(found, calibration), _matrices(dense, calibration), strict=True):
        same = (here[:, None] == there[None]).all(-1)
        assert same.any(1).all()
        count += int((~same.diagonal()).sum())
    return count


REDUCTIONS = {
    "orbis": (ORBISConfig(), 0.5), "orbis, whole output": (ORBISConfig(q_ratio=0.25, after_projection=True), 0.25),
    "dito": (DiToConfig(interval=2, weight=256), 0.5),
}


@pytest.mark.parametrize("what", REDUCTIONS)
def test_dropped_queries_copy_outputs(what, prepared, outputs, first, left):
    """In the first block, whose input is still dense's: step 1 computes some rows and copies the others."""
    config, ratio = REDUCTIONS[what]
    subject, calibration = prepared
    layer = first[subject.name][1]
    _, _, dense = outputs(subject, calibration, [], layer)
    _, attached, found = outputs(subject, calibration, config, layer)
    assert torch.equal(found[0], dense[0])
    rows = sum(len(matrix) for matrix in _matrices(dense[1], calibration))
    assert 0 < _copies(found[1], dense[1], calibration) <= rows * ratio
    assert left(attached, "scores") < 1 and left(attached, "qkv") < 1


def test_asymrnr_copies_by_head(prepare, outputs, first):
    """PV of every head is copied: told by the output projection's input."""
    subject, calibration = prepare(COGVIDEOX)
    seen = {}
    module = subject.model.get_submodule(first[COGVIDEOX][1])
    handle = module.register_forward_pre_hook(lambda _, inputs: seen.setdefault("first", []).append(inputs[0]))
    outputs(subject, calibration, [], first[COGVIDEOX][1])
    dense = seen.pop("first")[0].unflatten(-1, (2, -1)).transpose(1, 2)
    outputs(subject, calibration, AsymRnRConfig(kv_ratio=0), first[COGVIDEOX][1])
    handle.remove()
    found = seen["first"][0].unflatten(-1, (2, -1)).transpose(1, 2)
    prefix = calibration.geometry.prefix
    assert torch.equal(found[:, :, :prefix], dense[:, :, :prefix])
    for head in range(2):
        same = (found[0, head, prefix:, None] == dense[0, head, None, prefix:]).all(-1)
        assert same.any(1).all() and int((~same.diagonal()).sum()) == 32


def test_dropped_keys_are_not_read(prepared, outputs, first):
    """Fewer K and V are projected, fewer scores and values multiplied; by either guide."""
    subject, calibration = prepared
    for config in (ORBISConfig(q_ratio=0, kv_ratio=0.5), ORBISConfig(q_ratio=0, kv_ratio=0.5, kv_guide=KeyGuide.VALUE)):
        _, attached, _ = outputs(subject, calibration, config, first[subject.name][1])
        layers = {layer.key: layer for layer in attached.statistics() if layer.kind == "qkv"}
        query = first[subject.name][0]
        key = layers[query.replace("to_q", "to_k")]
        assert layers[query].done == layers[query].macs
        assert key.done == pytest.approx(key.macs * (1 + 0.5 + 0.5) / 3)  # the first of three steps is whole


def test_tome_merges_inputs(prepared, outputs, first):
    """Merged tokens share all rows; half of each frame is left."""
    subject, calibration = prepared
    _, attached, found = outputs(subject, calibration, ToMeConfig(), first[subject.name][1])
    tokens = calibration.geometry.tokens
    for matrix in _matrices(found[0], calibration):
        for frame in matrix.split(tokens):
            assert len(torch.unique(frame, dim=0)) <= tokens // 2
    first = next(layer for layer in attached.statistics() if layer.key == first[subject.name][0])
    assert first.done == first.macs // 2


def test_cmc_copies_rows_of_the_middle_frame(prepared, outputs, first, left):
    subject, calibration = prepared
    layer, frames = first[subject.name][0], calibration.geometry.frames
    if frames == 1:
        with pytest.raises(VidaError, match="CMCConfig serves no layer of this model: its call has one frame"):
            apply(subject.model, CMCConfig(), calibration)
        return
    dense, _, _ = outputs(subject, calibration, [], layer)
    same, attached, _ = outputs(subject, calibration, CMCConfig(threshold=0), layer)
    assert torch.equal(same, dense) and left(attached, "qkv") == 1
    config = CMCConfig(threshold=200, segment=frames)
    _, attached, found = outputs(subject, calibration, config, layer)
    rows = torch.cat(_matrices(found[0], calibration)).unflatten(0, (frames, -1))
    middle = rows[(frames - 1) // 2]
    assert (rows[:, :, None] == middle[None, None]).all(-1).any(-1).all()
    both, _, _ = outputs(subject, calibration, [config, DittoConfig()], layer)
    alone, _, _ = outputs(subject, calibration, config, layer)
    assert torch.equal(both, alone)


def test_dito_interval(prepare, sampled):
    """By the pair match ratio: 1 where every pair has to match again, the length of the run where none has to."""
    subject, calibration = prepare(DIT)
    found = [dito_interval(subject.model, DiToConfig(match_ratio=ratio), calibration, lambda: sampled(subject))
             for ratio in (1000, 600, 0)]
    assert found[0] == 1 and found[-1] == 3 and found == sorted(found)
    assert not subject.model._forward_pre_hooks
