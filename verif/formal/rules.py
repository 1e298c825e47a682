# SPDX-License-Identifier: Apache-2.0
"""The rules of streams and AXI channels at a block's ports: what its surroundings keep to, and what it must."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import Component, Flow, Signature

#: What is held of everything that a block offers.
STAYS = "an offer stays until it is taken"
#: Channels of AXI4 and AXI4-Lite, whose signals have these prefixes.
CHANNELS = ("ar", "aw", "w", "r", "b")


@dataclass(frozen=True)
class Port:
    """One stream or channel of a block: `sent` where the block offers (it drives valid and payload)."""

    name: str
    valid: Value
    ready: Value
    payload: Value
    sent: bool


def ports(component: Component) -> list[Port]:
    """Every stream and AXI channel of a block, arrays and nested interfaces too."""
    return list(_ports(component.signature, component, ""))


def _ports(signature: Signature, owner: Any, path: str) -> Iterator[Port]:
    for name, member in signature.members.items():
        if not member.is_signature:
            continue
        for index in product(*map(range, member.dimensions)):
            value, place = getattr(owner, name), path + name + "".join(f"[{n}]" for n in index)
            for n in index:
                value = value[n]
            if isinstance(member.signature, stream.Signature):
                sent = member.signature.members["valid"].flow is Flow.Out
                yield Port(place, value.valid, value.ready, Value.cast(value.payload), sent)
            else:
                yield from _channels(member.signature, value, place)
                yield from _ports(member.signature, value, f"{place}.")


def _channels(signature: Signature, owner: Any, path: str) -> Iterator[Port]:
    """AXI channels of an interface."""
    names = signature.members
    for channel in CHANNELS:
        if f"{channel}valid" in names:
            ends = (f"{channel}valid", f"{channel}ready")
            fields = [name for name in names if name.startswith(channel) and name not in ends]
            sent = names[ends[0]].flow is Flow.Out
            yield Port(f"{path}.{channel}", getattr(owner, ends[0]), getattr(owner, ends[1]),
                       Cat(getattr(owner, name) for name in fields), sent)


def before(m: Module, value: Any, name: str, first: Any = None) -> Value:
    """The value in the cycle before; zero, or `first`, in the first one."""
    kept = Signal(len(Value.cast(value)), name=name)
    m.d.sync += kept.eq(value)
    if first is None:
        return kept
    begun = Signal(name=f"{name}_known")
    m.d.sync += begun.eq(1)
    return Mux(begun, kept, first)


def assume_kept(m: Module, valid: Any, ready: Any, payload: Any) -> None:
    """The surroundings keep an offer until it is taken."""
    waits = before(m, valid & ~ready, "waits")
    m.d.comb += Assume(~waits | (valid & (Value.cast(payload) == before(m, payload, "waiting"))))


def assert_kept(m: Module, valid: Any, ready: Any, fields: Iterable, name: str) -> None:
    """The block keeps an offer until it is taken."""
    payload = Cat(Value.cast(field) for field in fields)
    waits = before(m, valid & ~ready, "offered")
    m.d.comb += Assert(~waits | (valid & (payload == before(m, payload, "offer"))), name)


def hold_to_rules(m: Module, component: Component, prefix: str) -> None:
    """Assume the rules of what a block is offered, assert them of what it offers."""
    for port in ports(component):
        if port.sent:
            assert_kept(m, port.valid, port.ready, [port.payload], f"{prefix}{port.name}: {STAYS}")
        else:
            assume_kept(m, port.valid, port.ready, port.payload)
