# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from hw.errors import VidaError
from model.networks import PRESETS, NetworkConfig, count_macs, patchify, preset, unpatchify
from model.transformer import Attention, VideoTransformer


@pytest.mark.parametrize("name", PRESETS)
def test_patches_restore_the_video(name):
    config = preset(name)
    video = torch.randn(2, config.frames, *config.frame_shape)
    patches = patchify(video, config)
    assert patches.shape == (2, config.frames, config.tokens, config.patch_dim)
    assert torch.equal(unpatchify(patches, config), video)


@pytest.mark.parametrize("name", PRESETS)
def test_counted_macs_match_the_layers(name):
    config = preset(name)
    network, seen = VideoTransformer(config), []
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda m, i, o: seen.append(o.numel() * m.in_features))
    network(
        torch.zeros(1, config.frames, *config.frame_shape),
        torch.zeros(1),
        torch.zeros(1, dtype=torch.long),
    )
    counted = count_macs(config)
    assert sum(seen) == sum(counted.values()) - counted["scores"] - counted["values"]


def test_tiny_stays_within_its_budget():
    assert sum(count_macs(preset("tiny")).values()) <= 1_800_000


def test_attention_stays_on_its_axis():
    config = preset("tiny")
    x = torch.randn(1, 4, 16, 32)
    changed = x.clone()
    changed[0, 1, 5] += 1
    mixed = {}
    for axis in ("spatial", "temporal", "full"):
        attend = Attention(config, axis)
        mixed[axis] = (attend(changed) - attend(x))[0].abs().amax(dim=-1) > 0  # (F, T)
    assert mixed["full"].all()
    assert mixed["spatial"].sum() == 16 and mixed["spatial"][1].all()
    assert mixed["temporal"].sum() == 4 and mixed["temporal"][:, 5].all()


def test_cross_attention_mixes_condition_tokens_alone():
    config, x, context = preset("stdit"), torch.randn(2, 8, 36, 64), torch.randn(2, 4, 64)
    attend, changed = Attention(config, "cross"), x.clone()
    changed[0, 1, 5] += 1
    moved = (attend(changed, context) - attend(x, context)).abs().amax(dim=-1) > 0
    assert moved.sum() == 1 and moved[0, 1, 5]
    assert not torch.allclose(attend(x, context + 1), attend(x, context))


def test_unknown_preset_is_refused():
    with pytest.raises(VidaError, match="'huge'.*tiny, small"):
        preset("huge")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"patch": 5}, "16 x 16 do not divide into patches of 5"),
        ({"heads": 3}, "32 channels for 3 heads: a multiple of 12 needed"),
        ({"context": 4}, "4 condition tokens in family latte: stdit alone"),
        ({"correlation": 1.5}, r"noise correlation 1.5, 0\.\.1 allowed"),
    ],
)
def test_impossible_shapes_are_refused(change, message):
    with pytest.raises(VidaError, match=message):
        NetworkConfig(**(preset("tiny").as_dict() | change))


def test_shapes_of_old_files_are_said_as_they_were():
    assert list(preset("small").as_dict()) == ["frames", "size", "patch", "dim", "heads", "pairs", "classes"]
    assert preset("stdit").as_dict() | {"family": "stdit", "context": 4} == preset("stdit").as_dict()
