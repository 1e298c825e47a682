# SPDX-License-Identifier: Apache-2.0
"""Tiny models of the four diffusers classes, calibrated once."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import nn
from torch.nn import functional

from model.attach import apply, calibrate
from model.attach.loading import TINY, random_weights
from model.attach.subjects import DiffusersSubject, Size

CLASSES = tuple(TINY)
STEPS = 3


@cache
def _prepared(name):
    size = Size(4, 8, 8) if name == "WanTransformer3DModel" else Size()
    subject = DiffusersSubject(name, random_weights(name).eval(), size)
    found = calibrate(subject.model, lambda: list(subject.sample(STEPS, 1)))
    return subject, found


@pytest.fixture(params=CLASSES)
def prepared(request):
    """(subject, calibration) of every class."""
    return _prepared(request.param)


@pytest.fixture
def prepare():
    """(subject, calibration) of a class by name."""
    return _prepared


@pytest.fixture
def sampled():
    """Gives the last latent of a run."""
    return lambda subject: list(subject.sample(STEPS, 1))[-1]


@pytest.fixture
def first():
    """By class: the first block's projection of Q and its output projection."""
    return {name: tuple(f"{'blocks' if name == 'WanTransformer3DModel' else 'transformer_blocks'}.0.attn1.{part}"
                        for part in ("to_q", "to_out.0")) for name in CLASSES}


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


@pytest.fixture
def left():
    """Gives the share of the products of a kind that a method left."""
    def share(attached, kind):
        layers = [layer for layer in attached.statistics() if layer.kind == kind]
        return sum(layer.done for layer in layers) / sum(layer.macs for layer in layers)
    return share


class Small(nn.Module):
    """An attention and an MLP, without a known layout; what is refused can be switched on."""

    def __init__(self, dim=8, heads=2, fault=None):
        super().__init__()
        self.heads, self.fault = heads, fault
        self.q, self.k, self.v, self.out = (nn.Linear(dim, dim, bias=name != "v") for name in "qkvo")
        self.fc1, self.fc2 = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.unused = nn.Linear(2, 2)

    def forward(self, x, mask=None, causal=False):
        q, k, v = (part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q, self.k, self.v))
        if self.fault == "written out":
            y = torch.softmax(q @ k.transpose(-1, -2), -1) @ v
        elif self.fault == "dropout":
            y = functional.scaled_dot_product_attention(q, k, v, dropout_p=0.5)
        elif self.fault == "grouped":
            y = functional.scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True)
        else:
            y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.fc2(functional.gelu(self.fc1(x)))


@pytest.fixture
def small():
    """Makes a `Small` with seeded weights."""
    def make(**fields):
        torch.manual_seed(3)
        return Small(**fields).eval()
    return make
