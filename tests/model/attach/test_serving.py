# SPDX-License-Identifier: Apache-2.0
"""What is refused before a run, with the reason."""

import pytest

from hw.errors import VidaError
from model.approximate.config import DittoConfig, KeyWeight, ORBISConfig, PassThrough
from model.attach import apply


@pytest.mark.parametrize("reading", [one for one in PassThrough if one is not PassThrough.OFF])
def test_differences_do_not_pass_from_layer_to_layer_of_a_users_model(prepare, reading):
    subject, calibration = prepare("DiTTransformer2DModel")
    with pytest.raises(VidaError, match=f"pass_through='{reading.value}'.*no two are known to follow each other"):
        apply(subject.model, DittoConfig(pass_through=reading), calibration)


def test_weights_of_keys_are_for_the_networks_here(prepare):
    subject, calibration = prepare("CogVideoXTransformer3DModel")
    config = ORBISConfig(kv_ratio=0.5, key_weight=KeyWeight.PROPORTIONAL)
    with pytest.raises(VidaError, match="ORBISConfig: key_weight='proportional' is for the networks here"):
        apply(subject.model, config, calibration)
