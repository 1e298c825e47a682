# SPDX-License-Identifier: Apache-2.0
"""From configuration objects to the operators of an attached model, and the reasons where a method cannot serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from hw.errors import VidaError
from model.approximate.chain import Approximate, Feature
from model.approximate.config import Config, DittoConfig, check_together
from model.approximate.work import Work
from model.exact.operators import Operators, Recorder, Site
from model.methods import Ditto
from model.networks import CROSS


class ChangingConditions(Ditto):
    """Ditto where a model's condition may change between timesteps: then cross-attention takes two products too."""

    def attention(self, site: Site, left: Tensor, right: Tensor) -> Tensor:
        """As `Ditto.attention`, equal bit for bit."""
        if site.block != CROSS or site not in self.last or torch.equal(self.last[site][1], right):
            return super().attention(site, left, right)
        moved = replace(site, block="none")
        self.last[moved] = self.last.pop(site)
        result = super().attention(moved, left, right)
        self.last[site] = self.last.pop(moved)
        return result


@dataclass
class Methods:
    """How the operators of one video are made.

    Members
    -------
    configs : of the methods, none for dense int8
    record : called with every job
    uncovered : layer to the reason why a method leaves it dense
    """

    configs: Sequence[Config]
    record: Recorder | None = None
    uncovered: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_together(self.configs)
        self.exact: type[Operators] = Operators
        for config in self.configs:
            if isinstance(config, DittoConfig):
                self.exact = ChangingConditions
            else:
                raise VidaError(f"{type(config).__name__} is not served on a user's model")

    def make(self) -> Approximate:
        """Fresh operators for one video."""
        features: list[Feature] = []
        return Approximate(features, Work(), self.record, self.exact)
