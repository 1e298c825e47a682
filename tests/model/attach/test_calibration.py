# SPDX-License-Identifier: Apache-2.0
"""What a calibrating run finds: scales, which layers belong together, what is not covered and why."""

import pytest
import torch
from torch import nn

from hw.errors import VidaError
from model.attach import calibrate


def _x(tokens=6, seed=0):
    return torch.randn(2, tokens, 8, generator=torch.Generator().manual_seed(seed))


def test_calibrating_changes_nothing(prepared):
    subject, _ = prepared
    state = {name: value.clone() for name, value in subject.model.state_dict().items()}
    before = list(subject.sample(2, 5))[-1]
    calibrate(subject.model, lambda: list(subject.sample(2, 1)))
    assert torch.equal(list(subject.sample(2, 5))[-1], before)
    assert all(torch.equal(value, state[name]) for name, value in subject.model.state_dict().items())


def test_absmax_is_of_all_calls(small):
    model = small()
    found = calibrate(model, lambda: [model(_x(seed=seed) * seed) for seed in (1, 5, 2)])
    assert found.linears["q"].absmax == pytest.approx((_x(seed=5) * 5).abs().max().item())
    assert found.linears["q"].shape == (2, 6, 8)


def test_projections_and_mlp_are_found_by_their_values(small):
    model = small()
    found = calibrate(model, lambda: model(_x()))
    facts = found.attentions[""]
    assert facts.sources == {"q": ("q", 0), "k": ("k", 0), "v": ("v", 0), "out": ("out", 0)}
    assert facts.exact == {"q", "k", "v"} and facts.same_input
    assert found.pairs == {("fc1", "fc2"): "gelu"}


def test_the_four_classes(prepared):
    """Every projection, output projection and MLP of the blocks is recognised; norm and rotary embedding are seen."""
    subject, found = prepared
    normed = type(subject.model).__name__ in ("CogVideoXTransformer3DModel", "WanTransformer3DModel")
    for key, facts in found.attentions.items():
        assert facts.exact == (frozenset("v") if normed else frozenset("qkv")), key
        assert facts.sources == {"q": (f"{key}.to_q", 0), "k": (f"{key}.to_k", 0), "v": (f"{key}.to_v", 0),
                                 "out": (f"{key}.to_out.0", 0)}
        assert facts.same_input == (".attn2" not in key)
    blocks = [name for name, module in subject.model.named_modules() if name.endswith((".ff", ".ffn"))]
    mlps = {first.removesuffix(".net.0.proj") for first, _ in found.pairs}
    assert mlps >= set(blocks) and all(value == "gelu (tanh)" for value in found.pairs.values())


def test_uncovered_layers_of_the_four_classes(prepared):
    """Convolutions and conditioning alone, each with its reason."""
    _, found = prepared
    assert found.uncovered
    for name, reason in found.uncovered.items():
        patches = name.endswith(("pos_embed.proj", "patch_embed.proj", "patch_embedding"))
        assert ("convolution" if patches else "conditioning, one row a video") in reason, name


FAULTS = {
    "written out": ("", "matmul: only nn.Linear and scaled_dot_product_attention are covered; an attention that is "
                        "written out needs a processor"),
    "dropout": ("", "dropout of 0.5: call model.eval() first"),
    "grouped": ("", "grouped heads are not covered; repeat K and V"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_covered_is_named(fault, small):
    model = small(fault=fault)
    layer, reason = FAULTS[fault]
    found = calibrate(model, lambda: model(_x()))
    names = {layer, type(model).__name__}
    assert any(name in names and reason in text for name, text in found.uncovered.items())
    assert "not called as a module" in found.uncovered["unused"]


def test_masks(small):
    model = small()
    drop = torch.zeros(6, 6).masked_fill(torch.eye(6, dtype=torch.bool), -10000)
    assert "" not in calibrate(model, lambda: model(_x(), mask=drop)).uncovered
    assert "adds to scores" in calibrate(model, lambda: model(_x(), mask=drop / 10000)).uncovered[""]


def test_too_many_keys(small):
    model = small(heads=1)
    long = torch.zeros(1, 8193, 8)
    assert "8193 keys, at most 8192" in calibrate(model, lambda: model(long)).uncovered[""]


def test_multihead_attention_is_named():
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.attend(x, x, x)[0]

    model = Other()
    found = calibrate(model, lambda: model(_x()))
    assert "multi_head_attention_forward" in found.uncovered["attend"]
    assert "attend.out_proj" in found.uncovered


def test_errors(small):
    model = small()
    with pytest.raises(VidaError, match="never called Small"):
        calibrate(model, lambda: None)
    with pytest.raises(VidaError, match="operand of magnitude nan"):
        calibrate(model, lambda: model(_x() * float("nan")))
    with pytest.raises(VidaError, match="Small is compiled"):
        compiled = nn.Module()
        compiled._orig_mod = model  # what torch.compile returns
        calibrate(compiled, lambda: None)
    with pytest.raises(VidaError, match=r"layer '1' drops out values at random: call model.eval\(\) first"):
        calibrate(nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.1)), lambda: None)
    assert not model._forward_hooks and not model.q._forward_pre_hooks
