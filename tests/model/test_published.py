# SPDX-License-Identifier: Apache-2.0
"""Stand-ins of the published networks' layout: the real files are the user's."""

import json
import sys

import pytest
import torch

from hw.errors import VidaError
from model.frechet import source_videos
from model.networks import preset
from model.published import CLIP, FRAMES, I3D, TEXTS
from model.video import MOTIONS


class StandIn(torch.nn.Module):
    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool):
        assert x.dim() == 5 and x.shape[1] == 3
        assert rescale and resize and return_features
        x = x / 127.5 - 1
        return torch.cat([x.mean((3, 4)).flatten(1), x.std((3, 4)).flatten(1)], 1)


class Other(torch.nn.Module):
    def forward(self, x: torch.Tensor):
        return x


@pytest.fixture
def i3d(tmp_path):
    torch.jit.script(StandIn()).save(tmp_path / "i3d.pt")
    return I3D(tmp_path / "i3d.pt")


def test_fvd_of_a_stand_in(i3d):
    videos = source_videos(preset("tiny"), 24, 1)
    features = i3d.features(videos)
    assert features.shape == (24, 6 * FRAMES) and features.dtype == torch.float64
    first = ((videos[0, 0].clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1
    assert features[0, 0].item() == pytest.approx(first.mean().item(), abs=1e-5)
    assert i3d.distance(videos, videos) < 1e-6 < i3d.distance(videos, videos * 0.5)


def test_what_is_no_i3d_is_refused(tmp_path):
    with pytest.raises(VidaError, match=r"no such file: .*x\.pt \(FVD needs I3D as TorchScript"):
        I3D(tmp_path / "x.pt")
    (tmp_path / "x.pt").write_bytes(b"no archive")
    with pytest.raises(VidaError, match="is no TorchScript archive"):
        I3D(tmp_path / "x.pt")
    torch.jit.script(Other()).save(tmp_path / "y.pt")
    with pytest.raises(VidaError, match=r"does not take \(video, rescale"):
        I3D(tmp_path / "y.pt").features(torch.zeros(1, 4, 16, 16))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny CLIP with random weights and a vocabulary of the texts' letters."""
    transformers = pytest.importorskip("transformers", reason="the extra `clip` is not installed")
    path = tmp_path_factory.mktemp("clip")
    letters = sorted({letter for text in TEXTS.values() for letter in text if letter != " "})
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (path / "vocab.json").write_text(json.dumps({token: place for place, token in enumerate(tokens)}))
    (path / "merges.txt").write_text("#version: 0.2\n")
    common = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
              "projection_dim": 8}
    torch.manual_seed(0)
    end = len(tokens) - 1
    config = transformers.CLIPConfig(
        text_config=common | {"vocab_size": len(tokens), "eos_token_id": end, "bos_token_id": end - 1,
                              "pad_token_id": end, "max_position_embeddings": 77},
        vision_config=common | {"image_size": 32, "patch_size": 16}, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(path)
    transformers.CLIPTokenizer(str(path / "vocab.json"), str(path / "merges.txt")).save_pretrained(path)
    return path


def test_clipsim_of_a_stand_in(folder):
    clip = CLIP(folder)
    videos = source_videos(preset("tiny"), 4, 1)
    both = clip.similarity(videos, [0, 1, 2, 3])
    assert -1 <= both <= 1
    alone = [clip.similarity(videos[n : n + 1], [n]) for n in range(4)]
    assert both == pytest.approx(sum(alone) / 4, abs=1e-5)


def test_what_is_no_clip_is_refused(tmp_path, monkeypatch):
    with pytest.raises(VidaError, match="no CLIP in"):
        CLIP(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(VidaError, match="does not hold CLIP|needs the package transformers"):
        CLIP(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(VidaError, match=r"pip install 'vida\[clip\]'"):
        CLIP(tmp_path)


def test_every_motion_has_a_text():
    assert tuple(TEXTS) == MOTIONS
