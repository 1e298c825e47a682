# SPDX-License-Identifier: Apache-2.0
"""Amaranth components to Verilog with one module per distinct block.

Amaranth alone writes a module per instance, with an interface that depends on what the surroundings use. Here every
component below the top is converted by itself, all its members as ports, and instantiated by name; modules with equal
text are one. Modules carry the names of their classes (`CCPE` -> `ccpe`, a second shape of it -> `ccpe_2`).
"""

from __future__ import annotations

import gc
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Fragment, Instance, ResetSignal, Shape, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component

from hw.config import MachineConfig
from hw.control.restart import Restart
from hw.ports import Port, component_ports
from hw.yosys import run_yosys

_SELF = "vida_this_module"


def to_verilog(component: Component, name: str | None = None) -> tuple[str, list[Port]]:
    """Verilog text of `component` and all below it, and the ports of its top module.

    `name` is the top module's (default: after the class). Clock `clk` and synchronous reset `rst` are added where
    there are registers. The same component gives the same bytes on any machine.
    """
    text, top, ports = to_rtlil(component, name)
    return verilog_of(text, top), ports


def verilog_of(text: str, top: str) -> str:
    """Verilog of what `to_rtlil` gave, RTLIL `text` with the top module `top`."""
    with tempfile.TemporaryDirectory(prefix="vida-") as folder:
        (Path(folder) / "design.il").write_text(text)
        run_yosys(_SCRIPT, Path(folder), what=f"writing Verilog of {top}")
        verilog = (Path(folder) / "design.v").read_text()
    return _tidy(verilog)


_SCRIPT = """read_rtlil design.il
proc -nomux -norom
memory_collect
opt_clean -purge
attrmap -remove generator -remove top -remove src -remove keep_hierarchy
attrmap -modattr -remove generator -remove top -remove src
write_verilog -norename design.v
"""


def to_rtlil(component: Component, name: str | None = None) -> tuple[str, str, list[Port]]:
    """RTLIL text, name of the top module, and its ports; the input of every Yosys flow."""
    library = _Library()
    with _without_collection():
        fragment = Fragment.get(component, None)
        top, ports = library.convert(fragment, component, name or snake(type(component).__name__))
    return "\n".join(library.modules.values()), top, ports


@contextmanager
def _without_collection() -> Iterator[None]:
    """Half of a conversion is the collector walking over millions of objects that are all still in use.

    Without it a machine of preset `paper` takes 1 GB.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def snake(name: str) -> str:
    """`AllocationUnit` -> `allocation_unit`, `CCPE` -> `ccpe`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class _Library:
    """Modules already converted: text with a placeholder for the name -> final text."""

    def __init__(self) -> None:
        self.modules: dict[str, str] = {}
        self._known: dict[tuple, str] = {}
        self._names: dict[str, str] = {}
        self._clocked: dict[str, bool] = {}

    def convert(self, fragment: Fragment, component: Component, name: str) -> tuple[str, list[Port]]:
        """Convert `fragment`, the elaborated `component`, and what is below; returns its module's name and ports."""
        self._instantiate(fragment)
        ports = component_ports(component)
        text = rtlil.convert_fragment(fragment, _attach(fragment, ports), _SELF, emit_src=False)[0]
        text = _order_ports(_normal(text), [port.name for port in ports])
        if text not in self._names:
            taken = set(self._names.values())
            unique, number = name, 1
            while unique in taken:
                number += 1
                unique = f"{name}_{number}"
            self._names[text] = unique
            self._clocked[unique] = re.search(r"^  wire .*\\clk$", text.split("\nend\n")[0], re.M) is not None
            self.modules[text] = text.replace(f"\\{_SELF}", f"\\{unique}")
        return self._names[text], ports

    def _module(self, fragment: Fragment, component: Component) -> tuple[str, list[Port]]:
        """As `convert`, but at once where a component made in the same way has been converted before."""
        made = _identity(component)
        if made is not None and made in self._known:
            return self._known[made], component_ports(component)
        name, ports = self.convert(fragment, component, snake(type(component).__name__))
        if made is not None:
            self._known[made] = name
        return name, ports

    def _instantiate(self, fragment: Fragment) -> None:
        """Put an Instance in place of every component below `fragment`."""
        for index, (part, label, source) in enumerate(fragment.subfragments):
            reset: Value = ResetSignal()
            if part.origins and isinstance(part.origins[0], Restart):
                reset |= part.origins[0].reset
                part = part.origins[0].plain
            component = _component(part)
            if component is None:
                self._instantiate(part)
                continue
            module, ports = self._module(part, component)
            connections = {f"{'i' if port.is_input else 'o'}_{port.name}": port.value for port in ports}
            if self._clocked[module]:
                connections |= {"i_clk": ClockSignal(), "i_rst": reset}
            for signal, path in _members(ports):
                signal.name = f"{label}_{path}" if label else path
            fragment.subfragments[index] = (Instance(module, **connections), label, source)


def _component(fragment: Fragment) -> Component | None:
    """The component that `fragment` is, unless a transformer stands around it or it is a bare memory."""
    origins = fragment.origins or ()
    if len(origins) < 1 or not isinstance(origins[0], Component) or isinstance(origins[0], Memory):
        return None
    return origins[0]


def _identity(component: Component) -> tuple | None:
    """Class, members and attributes of a component: all that its circuit can depend on.

    None where an attribute is neither a plain value nor a component: then only the converted text can tell.
    """
    parts: list = [type(component), repr(component.signature)]
    for key, value in sorted(vars(component).items()):
        if key in component.signature.members or key.startswith(("_MustUse", "_Component")):
            continue
        value = _plain_value(value)
        if value is _UNKNOWN:
            return None
        parts.append((key, value))
    return tuple(parts)


_UNKNOWN = object()


def _plain_value(value: Any) -> Any:
    """A value that tells equal attributes apart from others, or `_UNKNOWN`."""
    if isinstance(value, Memory):
        return repr(value.data.shape), value.data.depth, tuple(value.data.init)
    if isinstance(value, Component):
        made = _identity(value)
        return _UNKNOWN if made is None else made
    if isinstance(value, (data.Layout, Shape)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        parts = tuple(_plain_value(part) for part in value)
        return _UNKNOWN if _UNKNOWN in parts else parts
    return value if value is None or isinstance(value, (int, str, type, MachineConfig)) else _UNKNOWN


def _members(ports: list[Port]) -> list[tuple[Signal, str]]:
    """Each member signal once, with a name for its wires: that of its port, or what its fields' ports share."""
    names: dict[int, tuple[Signal, str]] = {}
    for port in ports:
        known = names.get(id(port.signal))
        name = port.name if known is None else _shared(known[1], port.name)
        names[id(port.signal)] = (port.signal, name)
    return list(names.values())


def _shared(first: str, second: str) -> str:
    parts = []
    for one, other in zip(first.split("_"), second.split("_"), strict=False):
        if one != other:
            break
        parts.append(one)
    return "_".join(parts) or "payload"


def _attach(fragment: Fragment, ports: list[Port]) -> dict[str, tuple[Signal, PortDirection]]:
    """Signals for the ports: the member itself where it is one port, else one of its own, joined to its bits."""
    whole = {id(port.signal) for port in ports if len(port.signal) == port.width}
    named: dict[str, tuple[Signal, Any]] = {}
    for signal, path in _members(ports):
        signal.name = path if id(signal) in whole else f"{path}_fields"
    for port in ports:
        direction = PortDirection.Input if port.is_input else PortDirection.Output
        if id(port.signal) in whole:
            named[port.name] = (port.signal, direction)
            continue
        bits = Signal(port.width, name=port.name)
        named[port.name] = (bits, direction)
        fragment.add_statements("comb", port.value.eq(bits) if port.is_input else bits.eq(port.value))
    return named


def _normal(text: str) -> str:
    """RTLIL without what differs between equal modules: the version of its writer."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("attribute \\generator")) + "\n"


_PORT = re.compile(r"^(  wire .*(?:input|output) )(\d+)( .*\\(\w+))$", re.M)


def _order_ports(text: str, names: list[str]) -> str:
    """Number the ports of the first module: clock and reset first, then as the members were declared."""
    head, end, rest = text.partition("\nend\n")
    order = {name: index for index, name in enumerate(["clk", "rst", *names])}
    return _PORT.sub(lambda match: f"{match[1]}{1 + order[match[4]]}{match[3]}", head) + end + rest


#: A memory that begins with zeroes, row by row.
_ZEROES = re.compile(r"  initial begin\n((?:    (\w+)\[\d+\] = \d+'h0+;\n)+)  end\n")


def _loop(rows: re.Match[str]) -> str:
    """The same in a loop: thousands of rows are no reading for anybody."""
    lines = rows[1].splitlines()
    name, value = rows[2], lines[0].partition(" = ")[2]
    if any(line != f"    {name}[{n}] = {value}" for n, line in enumerate(lines)):
        return rows[0]
    row = f"{name}_row"
    loop = f"for ({row} = 0; {row} < {len(lines)}; {row} = {row} + 1) {name}[{row}] = {value}"
    return f"  initial begin : {name}_zero\n    integer {row};\n    {loop}\n  end\n"


def _tidy(verilog: str) -> str:
    """Without the writer's banner and wires of no bits; counters renumbered; constants assigned at time zero."""
    lines = [line for line in verilog.splitlines() if not re.match(r"/\* Generated by Yosys|  wire \[-1:0\] ", line)]
    # A block that reads nothing never runs in an event-driven simulator.
    text = re.sub(r"always @\*(\n    \S+ = \d+'s?[bh][0-9a-f]+;)", r"initial\1", "\n".join(lines).strip() + "\n")
    text = _ZEROES.sub(_loop, text)
    numbers: dict[str, str] = {}
    return re.sub(r"\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+",
                  lambda match: numbers.setdefault(match[0], f"$update${len(numbers)}"), text)
