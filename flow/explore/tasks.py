# SPDX-License-Identifier: Apache-2.0
"""The pieces of a sweep: each runs by itself in any process, and is kept once done."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from flow.explore.evaluate import Rate, Silicon, rates, silicon
from flow.explore.kept import digest_of, kept_path, read_kept, sources_digest, write_kept
from flow.explore.silicon import KeptSynthesiser, library_digest
from flow.explore.space import GATES
from hw.config import MachineConfig

_CYCLES = sources_digest("hw/**/*.py", "model/**/*.py", "model/weights/*_int8.safetensors", "verif/*.py",
                         "verif/*.toml", "flow/explore/evaluate.py")
_AREA = sources_digest("hw/**/*.py", "synth/*.py")


class Task(ABC):
    """A piece of work; its digest covers everything that it depends on."""

    config: MachineConfig

    @property
    @abstractmethod
    def title(self) -> str:
        """For progress and failures."""

    @abstractmethod
    def digest(self) -> str:
        """Names its outcome."""

    @abstractmethod
    def compute(self) -> Any:
        """The outcome as plain values."""

    def kept(self) -> Any | None:
        """Its outcome, None where it has not run yet."""
        return read_kept(kept_path("points", self.digest()))

    def complete(self) -> Any:
        """Its outcome, kept or computed now."""
        found = self.kept()
        if found is None:
            found = self.compute()
            write_kept(kept_path("points", self.digest()), found)
        return found


@dataclass(frozen=True)
class CyclesTask(Task):
    """Rates of a configuration on one set of operands."""

    config: MachineConfig
    steps: int
    reference: str
    sample: int

    @property
    def title(self) -> str:
        """What is counted."""
        return f"{self.config.name}: cycles, {self.reference}, {self.steps} steps"

    def digest(self) -> str:
        """Of configuration, operands and sources."""
        return digest_of("cycles", _CYCLES, _what_matters(self.config), self.steps, self.reference, self.sample)

    def compute(self) -> list[dict[str, Any]]:
        """A list of rates."""
        return [asdict(rate) for rate in rates(self.config, self.steps, self.reference, self.sample)]

    def rates(self, plain: list[dict[str, Any]]) -> list[Rate]:
        """What the outcome says."""
        return [Rate(**item) for item in plain]


@dataclass(frozen=True)
class AreaTask(Task):
    """Area and path of a configuration on one library (`ge`: gate equivalents)."""

    config: MachineConfig
    library: str
    pdk: str | Path | None

    @property
    def title(self) -> str:
        """What is mapped."""
        return f"{self.config.name}: area, {self.library}"

    def digest(self) -> str:
        """Of configuration, Liberty files and sources."""
        return digest_of("area", _AREA, _what_matters(self.config), library_digest(_known(self.library), self.pdk))

    def compute(self) -> dict[str, Any]:
        """The silicon."""
        return asdict(silicon(self.config, _synthesiser(self.library, self.pdk)))

    def silicon(self, plain: dict[str, Any]) -> Silicon:
        """What the outcome says."""
        return Silicon(**plain)


def _known(library: str) -> str | None:
    return None if library == GATES else library


@lru_cache(maxsize=8)
def _synthesiser(library: str, pdk: str | Path | None) -> KeptSynthesiser:
    return KeptSynthesiser(_known(library), pdk)


def _what_matters(config: MachineConfig) -> str:
    """What shapes a group: figures are those of one."""
    return json.dumps(config.group_fields(), sort_keys=True)
