# SPDX-License-Identifier: Apache-2.0
"""A memory that knows which of its bytes mean something, and what goes wrong in a program."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from hw.errors import VidaError


class Fault(str, Enum):
    """Why a program stops."""

    ILLEGAL = "illegal"  #: an instruction or an operand that the machine refuses
    ADDRESS = "address"  #: outside DRAM or buffer
    UNDEFINED = "undefined"  #: reads a byte that nothing has written (strict only; no hardware sees it)
    TOKENS = "tokens"  #: a semaphore counts over its width
    DEADLOCK = "deadlock"  #: every queue waits
    TRUNCATED = "truncated"  #: no END


class ProgramError(VidaError):
    """A fault, and the index of the instruction in the program (None where it is no single one's)."""

    def __init__(self, kind: Fault, message: str, index: int | None = None) -> None:
        self.kind, self.message, self.index = kind, message, index
        super().__init__(message if index is None else f"instruction {index}: {message}")


class Store:
    """Bytes, each defined or not. What is undefined holds random bytes, so that nothing can rest on them.

    Parameters
    ----------
    name : for messages
    size : bytes
    strict : reading an undefined byte is a fault
    seed : of the random bytes
    """

    def __init__(self, name: str, size: int, strict: bool = True, seed: int = 0) -> None:
        self.name, self.strict = name, strict
        self._draw = np.random.default_rng(seed)
        self.bytes = self._draw.integers(0, 256, size, dtype=np.uint8)
        self.defined = np.zeros(size, dtype=bool)

    def check(self, addresses: np.ndarray, width: int = 1) -> None:
        """Raise `ProgramError` where an access of `width` bytes leaves the memory."""
        low, high = int(addresses.min()), int(addresses.max()) + width
        if low < 0 or high > len(self.bytes):
            wrong = low if low < 0 else high - 1
            raise ProgramError(Fault.ADDRESS, f"{self.name} byte {wrong:#x}, below {len(self.bytes):#x} allowed")

    def read(self, addresses: np.ndarray, width: int) -> np.ndarray:
        """Signed little-endian integers of 1, 2 or 4 bytes at `addresses`, as int64 of their shape."""
        self.check(addresses, width)
        places = addresses[..., None] + np.arange(width)
        if self.strict and not self.defined[places].all():
            wrong = int(places[~self.defined[places]].min())
            raise ProgramError(Fault.UNDEFINED, f"{self.name} byte {wrong:#x} is read, nothing has written it")
        return np.ascontiguousarray(self.bytes[places]).view(f"<i{width}")[..., 0].astype(np.int64)

    def write(self, addresses: np.ndarray, values: np.ndarray, width: int) -> None:
        """Store the low `width` bytes of each value."""
        self.check(addresses, width)
        places = addresses[..., None] + np.arange(width)
        self.bytes[places] = values.astype("<i8")[..., None].view(np.uint8)[..., :width]
        self.defined[places] = True

    def take(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bytes at `places`, and which of them are defined."""
        self.check(places)
        return self.bytes[places], self.defined[places]

    def put(self, places: np.ndarray, content: tuple[np.ndarray, np.ndarray]) -> None:
        """Store what `take` gave; what was undefined stays so."""
        self.check(places)
        self.bytes[places], self.defined[places] = content

    def undefine(self, addresses: np.ndarray, width: int) -> None:
        """Padding was written: from now on anything may be there."""
        self.check(addresses, width)
        places = addresses[..., None] + np.arange(width)
        self.bytes[places] = self._draw.integers(0, 256, places.shape, dtype=np.uint8)
        self.defined[places] = False


class Later:
    """A store whose reads happen now and whose writes wait for `commit`, in order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.check, self.read, self.take = store.check, store.read, store.take
        self._writes: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def write(self, addresses: np.ndarray, values: np.ndarray, width: int) -> None:
        """As `Store.write`."""
        self._store.check(addresses, width)
        self._writes.append((self._store.write, (addresses, values, width)))

    def put(self, places: np.ndarray, content: tuple[np.ndarray, np.ndarray]) -> None:
        """As `Store.put`."""
        self._store.check(places)
        self._writes.append((self._store.put, (places, content)))

    def undefine(self, addresses: np.ndarray, width: int) -> None:
        """As `Store.undefine`."""
        self._store.check(addresses, width)
        self._writes.append((self._store.undefine, (addresses, width)))

    def commit(self) -> None:
        """Do all writes."""
        for write, parameters in self._writes:
            write(*parameters)
        self._writes.clear()
