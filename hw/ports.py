# SPDX-License-Identifier: Apache-2.0
"""A Component's members as plain, named Verilog ports.

`left.payload.slot[3].k` becomes `left_slot3_k`. Fields of structures are ports of their own; an array of scalars stays
one bus, element 0 in the least significant bits, and the manifest says so.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Shape, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In

#: Fields of these names keep `payload` before them, apart from the stream's own.
_HANDSHAKE = {"valid", "ready"}


@dataclass(frozen=True)
class Port:
    """One Verilog port.

    `signal` and `offset` say which bits of which member it is; `elements` is the shape of an array, () for a scalar.
    """

    name: str
    is_input: bool
    width: int
    signed: bool
    elements: tuple[int, ...]
    values: tuple[tuple[str, int], ...]  #: names of an enumeration's values
    signal: Signal
    offset: int

    @property
    def direction(self) -> str:
        """`input` or `output`."""
        return "input" if self.is_input else "output"

    @property
    def value(self) -> Value:
        """The bits of the member."""
        return self.signal[self.offset:self.offset + self.width]

    def describe(self) -> dict[str, Any]:
        """The port in the manifest; an array's elements are packed, the last index fastest, the first lowest."""
        text: dict[str, Any] = {"name": self.name, "direction": self.direction, "width": self.width,
                                "signed": self.signed}
        if self.elements:
            text.update(elements=list(self.elements), element_width=self.width // math.prod(self.elements),
                        order="element 0 in the least significant bits")
        if self.values:
            text["values"] = dict(self.values)
        return text


def component_ports(component: Component) -> list[Port]:
    """Every port of a component, without clock and reset, in the order of its members.

    A field that would take another member's name (member `dense` with field `valid` beside `dense_valid`) has two
    underscores. Raises ValueError where two ports would have one name all the same.
    """
    ports: dict[str, Port] = {}
    members = list(component.signature.flatten(component))
    taken = {_join(list(path)) for path, _member, _value in members}
    for path, member, value in members:
        layout = _plain(member.shape)
        names = list(path)
        if names[-1] == "payload" and isinstance(layout, data.StructLayout) and not _HANDSHAKE & set(layout.members):
            names.pop()
        for name, shape, elements, offset in _fields("", member.shape, 0):
            full = _join([*names, *([name] if name else [])])
            if name and full in taken:
                full = f"{_join(names)}__{name}"
            if full in ports:
                raise ValueError(f"two ports of {type(component).__name__} would be called {full}")
            width = Shape.cast(shape).width
            if width:
                ports[full] = Port(full, member.flow is In, width * math.prod(elements), Shape.cast(shape).signed,
                                   elements, _values(shape), Value.cast(value), offset)
    return list(ports.values())


def _join(parts: list[str | int]) -> str:
    text = ""
    for part in parts:
        text += str(part) if isinstance(part, int) else f"_{part}" if text else part
    return text


def _plain(shape: Any) -> Any:
    """A layout for a `data.Struct` class, else the shape itself."""
    try:
        return data.Layout.cast(shape)
    except TypeError:
        return shape


def _fields(name: str, shape: Any, offset: int) -> Iterator[tuple[str, Any, tuple[int, ...], int]]:
    """(name, scalar shape, array shape, bit offset) of each port that `shape` becomes."""
    layout = _plain(shape)
    if isinstance(layout, data.StructLayout):
        for key, part in layout:
            yield from _fields(f"{name}_{key}" if name else str(key), part.shape, offset + part.offset)
    elif isinstance(layout, data.ArrayLayout):
        elements: tuple[int, ...] = (layout.length,)
        inner = layout.elem_shape
        while isinstance(_plain(inner), data.ArrayLayout):
            elements += (_plain(inner).length,)
            inner = _plain(inner).elem_shape
        if not isinstance(_plain(inner), data.StructLayout):
            yield name, inner, elements, offset
            return
        for index, part in layout:
            yield from _fields(f"{name}{index}" if name else f"{index}", part.shape, offset + part.offset)
    else:
        yield name, shape, (), offset


def _values(shape: Any) -> tuple[tuple[str, int], ...]:
    if isinstance(shape, type) and issubclass(shape, enum.Enum):
        return tuple((item.name, int(item.value)) for item in shape)
    return ()
