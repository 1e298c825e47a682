# SPDX-License-Identifier: Apache-2.0
"""Random programs that are right in every order their semaphores allow: each instruction is tried on the law first."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from hw.config import TILE, MachineConfig
from hw.control.decode import units
from hw.control.isa import BYTES, SEMAPHORES, Instruction, Opcode, instruction
from hw.errors import VidaError
from model.exact.machine.executor import Executor
from model.exact.machine.store import Store
from verif.instructions import PART, Instructions, in_place

#: Tries for one instruction, and most instructions of a program.
TRIES, PROGRAM_MAX = 12, 512


class Watched(Store):
    """A store that notes which lines are read and written."""

    def watch(self, line: int) -> None:
        """Begin to note, in lines of so many bytes."""
        self.line, self.was_read, self.was_written = line, [], set()

    def read(self, addresses: np.ndarray, width: int) -> np.ndarray:
        """As `Store.read`."""
        values = super().read(addresses, width)
        self.was_read.append(set(np.unique(addresses // self.line).tolist()))
        return values

    def take(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Store.take`."""
        content = super().take(places)
        self.was_read.append(set(np.unique(places // self.line).tolist()))
        return content

    def write(self, addresses: np.ndarray, values: np.ndarray, width: int) -> None:
        """As `Store.write`."""
        super().write(addresses, values, width)
        self.was_written |= set(np.unique(addresses // self.line).tolist())

    def put(self, places: np.ndarray, content: tuple[np.ndarray, np.ndarray]) -> None:
        """As `Store.put`."""
        super().put(places, content)
        self.was_written |= set(np.unique(places // self.line).tolist())

    def undefine(self, addresses: np.ndarray, width: int) -> None:
        """As `Store.undefine`."""
        super().undefine(addresses, width)
        self.was_written |= set(np.unique(addresses // self.line).tolist())


@dataclass
class Step:
    """An instruction of a program in the making, what it reads and writes, and its semaphores."""

    item: Instruction
    unit: int
    reads: set
    writes: set
    quiet: bool = False     # emits nothing: complete before it has read its operands
    fields: dict = field(default_factory=lambda: {"wait": 0, "signal": 0, "fence": 0})


class Drawer:
    """Draws programs for one machine; `law` holds DRAM and buffer as every program leaves them.

    Parameters
    ----------
    config : the machine
    draw : where all chance comes from
    """

    def __init__(self, config: MachineConfig, draw: random.Random) -> None:
        self.config, self.draw, self.units = config, draw, units(config)
        line = config.line_bytes
        self.law = Executor(config, 4 * PART * line + PROGRAM_MAX * BYTES)
        for name, size in (("dram", line), ("buffer", line), ("sums", TILE)):
            store = Watched(name, len(getattr(self.law, name).bytes), seed=draw.getrandbits(32))
            store.watch(size)
            setattr(self.law, name, store)
        self.kinds = Instructions(config, draw, self.law)

    @property
    def program_at(self) -> int:
        """Where in DRAM a program is put: behind the data."""
        return 4 * PART * self.config.line_bytes

    def forget(self) -> None:
        """Nothing is known any more of buffer, row sums and accumulators."""
        for store in (self.law.buffer, self.law.sums):
            store.defined[:] = False
        self.law.held.clear()

    def data(self) -> bytes:
        """New contents of DRAM, put into the law too."""
        draw, dram = np.random.default_rng(self.draw.getrandbits(32)), self.law.dram
        size = PART * self.config.line_bytes
        dram.bytes[:] = draw.integers(0, 256, len(dram.bytes), dtype=np.uint8)
        dram.bytes[:size][draw.random(size) < self.draw.choice((0.1, 0.5, 0.9))] = 0
        high = 1 << self.draw.randint(4, self.config.acc_bits - 1)
        dram.bytes[size:2 * size] = draw.integers(-high, high, size // 4).astype("<i4").view(np.uint8)
        dram.bytes[2 * size:3 * size] = draw.integers(0, 20, size // 4).astype("<i4").view(np.uint8)
        dram.defined[:] = True
        return dram.bytes.tobytes()

    def program(self, length: int) -> list[Instruction]:
        """About `length` instructions on the law's state, then STOREs of all that they wrote, then END."""
        draw, kinds = self.draw, self.kinds
        self.steps: list[Step] = []
        self.kinds.begin()
        pairs = [(p, c) for p in range(len(self.units)) for c in range(len(self.units)) if p != c]
        names = draw.sample(range(SEMAPHORES), SEMAPHORES)
        # A semaphore orders one unit behind one other; with more pairs than semaphores some go without.
        self.pairs = dict(zip(draw.sample(pairs, len(pairs)), names))
        self.law.held.clear()
        for _ in range(6):
            self._try(kinds.load)
        while len(self.steps) < length:
            self._try(draw.choice((kinds.load, kinds.store, *2 * (kinds.matmul,), *2 * (kinds.vector,))))
        self._store_all()
        common = {"tag": draw.getrandbits(16)}
        return [*(step.item.replace(**step.fields) for step in self.steps), instruction(Opcode.END, **common)]

    def _try(self, kind) -> None:
        """Add one instruction of a kind, if some draw of it is legal now."""
        for _ in range(TRIES):
            try:
                item, result = kind()
            except (IndexError, ValueError):     # nothing to draw from
                continue
            if self._add(item):
                self.kinds.known += result
                return

    def _add(self, item: Instruction) -> bool:
        law = self.law
        stores = {"buffer": law.buffer, "dram": law.dram, "sums": law.sums}
        kept = {name: (store.bytes.copy(), store.defined.copy()) for name, store in stores.items()}
        held = dict(law.held)
        for store in stores.values():
            store.watch(store.line)
        try:
            law.run([item, instruction(Opcode.END)])
        except VidaError:
            return False
        reads = {(name, n) for name, store in stores.items() for operand in store.was_read for n in operand}
        writes = {(name, n) for name, store in stores.items() for n in store.was_written}
        overlaps = sum(bool(operand & law.buffer.was_written) for operand in law.buffer.was_read)
        step = Step(item, self.units.index((item.opcode, item["unit"])), reads, writes)
        step.quiet = item.opcode is Opcode.MATMUL and not (item["emit_int8"] or item["emit_accumulators"])
        # An index may lead anywhere, but not to the program itself.
        far = any(name == "dram" and n >= 4 * PART for name, n in reads | writes)
        if overlaps > in_place(item) or far or not self._order(step):
            for name, store in stores.items():
                store.bytes[:], store.defined[:] = kept[name]
            law.held = held
            return False
        self.steps.append(step)
        return True

    def _order(self, step: Step) -> bool:
        """Put a new step behind all that it must not overtake; False where no semaphore is there for it."""
        behind: dict[int, int] = {}
        for n, earlier in enumerate(self.steps):
            if earlier.unit == step.unit:
                # The two kinds of a MATMUL's results overtake each other.
                overwrites = step.item.opcode is Opcode.MATMUL and earlier.writes & step.writes
                if earlier.writes & step.reads or overwrites:
                    step.fields["fence"] = 1
            elif earlier.writes & (step.reads | step.writes) or earlier.reads & step.writes:
                behind[earlier.unit] = n
        for unit, n in behind.items():
            if (unit, step.unit) not in self.pairs:
                return False
            loud = [k for k in range(n, len(self.steps)) if self.steps[k].unit == unit and not self.steps[k].quiet]
            if not loud:
                return False
            behind[unit] = loud[0]
        for (unit, consumer), semaphore in self.pairs.items():
            if consumer == step.unit:
                others = [k for k, one in enumerate(self.steps) if one.unit == unit and not one.quiet]
                if unit not in behind and others and self.draw.random() < 0.03:
                    behind[unit] = self.draw.choice(others)
                if unit in behind:
                    self._wait(step, behind[unit], unit, 1 << semaphore)
        step.fields["fence"] |= self.draw.random() < 0.05
        return True

    def _wait(self, step: Step, n: int, unit: int, bit: int) -> None:
        """`step` starts after instruction n of `unit`: counts of signals and waits are kept equal."""
        after = [one for one in self.steps[n:] if one.unit == unit and one.fields["signal"] & bit]
        if not after:
            self.steps[n].fields["signal"] |= bit
            step.fields["wait"] |= bit

    def _store_all(self) -> None:
        """STOREs of every line that was written."""
        line, begin = self.config.line_bytes, 3 * PART - self.kinds.arena
        lines = sorted({n for step in self.steps for name, n in step.writes if name == "buffer"})
        while lines:
            run = 1
            while run < len(lines) and lines[run] == lines[0] + run:
                run += 1
            item = instruction(Opcode.STORE, dram=(begin + lines[0]) * line, rows=1, lines=run,
                               buffer=lines[0])
            if not self._add(item) and run > 1:      # one by one, but for those that no semaphore is there for
                for n in lines[:run]:
                    self._add(item.replace(dram=(begin + n) * line, lines=1, buffer=n))
            del lines[:run]
