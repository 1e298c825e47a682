# SPDX-License-Identifier: Apache-2.0
"""The methods on unmodified models: what they leave out and copy, seen from outside, and what they refuse."""

import pytest
import torch

from hw.errors import VidaError
from model.approximate.build import build
from model.approximate.config import (
    AsymRnRConfig,
    CMCConfig,
    Defo,
    DiToConfig,
    DittoConfig,
    EagerConfig,
    EXIONConfig,
    FFNReuseConfig,
    KeyGuide,
    ORBISConfig,
    Over,
    ToMeConfig,
    ViDAConfig,
)
from model.attach import Arrangement, Geometry, Layout, apply, calibrate, dito_interval
from model.attach.sites import quantise8, static_scale
from model.attach.subjects import Size, load_subject
from model.exact.match.datm import Rule
from model.exact.sparsity.eager import Dominance
from model.quantise import load_quantised
from model.sample import sample_integer

LATTE, COGVIDEOX, WAN, DIT = (
    "LatteTransformer3DModel", "CogVideoXTransformer3DModel", "WanTransformer3DModel", "DiTTransformer2DModel")
#: First block's projection of Q and output projection.
FIRST = {name: (f"{block}.0.attn1.to_q", f"{block}.0.attn1.to_out.0") for name, block in (
    (LATTE, "transformer_blocks"), (COGVIDEOX, "transformer_blocks"), (WAN, "blocks"), (DIT, "transformer_blocks"))}
FFN = EXIONConfig(eager=None)


def _eager(**fields):
    return EXIONConfig(ffn=None, eager=EagerConfig(**{"dominance": Dominance.NEVER} | fields))


@pytest.fixture
def outputs(sampled):
    """Gives, of a run by a method, the last latent, statistics and the output of a layer at every step."""
    def run(subject, calibration, config, layer):
        found = []
        with apply(subject.model, config, calibration) as attached:
            module = subject.model.get_submodule(layer)
            handle = module.register_forward_hook(lambda _, inputs, output: found.append(output.clone()))
            last = sampled(subject)
            handle.remove()
        return last, attached, found
    return run


def _left(attached, kind):
    layers = [layer for layer in attached.statistics() if layer.kind == kind]
    return sum(layer.done for layer in layers) / sum(layer.macs for layer in layers)


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
def test_dropped_queries_copy_outputs(what, prepared, outputs):
    """In the first block, whose input is still dense's: step 1 computes some rows and copies the others."""
    config, ratio = REDUCTIONS[what]
    subject, calibration = prepared
    layer = FIRST[subject.name][1]
    _, _, dense = outputs(subject, calibration, [], layer)
    _, attached, found = outputs(subject, calibration, config, layer)
    assert torch.equal(found[0], dense[0])
    rows = sum(len(matrix) for matrix in _matrices(dense[1], calibration))
    assert 0 < _copies(found[1], dense[1], calibration) <= rows * ratio
    assert _left(attached, "scores") < 1 and _left(attached, "qkv") < 1


def test_asymrnr_copies_by_head(prepare, outputs):
    """PV of every head is copied: told by the output projection's input."""
    subject, calibration = prepare(COGVIDEOX)
    seen = {}
    module = subject.model.get_submodule(FIRST[COGVIDEOX][1])
    handle = module.register_forward_pre_hook(lambda _, inputs: seen.setdefault("first", []).append(inputs[0]))
    outputs(subject, calibration, [], FIRST[COGVIDEOX][1])
    dense = seen.pop("first")[0].unflatten(-1, (2, -1)).transpose(1, 2)
    outputs(subject, calibration, AsymRnRConfig(kv_ratio=0), FIRST[COGVIDEOX][1])
    handle.remove()
    found = seen["first"][0].unflatten(-1, (2, -1)).transpose(1, 2)
    prefix = calibration.geometry.prefix
    assert torch.equal(found[:, :, :prefix], dense[:, :, :prefix])
    for head in range(2):
        same = (found[0, head, prefix:, None] == dense[0, head, None, prefix:]).all(-1)
        assert same.any(1).all() and int((~same.diagonal()).sum()) == 32


def test_dropped_keys_are_not_read(prepared, outputs):
    """Fewer K and V are projected, fewer scores and values multiplied; by either guide."""
    subject, calibration = prepared
    for config in (ORBISConfig(q_ratio=0, kv_ratio=0.5), ORBISConfig(q_ratio=0, kv_ratio=0.5, kv_guide=KeyGuide.VALUE)):
        _, attached, _ = outputs(subject, calibration, config, FIRST[subject.name][1])
        layers = {layer.key: layer for layer in attached.statistics() if layer.kind == "qkv"}
        query = FIRST[subject.name][0]
        key = layers[query.replace("to_q", "to_k")]
        assert layers[query].done == layers[query].macs
        assert key.done == pytest.approx(key.macs * (1 + 0.5 + 0.5) / 3)  # the first of three steps is whole


def test_tome_merges_inputs(prepared, outputs):
    """Merged tokens share all rows; half of each frame is left."""
    subject, calibration = prepared
    _, attached, found = outputs(subject, calibration, ToMeConfig(), FIRST[subject.name][1])
    tokens = calibration.geometry.tokens
    for matrix in _matrices(found[0], calibration):
        for frame in matrix.split(tokens):
            assert len(torch.unique(frame, dim=0)) <= tokens // 2
    first = next(layer for layer in attached.statistics() if layer.key == FIRST[subject.name][0])
    assert first.done == first.macs // 2


def test_cmc_copies_rows_of_the_middle_frame(prepared, outputs):
    subject, calibration = prepared
    layer, frames = FIRST[subject.name][0], calibration.geometry.frames
    if frames == 1:
        with pytest.raises(VidaError, match="CMCConfig serves no layer of this model: its call has one frame"):
            apply(subject.model, CMCConfig(), calibration)
        return
    dense, _, _ = outputs(subject, calibration, [], layer)
    same, attached, _ = outputs(subject, calibration, CMCConfig(threshold=0), layer)
    assert torch.equal(same, dense) and _left(attached, "qkv") == 1
    config = CMCConfig(threshold=200, segment=frames)
    _, attached, found = outputs(subject, calibration, config, layer)
    rows = torch.cat(_matrices(found[0], calibration)).unflatten(0, (frames, -1))
    middle = rows[(frames - 1) // 2]
    assert (rows[:, :, None] == middle[None, None]).all(-1).any(-1).all()
    both, _, _ = outputs(subject, calibration, [config, DittoConfig()], layer)
    alone, _, _ = outputs(subject, calibration, config, layer)
    assert torch.equal(both, alone)


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


def test_ffn_reuse_on_the_classes(prepared, outputs):
    subject, calibration = prepared
    layer = FIRST[subject.name][1]
    dense, _, _ = outputs(subject, calibration, [], layer)
    last, attached, _ = outputs(subject, calibration, FFN, layer)
    assert 0.3 < _left(attached, "fc1") < 0.6 and 0.3 < _left(attached, "fc2") < 0.6
    assert 0 < ((last - dense).norm() / dense.norm()).item() < 0.05


def test_eager_prediction(prepare, outputs):
    for name in (LATTE, DIT):
        subject, calibration = prepare(name)
        dense, _, _ = outputs(subject, calibration, [], FIRST[name][1])
        same, _, _ = outputs(subject, calibration, _eager(permille=1000), FIRST[name][1])
        assert torch.equal(same, dense)
        _, attached, _ = outputs(subject, calibration, _eager(permille=500), FIRST[name][1])
        spatial = [layer for layer in attached.statistics() if layer.kind == "scores" and layer.axis == "spatial"]
        assert all(layer.done == layer.macs / 2 for layer in spatial)


def test_features_together(prepared, outputs):
    subject, calibration = prepared
    _, attached, _ = outputs(subject, calibration, [FFN, ORBISConfig()], FIRST[subject.name][1])
    assert _left(attached, "fc1") < 0.5 and _left(attached, "scores") < 1


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
    "cogvideox, eager": (COGVIDEOX, _eager(), "text stands before the video's tokens.*eager=None"),
    "wan, eager": (WAN, _eager(), "a norm or a rotary embedding stands between .*eager=None"),
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
    "asymrnr": AsymRnRConfig(), "tome": ToMeConfig(), "eager": _eager(permille=500),
}


@pytest.mark.parametrize("what", AS_NATIVE)
def test_work_is_that_of_the_integer_network(what):
    """The same method on the project's own integer network leaves the same share of every operator."""
    config = AS_NATIVE[what]
    native = build([config], load_quantised("tiny")[0], 8)
    sample_integer(load_quantised("tiny")[0], load_quantised("tiny")[0].noise[0], 0, native, 8)
    subject = load_subject("network:tiny", None, False, Size())
    calibration = calibrate(subject.model, lambda: list(subject.sample(8, 1)))
    with apply(subject.model, config, calibration) as attached:
        list(subject.sample(8, 1))
    for kind in ("qkv", "scores", "values", "out"):
        assert _left(attached, kind) == pytest.approx(native.work.left_of(kind), abs=2e-3), kind


def test_vida_by_hand(prepare, outputs):
    """Projections are dense's; scores of a frame that is no refresh are those before plus Q dK^T, seen in the jobs."""
    subject, calibration = prepare(LATTE)
    jobs = []
    dense, _, _ = outputs(subject, calibration, [], FIRST[LATTE][1])
    exact, _, _ = outputs(subject, calibration, ViDAConfig(refresh=1), FIRST[LATTE][1])
    assert torch.equal(exact, dense)
    with apply(subject.model, ViDAConfig(), calibration, record=jobs.append) as attached:
        list(subject.sample(1, 1))
    temporal = [layer for layer, reason in attached.uncovered if reason.startswith("ViDAConfig: its matrices mix")]
    assert temporal == ["temporal_transformer_blocks.0.attn1", "temporal_transformer_blocks.1.attn1"]
    scores = [job for job in jobs if job.site.key == "transformer_blocks.0.attn1" and job.site.kind == "scores"]
    assert [(job.start, job.product) for job in scores] == [(0, "single"), (1, "one"), (2, "single"), (3, "one")]
    frame0, frame1 = scores[:2]
    q, k = frame1.right[0, 0].mT.tolist(), frame1.current[0, 0].tolist()
    before = frame0.right[0, 0].mT.tolist()
    for i, query in enumerate(q):
        for j, (new, old) in enumerate(zip(k, before, strict=True)):
            expected = frame0.result[0, 0, i, j] + sum(a * (b - c) for a, b, c in zip(query, new, old, strict=True))
            assert frame1.result[0, 0, j, i] == expected


def test_vida_on_the_classes(prepared, outputs):
    subject, calibration = prepared
    layer = FIRST[subject.name][1]
    dense, _, _ = outputs(subject, calibration, [], layer)
    if calibration.geometry.frames == 1:
        with pytest.raises(VidaError, match="its call has one frame; or over=Over.TIMESTEPS"):
            apply(subject.model, ViDAConfig(), calibration)
    else:
        last, _, _ = outputs(subject, calibration, ViDAConfig(products=()), layer)
        assert torch.equal(last, dense)
    last, _, _ = outputs(subject, calibration, ViDAConfig(over=Over.TIMESTEPS), layer)
    assert 0 < ((last - dense).norm() / dense.norm()).item() < 0.05
    last, _, _ = outputs(subject, calibration, ViDAConfig(over=Over.TIMESTEPS, products=()), layer)
    assert torch.equal(last, dense)


def test_defo_changes_no_bit(prepare, outputs):
    subject, calibration = prepare(LATTE)
    dense, _, _ = outputs(subject, calibration, [], FIRST[LATTE][1])
    defo, _, _ = outputs(subject, calibration, DittoConfig(defo=Defo.PLUS), FIRST[LATTE][1])
    assert torch.equal(defo, dense)


def test_dito_interval(prepare, sampled):
    """By the pair match ratio: 1 where every pair has to match again, the length of the run where none has to."""
    subject, calibration = prepare(DIT)
    found = [dito_interval(subject.model, DiToConfig(match_ratio=ratio), calibration, lambda: sampled(subject))
             for ratio in (1000, 600, 0)]
    assert found[0] == 1 and found[-1] == 3 and found == sorted(found)
    assert not subject.model._forward_pre_hooks
