# SPDX-License-Identifier: Apache-2.0
"""One stream to several: a payload is taken by all of them in one cycle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value


def fork(m: Module, source: Any, sinks: Sequence[Any], wanted: Sequence[Any] | None = None) -> None:
    """Hand each payload of `source` to every sink at once; what the sinks' payloads are is the caller's.

    `wanted`: for each sink whether it is to have this payload. A sink's valid depends on the ready of the others, never
    on its own: sinks must not make ready wait for valid.
    """
    wanted = [1] * len(sinks) if wanted is None else wanted
    ready = Signal(len(sinks))
    m.d.comb += [ready.eq(Cat(sink.ready | ~Value.cast(want) for sink, want in zip(sinks, wanted, strict=True))),
                 source.ready.eq(ready.all())]
    for n, (sink, want) in enumerate(zip(sinks, wanted, strict=True)):
        others = Cat(bit for k, bit in enumerate(ready) if k != n)
        m.d.comb += sink.valid.eq(source.valid & want & others.all())
