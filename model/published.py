# SPDX-License-Identifier: Apache-2.0
"""FVD and CLIPSIM with the published networks, from files that the user has: nothing is downloaded.

FVD (Unterthiner et al., 2018) takes I3D as a TorchScript archive in the layout that video generation code passes
around (`i3d_torchscript.pt` of StyleGAN-V): `network(video, rescale=True, resize=True, return_features=True)` of
(N, 3, T, H, W) in 0..255 gives (N, 400). CLIPSIM (Wu et al., "GODIVA", 2021) is the mean similarity of frames and text
under CLIP, from a folder in the layout of `transformers` (config.json, weights, tokenizer).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hw.errors import VidaError
from model.frechet import frechet
from model.video import MOTIONS

#: I3D wants at least ten frames; shorter videos are slowed down to so many.
FRAMES = 16
#: What is in a video of each class, for CLIP.
TEXTS = {
    "right": "a bright disc moving to the right", "left": "a bright disc moving to the left",
    "down": "a bright disc moving down", "up": "a bright disc moving up",
    "circle": "a bright disc moving in a circle", "pulse": "a bright disc that grows and shrinks",
}


class I3D:
    """The feature network of FVD from a TorchScript archive; raises `VidaError` where it is none, or another."""

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise VidaError(f"no such file: {file} (FVD needs I3D as TorchScript, as i3d_torchscript.pt)")
        try:
            self.network = torch.jit.load(str(file), map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise VidaError(f"{file} is no TorchScript archive: {str(error).splitlines()[0]}") from error
        self.file = file

    @torch.no_grad()
    def features(self, videos: Tensor) -> Tensor:
        """Features (N, d) float64 of gray videos (N, F, H, W), pixels nominally -1..1."""
        frames = torch.arange(FRAMES) * videos.shape[1] // FRAMES if videos.shape[1] < FRAMES else slice(None)
        bytes_ = ((videos[:, frames].clamp(-1, 1) + 1) * 127.5).round()
        colour = bytes_[:, None].expand(-1, 3, -1, -1, -1)
        try:
            found = [self.network(part, rescale=True, resize=True, return_features=True) for part in colour.split(8)]
        except RuntimeError as error:
            raise VidaError(f"{self.file} does not take (video, rescale, resize, return_features) as I3D does: "
                            f"{str(error).splitlines()[0]}") from error
        features = torch.cat(found)
        if features.dim() != 2:
            raise VidaError(f"{self.file} gives features of shape {tuple(features.shape)}, expected (videos, numbers)")
        return features.double()

    def distance(self, videos: Tensor, reference: Tensor) -> float:
        """FVD between two sets of videos (N, F, H, W). Biased upwards by small sets: thousands are usual."""
        return frechet(self.features(videos), self.features(reference))


class CLIP:
    """CLIP from a folder; raises `VidaError` where the folder or the package `transformers` lacks."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file():
            raise VidaError(f"no CLIP in {folder}: config.json, weights and tokenizer are needed, as `transformers` "
                            "saves them")
        try:
            from transformers import AutoTokenizer, CLIPModel
        except ImportError as error:
            raise VidaError("CLIPSIM needs the package transformers: pip install 'vida[clip]'") from error
        try:
            self.network = CLIPModel.from_pretrained(folder, local_files_only=True).eval()
            self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise VidaError(f"{folder} does not hold CLIP: {str(error).splitlines()[0]}") from error

    @torch.no_grad()
    def similarity(self, videos: Tensor, labels: list[int]) -> float:
        """CLIPSIM: mean cosine of every frame of videos (N, F, H, W) and its class's text."""
        config = self.network.config.vision_config
        size = (config.image_size, config.image_size)
        mean, deviation = (torch.tensor(values)[:, None, None] for values in _NORMALISATION)
        texts = self.tokenizer([TEXTS[MOTIONS[label]] for label in labels], return_tensors="pt", padding=True)
        words = _unit(self.network.get_text_features(**texts))
        found = []
        for video, word in zip(videos, words, strict=True):
            gray = ((video.clamp(-1, 1) + 1) / 2)[:, None]
            frames = torch.nn.functional.interpolate(gray, size, mode="bicubic", antialias=True).expand(-1, 3, -1, -1)
            found.append((_unit(self.network.get_image_features((frames - mean) / deviation)) @ word).mean())
        return torch.stack(found).mean().item()


#: Mean and deviation of CLIP's colours (Radford et al., 2021, code).
_NORMALISATION = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


def _unit(found: Any) -> Tensor:
    """Embeddings (N, d) of length 1; newer versions of the package wrap them."""
    vectors = found if isinstance(found, Tensor) else found.pooler_output
    return vectors / vectors.norm(dim=-1, keepdim=True)
