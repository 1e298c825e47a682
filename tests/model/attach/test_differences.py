# SPDX-License-Identifier: Apache-2.0
"""Differences to a timestep or a frame on unmodified models: what changes no bit, and ViDA's product by hand."""

import pytest
import torch

from hw.errors import VidaError
from model.approximate.config import Defo, DittoConfig, Over, ViDAConfig
from model.attach import apply

LATTE = "LatteTransformer3DModel"


def test_vida_by_hand(prepare, outputs, first):
    """Projections are dense's; scores of a frame that is no refresh are those before plus Q dK^T, seen in the jobs."""
    subject, calibration = prepare(LATTE)
    jobs = []
    dense, _, _ = outputs(subject, calibration, [], first[LATTE][1])
    exact, _, _ = outputs(subject, calibration, ViDAConfig(refresh=1), first[LATTE][1])
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


def test_vida_on_the_classes(prepared, outputs, first):
    subject, calibration = prepared
    layer = first[subject.name][1]
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


def test_defo_changes_no_bit(prepare, outputs, first):
    subject, calibration = prepare(LATTE)
    dense, _, _ = outputs(subject, calibration, [], first[LATTE][1])
    defo, _, _ = outputs(subject, calibration, DittoConfig(defo=Defo.PLUS), first[LATTE][1])
    assert torch.equal(defo, dense)
