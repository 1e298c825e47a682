# SPDX-License-Identifier: Apache-2.0
"""Random jobs for a PE group: beats for every stream, and the beats that the law says must come back.

Operands cover what a network rarely gives: -128, differences of +-255, all zero, all dense, K = 1, K around the
encoder's scan, unemitted jobs followed by `hold` (K chunks), init values over the whole accumulator range.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hw.config import TILE, Lane, MachineConfig
from hw.numerics import MULTIPLIER_BITS, SHIFT_MAX, requantise
from hw.payloads import Init
from model.exact.compute.peg import matmul
from model.exact.encode.encoder import beats
from verif.digits import segment_beat

Stream = list[dict[str, Any]]
#: Kinds of left operands; `panel_of` makes them.
KINDS = ("zero", "dense", "sparse", "near", "corner", "farthest")


@dataclass
class JobSet:
    """Beats in the order of the jobs, fields nested as in `hw.payloads`.

    `left` goes to a group (operands; native beats for a native one), `segments` to the PEG inside it. `result` are
    all rows that leave the PEG; `accumulators` and `int8` the rows that leave the group. `panels` keeps
    (current, reference, skip) of every job.
    """

    config: MachineConfig
    job: Stream = field(default_factory=list)
    left: Stream = field(default_factory=list)
    segments: Stream = field(default_factory=list)
    right: Stream = field(default_factory=list)
    init: Stream = field(default_factory=list)
    scale: Stream = field(default_factory=list)
    result: Stream = field(default_factory=list)
    accumulators: Stream = field(default_factory=list)
    int8: Stream = field(default_factory=list)
    panels: list[tuple[torch.Tensor, torch.Tensor, bool]] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)      #: segments by how many of their digits are issued

    @property
    def digits(self) -> int:
        """Digits that are issued."""
        return sum(size * times for size, times in self.sizes.items())

    @property
    def outputs(self) -> int:
        """Values that the group gives back."""
        return self.config.columns * (len(self.accumulators) + len(self.int8))


def flat(beat: Mapping[str, Any]) -> dict[str, Any]:
    """Nested structures by the names of their ports: {"slot": [{"k": 1}]} -> {"slot0_k": 1}."""
    result: dict[str, Any] = {}
    for name, value in beat.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for n, part in enumerate(value):
                result |= {f"{name}{n}_{key}": item for key, item in flat(part).items()}
        else:
            result[name] = value
    return result


def arrays(stream: Stream) -> dict[str, np.ndarray]:
    """A stream as one array a field, for the player."""
    return {name: np.array([beat[name] for beat in stream], dtype=np.int64) for name in stream[0]} if stream else {}


def panel_of(kind: str, length: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """(current, reference), each (4, length) int8 values, of one of `KINDS`."""
    def values(low: int, high: int) -> torch.Tensor:
        return torch.randint(low, high + 1, (TILE, length), generator=generator)

    reference = values(-128, 127)
    if kind == "zero":
        return reference.clone(), reference
    if kind == "dense":
        return values(-128, 127), reference
    if kind == "sparse":
        return torch.where(values(0, 9) == 0, values(-128, 127), reference), reference
    if kind == "near":
        return (reference + values(-3, 3) * values(0, 6)).clip(-128, 127), reference
    if kind == "corner":
        corners = torch.tensor([-128, -127, -16, -15, -9, -8, -1, 0, 1, 7, 8, 15, 16, 120, 127])
        return corners[values(0, len(corners) - 1)], corners[values(0, len(corners) - 1)]
    reference = values(0, 1) * 255 - 128
    return -1 - reference, reference


def left_beats(current: torch.Tensor, reference: torch.Tensor, config: MachineConfig, skip: bool = True) -> Stream:
    """The panel as the encoder (a native group: the PEG) takes it; columns beyond the last hold noise or zeros."""
    length = current.shape[1]
    native = config.lane is Lane.NATIVE
    width = config.depth if native else config.scan
    result: Stream = []
    for k in range(0, length, width):
        count, last = min(width, length - k), k + width >= length
        # The encoder must ignore what `count` excludes; a native group multiplies all, so there it is zero.
        padding = [[0 if native else 77] * TILE] * (width - count)
        now = current[:, k:k + count].T.tolist() + padding
        if native:
            result.append({"value": now, "last": last})
        else:
            then = reference[:, k:k + count].T.tolist() + [[-77] * TILE] * (width - count)
            result.append({"current": now, "reference": then, "count": count, "skip": int(skip), "last": last})
    return result


class Generator:
    """Draws jobs from one seed; `add` appends a right slot with its panels to a `JobSet`."""

    def __init__(self, config: MachineConfig, seed: int | str, k_max: int | None = None) -> None:
        self.config = config
        self._random = random.Random(seed)
        self._torch = torch.Generator().manual_seed(self._random.getrandbits(31))
        self._k_max = min(k_max or config.right_rows, config.right_rows)
        self._carried = torch.zeros(TILE, config.columns, dtype=torch.int64)
        self._slot = 0

    def make(self, slots: int) -> JobSet:
        """Jobs on `slots` right slots, one to five panels each; the last job emits."""
        work = JobSet(self.config)
        for n in range(slots):
            length = self._length()
            right = self._integers(-128, 127, length, self.config.columns)
            if self._random.random() < 0.1:
                right = torch.full_like(right, -128)
            work.right += [{"value": row, "last": k == length - 1} for k, row in enumerate(right.tolist())]
            panels = self._random.randint(1, 5)
            for p in range(panels):
                self._job(work, right, release=p == panels - 1, final=n == slots - 1 and p == panels - 1)
            self._slot ^= 1
        return work

    def _length(self) -> int:
        scan = self.config.scan
        choices = [1, 2, 3, max(1, scan - 1), scan, scan + 1, 2 * scan, self._random.randint(1, self._k_max)]
        return min(self._k_max, self._random.choice(choices))

    def _integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high + 1, shape, generator=self._torch)

    def _job(self, work: JobSet, right: torch.Tensor, release: bool, final: bool) -> None:
        config, draw = self.config, self._random
        current, reference = panel_of(draw.choice(KINDS), len(right), self._torch)
        if config.lane is Lane.NATIVE:
            reference = torch.zeros_like(reference)
        skip, kind, transposed = draw.random() > 0.15, draw.choice(list(Init)), draw.randint(0, 1)
        start = self._start(kind, transposed, work)
        emit = draw.choice((1, 1, 2, 3) if final else (0, 1, 1, 2, 3))
        self._carried = matmul(current, reference, right, start, config.acc_bits)
        header = {"rows": draw.randint(1, TILE), "cols": draw.randint(1, config.columns),
                  "tag": draw.getrandbits(config.tag_bits)}
        work.job.append({**header, "k": len(right), "init": kind.value, "transposed": transposed, "emit": emit,
                         "slot": self._slot, "release": int(release), "threshold": draw.randint(0, TILE)})
        work.panels.append((current, reference, skip))
        work.left += left_beats(current, reference, config, skip)
        if config.lane is Lane.DIGIT:
            sent = beats(current, reference, config, skip)
            work.segments += [segment_beat(beat, b + 1 == len(sent)) for b, beat in enumerate(sent)]
            for segment in (item for beat in sent for item in beat if item is not None):
                work.sizes[segment.count] = work.sizes.get(segment.count, 0) + 1
        self._expect(work, header, emit)

    def _start(self, kind: Init, transposed: int, work: JobSet) -> torch.Tensor:
        """Accumulators before the job; appends the beats that bring them."""
        columns, half = self.config.columns, 1 << (self.config.acc_bits - 1)
        span = self._random.choice((1000, half - 1))
        if kind is Init.ZERO:
            return torch.zeros(TILE, columns, dtype=torch.int64)
        if kind is Init.HOLD:
            return self._carried
        if kind is Init.BIAS:
            bias = self._integers(-span - 1, span, columns)
            work.init.append({"value": bias.tolist()})
            return bias.expand(TILE, columns)
        tile = self._integers(-span - 1, span, TILE, columns)
        sent = blockwise_transpose(tile) if transposed else tile
        work.init += [{"value": row} for row in sent.tolist()]
        return tile

    def _expect(self, work: JobSet, header: dict[str, int], emit: int) -> None:
        rows = [{**header, "value": values, "row": row, "last": int(row == TILE - 1), "emit": emit}
                for row, values in enumerate(self._carried.tolist())]
        if emit:
            work.result += rows
        if emit & 1:
            work.accumulators += rows
        if emit & 2:
            multiplier, shift = self.scale()
            work.scale.append({"multiplier": multiplier, "shift": shift})
            for row in rows:
                scaled = [requantise(value, factor, shift)
                          for value, factor in zip(row["value"], multiplier, strict=True)]
                work.int8.append({name: scaled if name == "value" else item for name, item in row.items()
                                  if name != "emit"})

    def scale(self) -> tuple[list[int], int]:
        """Multipliers and a shift that brings the carried tile near the int8 range, sometimes far off it."""
        draw, top = self._random, (1 << MULTIPLIER_BITS) - 1
        multiplier = [draw.choice((draw.randint(0, top), draw.randint(top // 2, top), 0, 1, top))
                      for _ in range(self.config.columns)]
        near = (int(self._carried.abs().max()) << MULTIPLIER_BITS).bit_length() - draw.randint(6, 10)
        return multiplier, draw.choice((min(SHIFT_MAX, max(0, near)), draw.randint(0, SHIFT_MAX)))


def blockwise_transpose(tile: torch.Tensor) -> torch.Tensor:
    """Every 4x4 block of a (4, 4n) tile transposed: how a transposed tile init travels."""
    return tile.reshape(TILE, -1, TILE).permute(2, 1, 0).reshape(TILE, -1)


def job_sets(config: MachineConfig, seed: int, slots: int, count: int) -> Iterator[JobSet]:
    """`count` independent sets of jobs."""
    for n in range(count):
        yield Generator(config, f"{seed}/{n}").make(slots)


def outputs(sets: Iterable[JobSet]) -> int:
    """Values that the law expects of all sets."""
    return sum(work.outputs for work in sets)
