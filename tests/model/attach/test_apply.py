# SPDX-License-Identifier: Apache-2.0
"""Methods on unmodified models: the integers are those of the law, Ditto's are dense's, and removal leaves no trace."""

import math

import pytest
import torch

from hw.errors import VidaError
from model.approximate.config import DittoConfig
from model.attach import apply, calibrate


def _x(tokens=6, seed=0):
    return torch.randn(2, tokens, 8, generator=torch.Generator().manual_seed(seed))


def _rounded(values, scale, low=-128):
    return [[max(low, min(127, math.floor(value / scale + 0.5))) for value in row] for row in values]


def test_a_linear_layer_by_definition(small):
    """Loops over Python floats and ints, no shared helper."""
    model, x = small(), _x()
    outputs = {}
    with apply(model, [], lambda: model(x), layers=["fc1"]):
        model.fc1.register_forward_hook(lambda module, inputs, output: outputs.update(x=inputs[0], y=output))
        model(x)
    rows = outputs["x"].double().flatten(0, 1).tolist()
    scale = max(abs(value) for row in rows for value in row) / 127
    left = _rounded(rows, scale)
    for column, weights in enumerate(model.fc1.weight.double().tolist()):
        unit = max(abs(weight) for weight in weights) / 127
        (right,), place = _rounded([weights], unit), unit * scale
        bias = math.floor(model.fc1.bias[column].item() / place + 0.5)
        for row, values in enumerate(left):
            acc = bias + sum(a * b for a, b in zip(values, right, strict=True))
            found = outputs["y"].flatten(0, 1)[row, column].item()
            assert found == pytest.approx(acc * place, rel=1e-6, abs=1e-9)


def test_int8_stays_close_to_float(prepared, sampled):
    subject, calibration = prepared
    reference = sampled(subject)
    with apply(subject.model, [], calibration, statistics=False):
        dense = sampled(subject)
    error = ((dense - reference).norm() / reference.norm()).item()
    assert 0 < error < 0.01


def test_ditto_equals_dense_bit_for_bit(prepared, sampled):
    subject, calibration = prepared
    with apply(subject.model, [], calibration) as attached:
        dense, whole = sampled(subject), attached.statistics()
    with apply(subject.model, DittoConfig(), calibration) as attached:
        assert torch.equal(sampled(subject), dense)
        ditto = attached.statistics()
    assert [layer.as_dict() | {"digit_products": 0} for layer in ditto] == [
        layer.as_dict() | {"digit_products": 0} for layer in whole]
    projections = [(a.digits, b.digits) for a, b in zip(ditto, whole, strict=True) if a.kind in ("qkv", "fc1")]
    assert all(less < more for less, more in projections)


def test_removed_is_bit_identical(prepared, sampled):
    subject, calibration = prepared
    model = subject.model
    reference = sampled(subject)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    hooks = [(len(m._forward_hooks), len(m._forward_pre_hooks), list(vars(m))) for m in model.modules()]
    attached = apply(model, DittoConfig(), calibration)
    assert not torch.equal(sampled(subject), reference)
    attached.remove()
    attached.remove()
    assert torch.equal(sampled(subject), reference)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert hooks == [(len(m._forward_hooks), len(m._forward_pre_hooks), list(vars(m))) for m in model.modules()]


def test_an_error_in_the_run_leaves_no_trace(small):
    model, x = small(), _x()
    reference = model(x)
    with pytest.raises(VidaError, match="shape"), apply(model, DittoConfig(), lambda: model(x)):
        model(x)
        model(_x(tokens=5))
    assert torch.equal(model(x), reference)
    assert torch.overrides._get_current_function_mode() is None


def test_uncovered_and_covered_are_all_linear_layers(prepared):
    subject, calibration = prepared
    with apply(subject.model, [], calibration) as attached:
        named = {name for name, _ in attached.uncovered} | set(attached.covered)
    linears = {name for name, module in subject.model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert linears <= {name.partition("#")[0] for name in named}


def test_layers_are_chosen_by_name(small):
    model, x = small(), _x()
    calibration = calibrate(model, lambda: model(x))
    with apply(model, [], calibration, layers=["fc*"]) as attached:
        model(x)
        assert [layer.key for layer in attached.statistics()] == ["fc1", "fc2"]
        with apply(model, [], calibration, layers=["q"]) as other:
            model(x)
            assert [layer.key for layer in other.statistics()] == ["q"]
        assert attached.statistics()[0].macs == 2 * 2 * 6 * 8 * 32
        with pytest.raises(VidaError, match="layer 'fc1' is computed by another"):
            apply(model, [], calibration)
    with pytest.raises(VidaError, match="no covered layer is named 'nothing'"):
        apply(model, [], calibration, layers=["nothing"])


def test_a_calibration_of_another_model(small):
    model, wider = small(), small(dim=16)
    calibration = calibrate(model, lambda: model(_x()))
    with pytest.raises(VidaError, match="is not in this Small"):
        apply(wider, [], calibration)


def test_masked_keys_get_nothing(small):
    """A masked run equals one without those keys, up to their quantisation (the same scales)."""
    model, x = small(), _x()
    mask = torch.ones(6, 6, dtype=torch.bool)
    mask[:, 4:] = False
    calibration = calibrate(model, lambda: model(x))
    for given in (mask, torch.zeros(6, 6).masked_fill(~mask, -10000)):
        with apply(model, [], calibration):
            masked = model(x, mask=given)
        with apply(model, [], calibration):
            short = model(x[:, :4])
        assert torch.equal(masked[:, :4], short)
    with apply(model, [], calibration) as attached:
        causal = model(x, causal=True)
        attached.reset()
        first = model(x[:, :1])
    assert torch.equal(causal[:, 0], first[:, 0])


def test_branches_do_not_mix_references(small):
    """Two calls a timestep: each branch is told by its place, and work is that of a run without the other."""
    model = small()
    calls = [_x(seed=seed) for seed in range(6)]
    calibration = calibrate(model, lambda: [model(x) for x in calls])
    with apply(model, DittoConfig(), calibration) as alone:
        expected = [model(x) for x in calls[::2]]
    with apply(model, DittoConfig(), calibration, branches=2) as both:
        found = [model(x) for x in calls]
    assert all(torch.equal(a, b) for a, b in zip(found[::2], expected, strict=True))
    single, double = alone.statistics()[0], both.statistics()[0]
    assert double.macs == 2 * single.macs
    assert sorted({step for _, step in double.shares}) == [0, 1, 2]


def test_videos_of_a_batch_do_not_mix(prepare):
    """A doubled batch gives, video by video, what each gives alone."""
    subject, calibration = prepare("LatteTransformer3DModel")
    draw = torch.Generator().manual_seed(7)
    noise, text = torch.randn(2, 4, 4, 8, 8, generator=draw), torch.randn(2, 5, 12, generator=draw)

    def run(x, t):
        return [subject.model(hidden_states=x * scale, timestep=torch.tensor([9] * len(x)), encoder_hidden_states=t,
                              return_dict=False)[0] for scale in (1.0, 0.9)][-1]

    with torch.no_grad(), apply(subject.model, DittoConfig(), calibration):
        both = run(noise, text)
    for video in (0, 1):
        with torch.no_grad(), apply(subject.model, DittoConfig(), calibration):
            assert torch.equal(run(noise[video : video + 1], text[video : video + 1])[0], both[video])


def test_reset_begins_another_video(small):
    model, x = small(), _x()
    with apply(model, DittoConfig(), lambda: model(x)) as attached:
        model(x)
        attached.reset()
        model(_x(tokens=4))
        assert attached.statistics()[0].over_steps("timestep").values == 0
        with pytest.raises(VidaError, match=r"shape \(2, 6, 8\) at step 1, \(2, 4, 8\) before: reset\(\) begins"):
            model(x)


def test_shares_by_definition(small):
    model = small()
    calls = [_x(seed=seed) * 0.1 + _x(seed=9) for seed in range(3)]
    with apply(model, [], lambda: [model(x) for x in calls], layers=["q"]) as attached:
        for x in calls:
            model(x)
    layer = attached.statistics()[0]
    scale = max(x.abs().max().item() for x in calls) / 127
    ints = [[value for row in _rounded(x.double().flatten(0, 1).tolist(), scale) for value in row] for x in calls]
    for step, values in enumerate(ints):
        assert layer.shares["none", step].zero == sum(value == 0 for value in values)
        if step:
            differences = [a - b for a, b in zip(values, ints[step - 1], strict=True)]
            found = layer.shares["timestep", step]
            assert found.four == sum(value != 0 and -8 <= value <= 7 for value in differences)
            assert found.more == sum(not -8 <= value <= 7 for value in differences)


def test_half_precision_keeps_its_type(small):
    model, x = small().bfloat16(), _x().bfloat16()
    with apply(model, [], lambda: model(x)):
        assert model(x).dtype is torch.bfloat16


@pytest.mark.parametrize("change", [0, 1, 2])
def test_a_condition_that_changes(change, prepare):
    """Ditto stays exact where the text of a cross-attention is another one at some step, and where it is not."""
    subject, calibration = prepare("LatteTransformer3DModel")
    draw = torch.Generator().manual_seed(7)
    noise, text = torch.randn(1, 4, 4, 8, 8, generator=draw), torch.randn(2, 1, 5, 12, generator=draw)

    def run():
        return [subject.model(noise * (1 - step / 9), timestep=torch.tensor([9]),
                              encoder_hidden_states=text[int(step == change and change > 0)], return_dict=False)[0]
                for step in range(4)]

    with torch.no_grad():
        with apply(subject.model, [], calibration):
            dense = run()
        with apply(subject.model, DittoConfig(), calibration) as attached:
            ditto = run()
    assert all(torch.equal(a, b) for a, b in zip(dense, ditto, strict=True))
    assert bool(attached.engine.changing) == bool(change)


def test_layers_that_the_calibration_has_not_seen(small):
    """Called for the first time later on: named, and left in float."""
    model, x = small(), _x()
    calibration = calibrate(model, lambda: model(x))
    calibration.linears.pop("fc2")
    calibration.pairs.clear()
    with apply(model, [], calibration) as attached:
        model(x)
        assert dict(attached.uncovered)["fc2"].startswith("not called in the calibrating run, so it has no scale")
