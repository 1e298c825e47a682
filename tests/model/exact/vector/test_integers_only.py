# SPDX-License-Identifier: Apache-2.0
"""No law of the vector unit touches a float at run time: every operation of torch is watched."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from model.exact.vector.gelu import GeluParams, gelu
from model.exact.vector.layernorm import LayerNormParams, layernorm
from model.exact.vector.residual import ResidualParams, residual
from model.exact.vector.scaling import Scale
from model.exact.vector.softmax import normalise, softmax
from model.exact.vector.tables import build_tables


class IntegersOnly(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                assert leaf.dtype in (torch.int64, torch.bool), f"{function} gives {leaf.dtype}"
        return result


def test_every_intermediate_is_an_integer():
    tables = build_tables()
    acc = torch.randint(-100000, 100000, (2, 3, 8, 16), generator=torch.Generator().manual_seed(0))
    x = acc.clamp(-32768, 32767)
    modulation = x[0, 0, 0]
    norm = LayerNormParams.from_real(1e-6, 0.001, 16, 0.03)
    branch = ResidualParams.from_real([1e-5] * 16, 0.001, 1.0)
    activation = GeluParams.from_real([1e-5] * 16, 0.02)
    with IntegersOnly():
        p, row_sum = softmax(acc, Scale.from_real(0.01), tables.exp2)
        assert p.shape == acc.shape and row_sum.shape == acc.shape[:-1]
        assert normalise(acc, row_sum, Scale.from_real(0.01), tables.reciprocal).shape == acc.shape
        assert layernorm(x, modulation, modulation, norm, tables.rsqrt).shape == acc.shape
        assert gelu(acc, activation, tables.gelu).shape == acc.shape
        assert residual(x, modulation, acc, branch).shape == acc.shape
