# SPDX-License-Identifier: Apache-2.0
"""A space to explore: which configurations, on which libraries, with which operands. A TOML file, checked.

    base = "paper"                  # preset, or a configuration file
    libraries = ["asap7"]           # or "ge": gate equivalents, equal clocks
    references = ["timestep"]       # of none, timestep, frame; best: the faster of none and timestep, by operator
    steps = [50]                    # lengths of the sampling run
    sample = 4                      # a quarter of every operand; 1: the whole
    [axes]                          # every combination
    drain = ["inplace", "shadow"]
    [[variant]]                     # without any: one variant, named after the base
    name = "merge"
    base = "paper"
    fields = {allocation = "merge"}
    axes = {buses = [2, 4]}         # beside those above
    points = [{depth = 1}, {depth = 2, scan = 8, slots = 8}]    # fields that change together
"""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hw.config import MachineConfig, load_config
from hw.errors import VidaError
from hw.workspace import read_toml
from model.sample import STEP_CHOICES
from synth.liberty import LIBRARIES
from verif.operators import REFERENCES

SPACES = Path(__file__).with_name("spaces")
#: Beside the list's references: for each operator the faster of none and timestep, both exact.
BEST = "best"
#: The "library" of gate equivalents: areas without any Liberty file, clocks taken as equal.
GATES = "ge"
#: More points than this are a slip in the file, not a sweep.
MOST = 5000

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,23}$")]
Axes = dict[str, Annotated[list[Any], Field(min_length=1)]]


class Variant(BaseModel):
    """Configurations that compete under one name; fields of `points` go over `fields`, `axes` over both."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    base: str | None = None
    fields: dict[str, Any] = {}
    axes: Axes = {}
    points: Annotated[list[dict[str, Any]], Field(min_length=1)] = [{}]


class Space(BaseModel):
    """See the module's docstring."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: Name
    base: str
    libraries: Annotated[list[str], Field(min_length=1)] = [GATES]
    references: Annotated[list[Literal[*REFERENCES, BEST]], Field(min_length=1)] = ["timestep"]
    steps: Annotated[list[int], Field(min_length=1)] = [STEP_CHOICES[0]]
    sample: Literal[1, 2, 4] = 4
    axes: Axes = {}
    variant: list[Variant] = []

    def digest(self) -> str:
        """Names the folder of the sweep's outcome."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Configured:
    """One machine of a variant; `label` tells it from the variant's others."""

    variant: str
    label: str
    config: MachineConfig


@dataclass(frozen=True)
class Configurations:
    """All machines of a space; `skipped`: combinations that are no machine, with the reason, first ones first."""

    machines: list[Configured]
    skipped: list[str]


def load_space(name_or_path: str | Path) -> Space:
    """A space of this package by name, or a TOML file; raises VidaError, one line, for anything wrong in it."""
    text = str(name_or_path)
    known = {file.stem: file for file in sorted(SPACES.glob("*.toml"))}
    if text not in known and not text.endswith(".toml") and "/" not in text:
        raise VidaError(f"unknown space {text!r}: known are {', '.join(known)}, or give a .toml file")
    path = known.get(text, Path(text))
    return make_space({"name": path.stem, **read_toml(path, f"space {text}")}, text)


def make_space(fields: dict[str, Any], text: str) -> Space:
    """Check `fields`; raises VidaError, one line that begins with where they come from."""
    try:
        space = Space.model_validate(fields)
    except ValidationError as error:
        raise VidaError(f"space {text}: {'; '.join(_told(item) for item in error.errors())}") from None
    _check(space, text)
    return space


def _told(item: Any) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = (Variant if "variant" in item["loc"] else Space).model_fields
        return f"{where}: unknown key; known: {', '.join(known)}"
    return f"{where}: {'' if item['type'] == 'missing' else 'is ' + repr(item['input']) + ': '}{item['msg']}"


def _check(space: Space, text: str) -> None:
    allowed = {"libraries": (GATES, *LIBRARIES), "steps": STEP_CHOICES}
    for key, values in allowed.items():
        for value in getattr(space, key):
            if value not in values:
                raise VidaError(f"space {text}: {key}: is {value!r}, must be of {', '.join(map(str, values))}")
    names = [variant.name for variant in space.variant]
    if len(set(names)) < len(names):
        raise VidaError(f"space {text}: variant: more than one of the same name in {', '.join(names)}")
    for place, fields in [("axes", space.axes), *((f"variant {v.name}", fields) for v in space.variant
                                                  for fields in (v.fields, v.axes, *v.points))]:
        for field in fields:
            if field not in MachineConfig.model_fields or field in ("format", "name"):
                known = [name for name in MachineConfig.model_fields if name not in ("format", "name")]
                raise VidaError(f"space {text}: {place}: unknown field {field!r}; known: {', '.join(known)}")


def configurations(space: Space) -> Configurations:
    """Every machine of `space`, each once; combinations that contradict themselves are skipped.

    Raises VidaError for a value that its field never takes, for too many combinations, or where none is left.
    """
    machines: dict[str, Configured] = {}
    skipped: list[str] = []
    for variant in space.variant or [Variant(name=load_config(space.base).name)]:
        base = load_config(variant.base or space.base)
        axes = {**space.axes, **variant.axes}
        for point in variant.points:
            for values in itertools.product(*axes.values()):
                chosen = {**point, **dict(zip(axes, values, strict=True))}
                label = " ".join(f"{field}={value}" for field, value in chosen.items())
                fields = {**base.model_dump(mode="json"), **variant.fields, **chosen, "name": variant.name}
                made = _machine(fields, f"{variant.name} {label}", skipped)
                if made is not None:
                    machines.setdefault(made.digest(), Configured(variant.name, label, made))
                if len(machines) + len(skipped) > MOST:
                    raise VidaError(f"space {space.name}: more than {MOST} combinations")
    if not machines:
        raise VidaError(f"space {space.name}: no combination is a machine: {skipped[0]}")
    return Configurations(list(machines.values()), skipped)


def _machine(fields: dict[str, Any], where: str, skipped: list[str]) -> MachineConfig | None:
    """The machine; None, and a line in `skipped`, where its fields contradict each other."""
    try:
        return MachineConfig.model_validate(fields)
    except ValidationError as error:
        for item in error.errors():
            if item["loc"]:
                raise VidaError(f"space: {where}: {item['loc'][0]} is {item['input']!r}: {item['msg']}") from None
        skipped.append(f"{where}: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
        return None
