# SPDX-License-Identifier: Apache-2.0
"""All methods on unmodified models: together, layer by layer, on an own layout, against the integer network."""

import pytest
import torch

from hw.errors import VidaError
from model.approximate.build import build
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    DiToConfig,
    DittoConfig,
    EagerConfig,
    EXIONConfig,
    ORBISConfig,
    ToMeConfig,
    ViDAConfig,
)
from model.attach import Arrangement, Geometry, Layout, apply, calibrate
from model.attach.subjects import Size, load_subject
from model.exact.match.datm import Rule
from model.exact.sparsity.eager import Dominance
from model.quantise import load_quantised
from model.sample import sample_integer

LATTE, COGVIDEOX, WAN, DIT = (
    "LatteTransformer3DModel", "CogVideoXTransformer3DModel", "WanTransformer3DModel", "DiTTransformer2DModel")
FFN = EXIONConfig(eager=None)
EAGER = EXIONConfig(ffn=None, eager=EagerConfig(dominance=Dominance.NEVER, permille=500))


def test_features_together(prepared, outputs, first, left):
    subject, calibration = prepared
    _, attached, _ = outputs(subject, calibration, [FFN, ORBISConfig()], first[subject.name][1])
    assert left(attached, "fc1") < 0.5 and left(attached, "scores") < 1


def test_layers_that_a_method_leaves_are_named(prepare):
    subject, calibration = prepare(LATTE)
    with apply(subject.model, ORBISConfig(), calibration) as attached:
        left = [layer for layer, reason in attached.uncovered if reason.startswith("ORBISConfig: its axis is temporal")]
    assert left == ["temporal_transformer_blocks.0.attn1", "temporal_transformer_blocks.1.attn1"]
    layers = ["transformer_blocks.0.*", "transformer_blocks.1.attn1"]
    with apply(subject.model, ORBISConfig(), calibration, layers=layers) as attached:
        assert ("transformer_blocks.1.attn1", "ORBISConfig: its projection transformer_blocks.1.attn1.to_q stays in "
                "float") in attached.uncovered


REFUSED = {
    "cogvideox, eager": (COGVIDEOX, EAGER, "text stands before the video's tokens.*eager=None"),
    "wan, eager": (WAN, EAGER, "a norm or a rotary embedding stands between .*eager=None"),
    "dito without interval": (DIT, DiToConfig(), "give interval="),
    "vida, mixing after text": (COGVIDEOX, ViDAConfig(mixing=True), "rows of text have no frame before.*mixing=False"),
    "vida and ditto": (LATTE, [ViDAConfig(), DittoConfig()], "DittoConfig and ViDAConfig"),
    "two reductions": (DIT, [ORBISConfig(), ToMeConfig()], "both own the tables"),
    "ditto and ffn": (DIT, [DittoConfig(), FFN], "have no sums that the next timestep's differences"),
    "no temporal attention": (DIT, ORBISConfig(blocks=("temporal",)), "its axis is spatial, blocks= names temporal"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused_and_why(what, prepare):
    name, config, message = REFUSED[what]
    subject, calibration = prepare(name)
    before = len(subject.model._forward_pre_hooks)
    with pytest.raises(VidaError, match=message):
        apply(subject.model, config, calibration)
    assert len(subject.model._forward_pre_hooks) == before


def test_a_layout_of_ones_own(small):
    """Without one, methods of frames are refused; with one they run, and tokens of a batch's videos do not mix."""
    model = small()
    x = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(1))
    with pytest.raises(VidaError, match="where its frames are is not known"):
        apply(model, CMCConfig(), lambda: model(x))
    layout = Layout(lambda model, given: Geometry(len(given["x"]), 2, 1, 3), lambda model, name: Arrangement.JOINT)
    calibration = calibrate(model, lambda: model(x), layout)
    for config in (CMCConfig(threshold=200), ORBISConfig(refresh=2), ToMeConfig(stride=(1, 3))):
        with apply(model, config, calibration) as attached:
            both = [model(x), model(x)][1]
            assert any(layer.done < layer.macs for layer in attached.statistics())
        if not isinstance(config, ToMeConfig):  # whose random numbers go on from video to video
            with apply(model, config, calibration):
                assert torch.equal([model(x[1:]), model(x[1:])][1][0], both[1])
    wrong = Layout(lambda model, given: Geometry(2, 2, 1, 4), lambda model, name: Arrangement.JOINT)
    assert "does not hold 2 videos of 2 frames" in calibrate(model, lambda: model(x), wrong).uncovered["q"]


AS_NATIVE = {
    "orbis": ORBISConfig(rule=Rule.COVER, refresh=2, kv_ratio=0.25), "dito": DiToConfig(rule=Rule.COVER, interval=3),
    "asymrnr": AsymRnRConfig(), "tome": ToMeConfig(), "eager": EAGER,
}


@pytest.mark.parametrize("what", AS_NATIVE)
def test_work_is_that_of_the_integer_network(what, left):
    """The same method on the project's own integer network leaves the same share of every operator."""
    config = AS_NATIVE[what]
    native = build([config], load_quantised("tiny")[0], 8)
    sample_integer(load_quantised("tiny")[0], load_quantised("tiny")[0].noise[0], 0, native, 8)
    subject = load_subject("network:tiny", None, False, Size())
    calibration = calibrate(subject.model, lambda: list(subject.sample(8, 1)))
    with apply(subject.model, config, calibration) as attached:
        list(subject.sample(8, 1))
    for kind in ("qkv", "scores", "values", "out"):
        assert left(attached, kind) == pytest.approx(native.work.left_of(kind), abs=2e-3), kind
