# SPDX-License-Identifier: Apache-2.0
"""Turn a trained network into integers: `python -m model.quantise --preset small`.

Weights int8 with one scale per output channel; activations int8, symmetric, one static scale per tensor that
holds at every timestep and frame, the largest magnitude seen while calibration videos are sampled. Done once,
offline, in float: the result is committed, so that no machine's float arithmetic can change the law.
"""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from model import checkpoints
from model.command import run
from model.exact.network import (
    VIDEO_FRACTION_BITS,
    AttentionConstants,
    BlockConstants,
    CrossConstants,
    Linear,
    QuantisedNetwork,
    pack,
    unpack,
)
from model.exact.vector.gelu import GeluParams
from model.exact.vector.layernorm import MODULATION_FRACTION_BITS, LayerNormParams
from model.exact.vector.residual import ResidualParams
from model.exact.vector.scaling import Scale
from model.exact.vector.softmax import LOG2_FRACTION_BITS, MEAN_FRACTION_BITS
from model.exact.vector.tables import build_tables
from model.networks import CROSS, NetworkConfig
from model.networks import preset as network_preset
from model.sample import STEP_CHOICES, sample_float, starting_noise
from model.transformer import Attention, Block, VideoTransformer

EPSILON = 1e-6
#: Pixels reach the network as int8 places of 2^-5: +-4. Latents, of unit variance but up to 6, of 2^-4: +-8.
PIXEL_FRACTION_BITS, LATENT_FRACTION_BITS = 5, 4
#: Seeds of the noise that is calibrated on and of the noise that is evaluated.
CALIBRATION_SEED, EVALUATION_SEED = 1, 2


class Ranges:
    """Largest magnitude of every tensor that gets a static scale, by hooks on a sampling network."""

    def __init__(self, network: VideoTransformer) -> None:
        self.absmax: dict[str, float] = defaultdict(float)
        self.handles = []
        for name, module in network.named_modules():
            if isinstance(module, nn.Linear) and "modulation" not in name and "step" not in name:
                self.handles.append(module.register_forward_hook(self._watch_linear(name)))
        for block in network.blocks:
            self.handles.append(block.register_forward_hook(self._watch_stream))

    def see(self, name: str, x: Tensor) -> None:
        """Count `x` in under `name`."""
        self.absmax[name] = max(self.absmax[name], x.abs().max().item())

    def _watch_linear(self, name: str):
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            self.see(f"{name}.in", inputs[0])
            self.see(f"{name}.out", output)
            if name.endswith(("qkv", "kv", ".q")):
                self._watch_parts(name, output)

        return hook

    def _watch_parts(self, name: str, output: Tensor) -> None:
        parts = name.rpartition(".")[2]
        for part, x in zip(parts, output.chunk(len(parts), dim=-1), strict=True):
            self.see(f"{name}.{part}", x)

    def _watch_stream(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.see("stream", inputs[0])
        self.see("stream", output)

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self.handles:
            handle.remove()


def calibrate(network: VideoTransformer) -> dict[str, float]:
    """Largest magnitudes over a full sampling run of one video of every class."""
    classes = network.config.classes
    ranges = Ranges(network)
    sample_float(network, starting_noise(network.config, classes, CALIBRATION_SEED), torch.arange(classes))
    ranges.close()
    return dict(ranges.absmax)


def quantise_linear(layer: nn.Linear, input_scale: float) -> tuple[Linear, list[float]]:
    """Integer weights and bias of `layer`, and the real value of one accumulator place per output channel."""
    weight = layer.weight.detach().double()  # (N, K)
    scale = weight.abs().amax(dim=1).clamp(min=1e-9) / 127
    right = torch.floor(weight / scale[:, None] + 0.5).long().t().contiguous()  # (K, N)
    places = scale * input_scale
    return Linear(right, torch.floor(layer.bias.detach().double() / places + 0.5).long()), places.tolist()


def quantise_attention(layer: Attention, prefix: str, network: VideoTransformer, absmax: dict[str, float],
                       stream: float) -> AttentionConstants:
    """Constants of one attention sub-layer; `stream` is the scale of the residual stream."""

    def scale(name: str) -> float:
        return absmax[f"{prefix}.{name}"] / 127

    cross, dim = layer.axis == CROSS, layer.out.in_features
    name, parts = ("q", "kv") if cross else ("qkv", "qkv")
    q, k, v = scale(f"{name}.q"), scale(f"{parts}.k"), scale(f"{parts}.v")
    qkv, qkv_places = quantise_linear(getattr(layer, name), scale(f"{name}.in"))
    outputs = [q] * dim + [k] * dim + [v] * dim
    out, out_places = quantise_linear(layer.out, scale("out.in"))
    log2 = q * k * math.log2(math.e) / math.sqrt(dim // layer.heads) * (1 << LOG2_FRACTION_BITS)
    constants = {
        "norm1": LayerNormParams.from_real(EPSILON, stream, dim, scale(f"{name}.in")),
        "qkv": qkv,
        "qkv_scale": Scale.from_real([place / output for place, output in zip(qkv_places, outputs, strict=False)]),
        "softmax": Scale.from_real(log2),
        "normalise": Scale.from_real(v / scale("out.in") / (1 << MEAN_FRACTION_BITS)),
        "out": out,
        "out_residual": ResidualParams.from_real(out_places, stream, absmax[f"{prefix}.out.out"]),
    }
    if not cross:
        return AttentionConstants(**constants)
    tokens = network.context(torch.arange(network.config.classes))  # (classes, C, D)
    real = zip(layer.kv(tokens).double().chunk(2, dim=-1), (k, v), strict=True)
    context = torch.stack([torch.floor(x / place + 0.5).clamp(-127, 127).long() for x, place in real], dim=1)
    return CrossConstants(**constants, context=context)


def quantise_block(block: Block, prefix: str, network: VideoTransformer, absmax: dict[str, float],
                   stream: float) -> BlockConstants:
    """Constants of one block; `stream` is the scale of the residual stream."""

    def scale(name: str) -> float:
        return absmax[f"{prefix}.{name}"] / 127

    fc1, fc1_places = quantise_linear(block.fc1, scale("fc1.in"))
    fc2, fc2_places = quantise_linear(block.fc2, scale("fc2.in"))
    return BlockConstants(
        attentions=tuple(
            quantise_attention(layer, f"{prefix}.attention.{axis}", network, absmax, stream)
            for axis, layer in block.attention.items()
        ),
        norm2=LayerNormParams.from_real(EPSILON, stream, block.fc1.in_features, scale("fc1.in")),
        fc1=fc1,
        gelu=GeluParams.from_real(fc1_places, scale("fc2.in")),
        fc2=fc2,
        fc2_residual=ResidualParams.from_real(fc2_places, stream, absmax[f"{prefix}.fc2.out"]),
    )


def modulation_vectors(network: VideoTransformer, steps: int) -> Tensor:
    """Shift, scale and gate of every sub-layer, then of the head: (steps, classes, 3 x sub-layers + 2, D) int16."""
    classes, dim = network.config.classes, network.config.dim
    t = (torch.arange(steps) / steps).repeat_interleave(classes)
    condition = network.condition(t, torch.arange(classes).repeat(steps))  # (steps * classes, D)
    layers = [block.modulation for block in network.blocks] + [network.modulation]
    vectors = torch.cat([layer(condition) for layer in layers], dim=1)
    places = torch.floor(vectors.double() * (1 << MODULATION_FRACTION_BITS) + 0.5).clamp(-32768, 32767)
    return places.long().reshape(steps, classes, -1, dim)


@torch.no_grad()
def quantise(network: VideoTransformer) -> QuantisedNetwork:
    """The integer form of a trained network, with the starting noise of one evaluation video per class."""
    config, absmax = network.config, calibrate(network)
    stream = 1.1 * absmax["stream"] / 32767  # a tenth of room: the stream must not saturate
    fraction_bits = PIXEL_FRACTION_BITS if config.channels == 1 else LATENT_FRACTION_BITS
    embed, embed_places = quantise_linear(network.embed, 2.0**-fraction_bits)
    position = (network.space + network.time[:, None]).double() / stream  # (F, T, D)
    head, head_places = quantise_linear(network.head, absmax["head.in"] / 127)
    return QuantisedNetwork(
        config=config,
        tables=build_tables(),
        embed=embed,
        embed_scale=Scale.from_real(2.0 ** (fraction_bits - VIDEO_FRACTION_BITS)),
        embed_residual=ResidualParams.from_real(embed_places, stream, absmax["embed.out"]),
        position=torch.floor(position + 0.5).long(),
        blocks=tuple(
            quantise_block(block, f"blocks.{index}", network, absmax, stream)
            for index, block in enumerate(network.blocks)
        ),
        norm=LayerNormParams.from_real(EPSILON, stream, config.dim, absmax["head.in"] / 127),
        head=head,
        velocity=torch.tensor(head_places, dtype=torch.float64),
        modulation={steps: modulation_vectors(network, steps) for steps in STEP_CHOICES},
        noise=starting_noise(config, config.classes, EVALUATION_SEED),
        label=torch.arange(config.classes),
    )


def load_quantised(name: str, path: Path | None = None) -> tuple[QuantisedNetwork, dict[str, object]]:
    """The committed integer network of preset `name` (or the one at `path`) and its metadata.

    Raises `VidaError` for an unknown preset, an unreadable file or one of another format or shape.
    """
    config: NetworkConfig = network_preset(name)
    path = path or checkpoints.WEIGHTS / f"{name}_int8.safetensors"
    tensors, metadata = checkpoints.read(path)
    checkpoints.check_shape(path, metadata, config)
    return unpack(tensors, config), metadata


def main(
    preset: Annotated[str, typer.Option(help="network to quantise")],
    checkpoint: Annotated[Path | None, typer.Option(help="float checkpoint; by default the committed one")] = None,
) -> None:
    """Quantise a trained preset into model/weights."""
    torch.set_num_threads(1)
    network, made = checkpoints.load_network(preset, checkpoint)
    command = f"python -m model.quantise --preset {preset}"
    path = checkpoints.WEIGHTS / f"{preset}_int8.safetensors"
    facts = {"config": network.config.as_dict(), "command": command, "trained": made["command"]}
    checkpoints.write(path, pack(quantise(network)), facts | {"loss": made["loss"]})
    print(f"{preset}: {path.stat().st_size / 1e6:.2f} MB -> {path}")


if __name__ == "__main__":
    run(main)
