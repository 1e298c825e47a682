# SPDX-License-Identifier: Apache-2.0
"""Networks of every family for the tests of the model side."""

from functools import cache

import pytest
import torch

from model.networks import Family, NetworkConfig
from model.transformer import VideoTransformer


@cache
def _random_network(family):
    torch.manual_seed(0)
    context = 3 if family is Family.STDIT else 0
    config = NetworkConfig(3, 8, 4, 16, 2, 2, classes=2, family=family, context=context)
    network = VideoTransformer(config).requires_grad_(False)
    for module in [*network.blocks, network]:
        module.modulation.weight.normal_(0, 0.2)
        module.modulation.bias.normal_(0, 0.5)
    network.head.weight.normal_(0, 0.2)
    return network


@pytest.fixture
def random_network():
    """A network of two patterns of a family with random weights: random_network(family)."""
    return _random_network
