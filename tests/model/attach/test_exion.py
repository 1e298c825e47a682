# SPDX-License-Identifier: Apache-2.0
"""FFN-Reuse and eager prediction on unmodified models."""

import pytest
import torch

from hw.errors import VidaError
from model.approximate.config import EagerConfig, EXIONConfig, FFNReuseConfig
from model.attach import apply, calibrate
from model.attach.sites import quantise8, static_scale
from model.exact.sparsity.eager import Dominance

LATTE, DIT = "LatteTransformer3DModel", "DiTTransformer2DModel"
FFN = EXIONConfig(eager=None)


def _eager(**fields):
    return EXIONConfig(ffn=None, eager=EagerConfig(**{"dominance": Dominance.NEVER} | fields))


def test_ffn_reuse_by_definition(small):
    """Loops: where the dense step's int8 GELU is large the sum is new, elsewhere it is the dense step's."""
    model = small()
    draw = torch.Generator().manual_seed(1)
    first, second = (torch.randn(1, 6, 8, generator=draw) for _ in range(2))
    calibration = calibrate(model, lambda: [model(first), model(second)])
    seen = {}

    def run(config):
        seen.clear()
        with apply(model, config, calibration):
            handles = [model.fc1.register_forward_hook(lambda m, i, o: seen.setdefault("sums", []).append(o)),
                       model.fc2.register_forward_pre_hook(lambda m, i: seen.setdefault("hidden", []).append(i[0]))]
            result = [model(first), model(second)]
            for handle in handles:
                handle.remove()
        return result, dict(seen)

    dense, whole = run([])
    reused, found = run(EXIONConfig(ffn=FFNReuseConfig(sparse_steps=1, threshold=20), eager=None))
    assert torch.equal(reused[0], dense[0]) and not torch.equal(reused[1], dense[1])
    scale = static_scale(calibration.linears["fc2"].absmax)
    kept = 0
    for row in range(6):
        for place in range(32):
            value = quantise8(whole["hidden"][0][0, row, place], scale).item()
            source = 1 if abs(value) > 20 else 0
            kept += 1 - source
            assert found["sums"][1][0, row, place] == whole["sums"][source][0, row, place]
    assert 0 < kept < 6 * 32
    assert torch.equal(run(EXIONConfig(ffn=FFNReuseConfig(sparse_steps=0), eager=None))[0][1], dense[1])


def test_ffn_reuse_on_the_classes(prepared, outputs, first, left):
    subject, calibration = prepared
    layer = first[subject.name][1]
    dense, _, _ = outputs(subject, calibration, [], layer)
    last, attached, _ = outputs(subject, calibration, FFN, layer)
    assert 0.3 < left(attached, "fc1") < 0.6 and 0.3 < left(attached, "fc2") < 0.6
    assert 0 < ((last - dense).norm() / dense.norm()).item() < 0.05


def test_eager_prediction(prepare, outputs, first):
    for name in (LATTE, DIT):
        subject, calibration = prepare(name)
        dense, _, _ = outputs(subject, calibration, [], first[name][1])
        same, _, _ = outputs(subject, calibration, _eager(permille=1000), first[name][1])
        assert torch.equal(same, dense)
        _, attached, _ = outputs(subject, calibration, _eager(permille=500), first[name][1])
        spatial = [layer for layer in attached.statistics() if layer.kind == "scores" and layer.axis == "spatial"]
        assert all(layer.done == layer.macs / 2 for layer in spatial)


def test_gated_activations_are_refused(small):
    class Gated(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(8, 16), torch.nn.Linear(8, 8)

        def forward(self, x):
            a, b = self.first(x).chunk(2, -1)
            return self.second(a * torch.nn.functional.gelu(b))

    model = Gated()
    with pytest.raises(VidaError, match="GEGLU multiplies two halves.*ffn=None"):
        apply(model, FFN, lambda: model(torch.randn(1, 3, 8)))
