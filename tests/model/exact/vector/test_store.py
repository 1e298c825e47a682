# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from safetensors.torch import load, save

from hw.errors import VidaError
from model.exact.vector.gelu import GeluParams
from model.exact.vector.layernorm import LayerNormParams
from model.exact.vector.residual import ResidualParams
from model.exact.vector.scaling import Scale
from model.exact.vector.store import from_tensors, to_tensors
from model.exact.vector.tables import build_tables

EXAMPLES = [
    build_tables(),
    Scale((1, 4095), 39),
    LayerNormParams((1 << 54) - 1, Scale((5,), 0)),
    GeluParams(Scale((1, 2, 3), 4), Scale((5,), 6)),
    ResidualParams(Scale((7, 8), 9), 3),
]


@pytest.mark.parametrize("params", EXAMPLES, ids=lambda params: type(params).__name__)
def test_round_trip_through_safetensors(params):
    assert from_tensors(type(params), load(save(to_tensors(params, "block.0"))), "block.0") == params


def test_names_what_is_missing_or_of_another_kind():
    tensors = to_tensors(Scale((1, 2), 3), "a")
    with pytest.raises(VidaError, match="'b.multipliers' of the checkpoint is missing"):
        from_tensors(Scale, tensors, "b")
    with pytest.raises(VidaError, match="float32, 1 axes; int64 with 1"):
        from_tensors(Scale, {**tensors, "a.multipliers": torch.ones(2)}, "a")
    with pytest.raises(VidaError, match="multiplier 4096"):
        from_tensors(Scale, {**tensors, "a.multipliers": torch.tensor([4096])}, "a")
