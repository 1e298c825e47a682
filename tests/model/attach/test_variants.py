# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of the four classes differ in more than their size: rotary embeddings, images, gates, masks, bfloat16."""

import diffusers
import pytest
import torch

from hw.errors import VidaError
from model.approximate.config import DittoConfig, EXIONConfig
from model.attach import apply, calibrate
from model.attach.loading import TINY
from model.attach.subjects import DiffusersSubject, Size

LATTE, COGVIDEOX, WAN = "LatteTransformer3DModel", "CogVideoXTransformer3DModel", "WanTransformer3DModel"
VARIANTS = {
    "CogVideoX-5b": (COGVIDEOX, dict(use_rotary_positional_embeddings=True)),
    "CogVideoX1.5": (COGVIDEOX, dict(use_rotary_positional_embeddings=True, patch_size_t=2, patch_bias=False)),
    "Wan I2V": (WAN, dict(image_dim=10, added_kv_proj_dim=24, in_channels=8)),
    "Wan, a timestep for each token": (WAN, {}),
    "Latte with gates": (LATTE, dict(activation_fn="geglu")),
    "Latte with a mask, two videos, bfloat16": (LATTE, {}),
}


def _made(what):
    """(model, run) of a variant."""
    name, fields = VARIANTS[what]
    torch.manual_seed(0)
    model = getattr(diffusers, name)(**TINY[name] | fields).eval()
    subject = DiffusersSubject(name, model, Size())
    draw = torch.Generator().manual_seed(1)
    channels, videos = model.config.in_channels, 2 if "two videos" in what else 1
    x, text = torch.randn(videos, channels, 4, 8, 8, generator=draw), torch.randn(videos, 5, 12, generator=draw)
    given = {}
    if what == "Wan I2V":
        given = {"encoder_hidden_states_image": torch.randn(1, 5, 10, generator=draw)}
        text = torch.randn(1, 512, 12, generator=draw)
    if "mask" in what:
        model.to(torch.bfloat16)
        x, text = x.bfloat16(), text.bfloat16()
        given = {"encoder_attention_mask": torch.tensor([[[0, 0, 0, -10000, -10000]]] * 8, dtype=torch.bfloat16)}

    @torch.no_grad()
    def run():
        if name == COGVIDEOX or what == "Latte with gates":
            return list(subject.sample(2, 1))[-1]
        times = torch.full((1, 64), 900) if "each token" in what else torch.tensor([900] * videos)
        calls = (model(hidden_states=x * scale, timestep=(times * scale).long(), encoder_hidden_states=text,
                       return_dict=False, **given)[0] for scale in (1, 0.9, 0.8))
        return list(calls)[-1].float()

    return model, run


@pytest.mark.parametrize("what", VARIANTS)
def test_variants_of_the_classes(what):
    model, run = _made(what)
    reference, calibration = run(), calibrate(model, run)
    with apply(model, [], calibration, statistics=False):
        dense = run()
    with apply(model, DittoConfig(), calibration, statistics=False):
        assert torch.equal(run(), dense)
    assert torch.equal(run(), reference)
    assert 0 < ((dense - reference).norm() / reference.norm()).item() < 0.02
    if what == "Latte with gates":
        with pytest.raises(VidaError, match="GEGLU multiplies two halves"):
            apply(model, EXIONConfig(eager=None), calibration)
