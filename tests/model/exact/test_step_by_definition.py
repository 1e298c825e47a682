# SPDX-License-Identifier: Apache-2.0
"""A denoising step against one written token by token: which rows meet, which constants and vectors they take.

Rows pass through the vector unit's laws, which have tests of their own; everything between them is loops over lists.
"""

import math

import pytest
import torch

from model.exact.operators import Operators
from model.exact.step import denoise
from model.exact.vector.gelu import gelu
from model.exact.vector.layernorm import layernorm
from model.exact.vector.residual import residual
from model.exact.vector.scaling import requantise8
from model.exact.vector.softmax import normalise, softmax
from model.networks import Family
from model.quantise import load_quantised, quantise


def linear(row, operator):
    """Accumulators of one row."""
    right, bias = operator.right.tolist(), operator.bias.tolist()
    return torch.tensor([sum(x * weights[n] for x, weights in zip(row.tolist(), right, strict=True)) + bias[n]
                         for n in range(len(bias))])


def patches(video, config):
    """{(frame, token): values}, by channel, then row, then column of the patch."""
    side, p = config.size // config.patch, config.patch
    frames = video.reshape(config.frames, config.channels, config.size, config.size).tolist()
    return {(f, row * side + column): [frames[f][c][row * p + i][column * p + j]
                                       for c in range(config.channels) for i in range(p) for j in range(p)]
            for f in range(config.frames) for row in range(side) for column in range(side)}


def seen(axis, place, places):
    """Whose keys the token at `place` sees."""
    match axis:
        case "spatial":
            return [other for other in places if other[0] == place[0]]
        case "temporal":
            return [other for other in places if other[1] == place[1]]
        case "full":
            return places
    raise ValueError(axis)


def attend(network, c, axis, h, label):
    """Int8 rows to the mixed rows before the output projection."""
    dim, d = network.config.dim, network.config.head_dim
    projected = {place: requantise8(linear(row, c.qkv), c.qkv_scale).tolist() for place, row in h.items()}
    mixed = {place: [] for place in h}
    for place in h:
        for first in range(0, dim, d):
            query = projected[place][first:first + d]
            if axis == "cross":
                keys, values = ([row[first:first + d] for row in part.tolist()] for part in c.context[label])
            else:
                rows = [projected[other] for other in seen(axis, place, list(h))]
                keys, values = ([row[start + first:start + first + d] for row in rows] for start in (dim, 2 * dim))
            scores = torch.tensor([[sum(a * b for a, b in zip(query, key, strict=True)) for key in keys]])
            p, row_sum = softmax(scores, c.softmax, network.tables.exp2)
            sums = torch.tensor([[sum(a * row[n] for a, row in zip(p[0].tolist(), values, strict=True))
                                  for n in range(d)]])
            mixed[place] += normalise(sums, row_sum, c.normalise, network.tables.reciprocal)[0].tolist()
    return {place: torch.tensor(row) for place, row in mixed.items()}


def by_definition(network, video, label, step, steps):
    """{(frame, token): the patch after the step}."""
    config, tables, before = network.config, network.tables, patches(video, network.config)
    vectors = list(network.modulation[steps][step, label])
    x = {}
    for (f, t), values in before.items():
        row = linear(requantise8(torch.tensor(values), network.embed_scale), network.embed)
        x[f, t] = residual(network.position[f, t][None], torch.tensor(4096), row[None], network.embed_residual)[0]
    for block, axes in zip(network.blocks, config.blocks, strict=True):
        for axis, c in zip(axes, block.attentions, strict=True):
            shift, scale, gate = (vectors.pop(0) for _ in range(3))
            h = {place: layernorm(row[None], scale, shift, c.norm1, tables.rsqrt)[0] for place, row in x.items()}
            mixed = attend(network, c, axis, h, label)
            x = {place: residual(row[None], gate, linear(mixed[place], c.out)[None], c.out_residual)[0]
                 for place, row in x.items()}
        shift, scale, gate = (vectors.pop(0) for _ in range(3))
        for place, row in x.items():
            h = layernorm(row[None], scale, shift, block.norm2, tables.rsqrt)[0]
            hidden = gelu(linear(h, block.fc1)[None], block.gelu, tables.gelu)[0]
            x[place] = residual(row[None], gate, linear(hidden, block.fc2)[None], block.fc2_residual)[0]
    shift, scale = vectors
    after = {}
    for place, row in x.items():
        acc = linear(layernorm(row[None], scale, shift, network.norm, tables.rsqrt)[0], network.head).tolist()
        velocity = network.velocity.tolist()
        after[place] = [max(-32768, min(32767, math.floor(old + a * (v * 4096 / steps) + 0.5)))
                        for old, a, v in zip(before[place], acc, velocity, strict=True)]
    return after


@pytest.mark.parametrize("family", Family)
def test_every_family_with_random_weights(family, random_network):
    network = quantise(random_network(family))
    for step, label in ((0, 0), (13, 1)):
        found = denoise(network, network.noise[1], label, step, 20, Operators())
        assert patches(found, network.config) == by_definition(network, network.noise[1], label, step, 20)


def test_a_trained_network():
    network = load_quantised("tiny")[0]
    found = denoise(network, network.noise[2], 3, 49, 50, Operators())
    assert patches(found, network.config) == by_definition(network, network.noise[2], 3, 49, 50)
