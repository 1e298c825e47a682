# SPDX-License-Identifier: Apache-2.0
"""One configuration gives one machine: frozen, checked, with named presets.

A configuration is a TOML file with the fields of `MachineConfig`; `load_config` takes a preset's name or a path.
"""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hw.errors import VidaError
from hw.workspace import read_toml

#: Rows of a tile, and columns of a CCPE's part of it: the 4x4 block in which every matrix lives.
TILE = 4


class Lane(str, Enum):
    """What an element of the array multiplies."""

    DIGIT = "digit"  #: radix-16 digit x 8-bit operand, shift-add; zeros are skipped. The generator's subject.
    NATIVE = "native"  #: 8-bit x 8-bit, nothing skipped, no encoder. The baseline `dense8`.


class Allocation(str, Enum):
    """Which multiplier takes which digit of a segment of four."""

    NONE = "none"  #: dense lane only: simplest, a lone non-zero costs a whole dense issue
    SPARSE = "sparse"  #: sparse lane only: every issue is useful, few multipliers for as many accumulators
    THRESHOLD = "threshold"  #: ViDA: a static count per operator kind splits; lanes wait for each other at a tile's end
    BALANCE = "balance"  #: densest segments to the dense lane, thinnest to the sparse lane, whichever is free
    MERGE = "merge"  #: segments share an issue: each element chooses among several right buses, no sparse lane


class SparseSum(str, Enum):
    """Where the sparse lane's products are added up."""

    OWN = "own"  #: accumulators of its own, added to the dense lane's as a tile leaves; short path, many registers
    SHARED = "shared"  #: the dense lane's accumulators: an adder in each element, no registers and no merge unit


class Drain(str, Enum):
    """How results leave the accumulators."""

    INPLACE = "inplace"  #: shifted out in 4 cycles during which the lanes wait; no second accumulator set
    SHADOW = "shadow"  #: copied to a second set in 1 cycle and shifted out behind the next tile; dearer


def _count(low: int, high: int, text: str) -> Any:
    return Field(ge=low, le=high, description=text)


class MachineConfig(BaseModel):
    """The parameters of one machine; see the field descriptions (`vida generate --help` points here)."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)

    format: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$", description="names files and modules")]
    pegs: Annotated[int, _count(1, 16, "processing-element groups")]
    ccpes: Annotated[int, _count(1, 32, "CCPEs of a PEG; each holds four columns of the tile")]
    lane: Annotated[Lane, Field(description="element of the array")] = Lane.DIGIT
    depth: Annotated[Literal[1, 2, 4], Field(description="columns k multiplied and summed before one accumulator")] = 1
    allocation: Annotated[Allocation, Field(description="allocation policy")] = Allocation.NONE
    drain: Annotated[Drain, Field(description="how results leave")] = Drain.INPLACE
    scan: Annotated[int, _count(1, 16, "columns k that the encoder takes a cycle")] = 4
    slots: Annotated[int, _count(1, 16, "segments a beat from encoder to allocation")] = 4
    queue_depth: Annotated[int, _count(2, 32, "places of a pool or queue; there is one per residue of k")] = 6
    buses: Annotated[Literal[2, 4], Field(description="right buses that an element chooses from (merge only)")] = 2
    sparse_sum: Annotated[SparseSum, Field(description="where the sparse lane accumulates")] = SparseSum.OWN
    requantise_cycles: Annotated[int, _count(1, 4, "cycles a requantised row takes; the requantiser has columns / this "
                                                   "lanes, rounded up")] = 1
    right_rows: Annotated[int, _count(8, 8192, "rows k in one slot of the right store")] = 512
    k_max: Annotated[int, _count(8, 65536, "longest K over all chunks; sets acc_bits only")] = 8192
    tag_bits: Annotated[int, _count(1, 32, "bits of a job's tag")] = 16
    sad_lanes: Annotated[int, _count(4, 256, "elements a cycle of the SAD encoding unit")] = 16
    buffers: Annotated[int, _count(2, 16, "banks of the global buffer, a power of two; each reads and writes a line a "
                                          "cycle")] = 8
    buffer_lines: Annotated[int, _count(64, 65536, "lines of 16 x ccpes bytes in a bank, a power of two")] = 1024
    bus_bytes: Annotated[Literal[8, 16, 32, 64], Field(description="bytes of the memory bus, a beat")] = 64
    vector_lanes: Annotated[int | None, Field(ge=1, le=128, description="elements a cycle of the vector unit; divides "
                                              "4 x ccpes, which is what none gives")] = None

    @model_validator(mode="after")
    def _cross_checks(self) -> MachineConfig:
        problems = []
        if self.lane is Lane.NATIVE and self.allocation is not Allocation.NONE:
            problems.append(f"lane = native has no sparse lane: allocation is {self.allocation.value}, must be none")
        for field in ("scan", "slots"):
            if getattr(self, field) % self.residues:
                problems.append(f"{field} is {getattr(self, field)}, must be a multiple of {self.residues}, the number "
                                "of residues of k (depth, twice that with a sparse lane)")
        if self.allocation is Allocation.SPARSE and (self.depth != 1 or self.sparse_sum is not SparseSum.SHARED):
            problems.append(f"allocation = sparse has no dense lane: depth is {self.depth}, must be 1; sparse_sum is "
                            f"{self.sparse_sum.value}, must be shared")
        if self.merges and self.buses > self.residues:
            problems.append(f"buses is {self.buses}, must be at most 2 x depth = {self.residues}")
        if self.slots > 2 * self.scan:
            problems.append(f"slots is {self.slots}, must be at most 2 x scan = {2 * self.scan}")
        if self.queue_depth < 2 * self.slots_per_residue:
            problems.append(f"queue_depth is {self.queue_depth}, must hold two beats of a residue: "
                            f"at least {2 * self.slots_per_residue}")
        if self.right_rows % (2 * self.depth) or self.right_rows < 4 * self.depth:
            problems.append(f"right_rows is {self.right_rows}, must be a multiple of 2 x depth = {2 * self.depth} "
                            f"and at least {4 * self.depth}")
        if self.right_rows > self.k_max:
            problems.append(f"right_rows is {self.right_rows}, must be at most k_max = {self.k_max}")
        for field in ("sad_lanes", "buffers", "buffer_lines"):
            value = getattr(self, field)
            if value & (value - 1):
                problems.append(f"{field} is {value}, must be a power of two")
        if self.columns % self.lanes:
            problems.append(f"vector_lanes is {self.lanes}, must divide 4 x ccpes = {self.columns}")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def sparse_lanes(self) -> int:
        """Sparse (1x4 SPU) lanes of a CCPE: one where the allocation policy uses it, else none."""
        return int(self.allocation in (Allocation.SPARSE, Allocation.THRESHOLD, Allocation.BALANCE))

    @property
    def merges(self) -> bool:
        """Elements of the dense lane choose among several right rows."""
        return self.allocation is Allocation.MERGE

    @property
    def own_sparse_sum(self) -> bool:
        """There is a sparse lane with accumulators of its own."""
        return bool(self.sparse_lanes) and self.sparse_sum is SparseSum.OWN

    @property
    def dense_depth(self) -> int:
        """Multipliers of an element of the dense lane: 0 where there is only a sparse lane."""
        return 0 if self.allocation is Allocation.SPARSE else self.depth

    @property
    def residues(self) -> int:
        """Banks of the right store, pools or queues of the allocation: k modulo this tells which.

        One for each column of depth; two where two rows of a column are read at once, by both lanes or by elements
        that choose.
        """
        return self.depth * (1 if self.allocation in (Allocation.NONE, Allocation.SPARSE) else 2)

    @property
    def right_reads(self) -> int:
        """Rows of the right operand that reach the elements of the dense lane in a cycle."""
        return self.residues if self.merges else self.dense_depth

    @property
    def slots_per_residue(self) -> int:
        """Segments of one residue in a beat."""
        return self.slots // self.residues

    @property
    def columns(self) -> int:
        """Columns of a tile: four a CCPE."""
        return TILE * self.ccpes

    @property
    def lanes(self) -> int:
        """Elements a cycle of the vector unit."""
        return self.vector_lanes or self.columns

    @property
    def line_bytes(self) -> int:
        """Bytes of a line of the global buffer: one int8 tile."""
        return TILE * self.columns

    @property
    def acc_bits(self) -> int:
        """Accumulator width: holds k_max products of two int8 values (28 for 8192)."""
        return (self.k_max << 14).bit_length()

    @property
    def multipliers(self) -> int:
        """DPU multipliers of one PEG."""
        return TILE * self.columns * self.dense_depth

    @property
    def sparse_multipliers(self) -> int:
        """SPU multipliers of one PEG."""
        return self.columns * self.sparse_lanes

    def group_fields(self) -> dict[str, Any]:
        """The fields that shape a group; the others are the machine's around it."""
        return self.model_dump(mode="json", exclude={"format", "name", "pegs", "tag_bits", *_AROUND})

    def digest(self) -> str:
        """Hash of every parameter, in a canonical text."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def replace(self, **changes: Any) -> MachineConfig:
        """A checked copy with some fields changed."""
        return make_config({**self.model_dump(mode="json"), **changes}, "replace()")


_AROUND = ("buffers", "buffer_lines", "bus_bytes", "vector_lanes")

_PAPER: dict[str, Any] = {"pegs": 4, "ccpes": 8, "right_rows": 512, "k_max": 8192, "requantise_cycles": 4}

#: name -> fields. `paper` is ViDA's own shape (4 PEG x 8 CCPE x [4x4 DPU + 1x4 SPU]), `default` the same array with
#: what won by throughput per area (docs/decisions/0005), `dense8` the baseline at its best.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"pegs": 1, "ccpes": 2, "right_rows": 64, "k_max": 1024, "allocation": "balance", "drain": "shadow",
             "buffers": 4},
    "paper": {**_PAPER, "allocation": "threshold", "drain": "inplace", "scan": 8, "queue_depth": 8},
    "default": {**_PAPER, "allocation": "merge", "depth": 4, "buses": 4, "drain": "shadow", "scan": 16, "slots": 16,
                "queue_depth": 4, "requantise_cycles": 3},
    "dense8": {**_PAPER, "lane": "native", "depth": 4, "allocation": "none", "drain": "shadow", "scan": 4, "slots": 4},
}


def make_config(fields: dict[str, Any], source: str) -> MachineConfig:
    """Check `fields`; on failure raise VidaError with one line that names each value and what is allowed."""
    try:
        return MachineConfig.model_validate(fields)
    except ValidationError as error:
        lines = []
        for item in error.errors():
            where = ".".join(str(part) for part in item["loc"])
            message = item["msg"].removeprefix("Value error, ")
            if item["type"] == "extra_forbidden":
                message = f"unknown key; known: {', '.join(MachineConfig.model_fields)}"
            elif where and item["type"] != "missing":
                message = f"is {item['input']!r}: {message}"
            lines.append(f"{where}: {message}" if where else message)
        raise VidaError(f"configuration {source}: {'; '.join(lines)}") from None


def load_config(name_or_path: str | Path) -> MachineConfig:
    """A preset by name, or a TOML file (anything that ends in .toml or has a path separator)."""
    text = str(name_or_path)
    if text in PRESETS:
        return make_config({"name": text, **PRESETS[text]}, text)
    if not text.endswith(".toml") and "/" not in text:
        raise VidaError(f"unknown preset {text!r}: known are {', '.join(PRESETS)}, or give a .toml file")
    path = Path(text)
    return make_config({"name": path.stem, **read_toml(path, f"configuration {text}")}, text)
