# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from torch import nn

from hw.errors import VidaError
from model.networks import PRESETS, VideoTransformer, count_macs, patchify, preset, unpatchify


@pytest.mark.parametrize("name", PRESETS)
def test_patches_restore_the_video(name):
    config = preset(name)
    video = torch.randn(2, config.frames, config.size, config.size)
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
        torch.zeros(1, config.frames, config.size, config.size),
        torch.zeros(1),
        torch.zeros(1, dtype=torch.long),
    )
    counted = count_macs(config)
    assert sum(seen) == sum(counted.values()) - counted["scores"] - counted["values"]


def test_tiny_stays_within_its_budget():
    assert sum(count_macs(preset("tiny")).values()) <= 1_800_000


def test_attention_stays_on_its_axis():
    network = VideoTransformer(preset("tiny"))
    x = torch.randn(1, 4, 16, 32)
    changed = x.clone()
    changed[0, 1, 5] += 1
    for block, same in ((network.blocks[0], (0, 2)), (network.blocks[1], (1, 6))):
        difference = (block.attend(changed) - block.attend(x))[0].abs().amax(dim=-1)
        other = difference[same[0]] if block.axis == "spatial" else difference[:, same[1]]
        assert other.max() == 0 and difference.max() > 0


def test_unknown_preset_is_refused():
    with pytest.raises(VidaError, match="'huge'.*tiny, small"):
        preset("huge")
