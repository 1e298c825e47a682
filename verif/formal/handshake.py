# SPDX-License-Identifier: Apache-2.0
"""Which valid or ready at a block's inputs its outputs depend on in the same cycle: a walk over the netlist."""

from __future__ import annotations

from amaranth.hdl import Fragment
from amaranth.hdl._ir import PortDirection, build_netlist
from amaranth.lib.wiring import Component, Flow

from verif.formal.rules import Port, ports

#: Blocks that take streams together, or one of several: the ready of one waits for the valid of others.
#: (`MatmulUnit` has a `LeftLoader` at its ports.)
JOINS = ("Buffer", "LeftLoader", "MatmulUnit")


def broken(component: Component, may_join: bool = False) -> list[str]:
    """What a block does against the law, in words; none where it keeps it.

    Of a stream that it takes, ready must not depend on the valid of that stream; of one that it offers, valid must not
    depend on the ready of that stream: either would make a loop with a neighbour that does the other. Nor must a ready
    depend on the valid of another stream, unless the block `may_join` them.
    """
    found = []
    for port, others in _dependencies(component):
        if port in others:
            found.append(f"{port.name}: {'valid depends on ready' if port.sent else 'ready depends on valid'}")
        waits = [other.name for other in others if not other.sent and other is not port]
        if waits and not port.sent and not may_join:
            found.append(f"{port.name}: ready depends on the valid of {', '.join(waits)}")
    return found


def _dependencies(component: Component) -> list[tuple[Port, list[Port]]]:
    """For each port, what the block drives of its handshake, as the ports whose other side that depends on."""
    inputs = {"__".join(map(str, path)): (value, PortDirection.Input if member.flow is Flow.In else
                                          PortDirection.Output)
              for path, member, value in component.signature.flatten(component)}
    inputs = {name: (value.as_value() if hasattr(value, "as_value") else value, way)
              for name, (value, way) in inputs.items()}
    every = ports(component)
    netlist = build_netlist(Fragment.get(component, None), ports=inputs)
    sources = {netlist.signals[_heard(port)][0]: port for port in every if _heard(port) in netlist.signals}
    return [(port, [sources[net] for net in _behind(netlist, netlist.signals[_told(port)][0]) if net in sources])
            for port in every if _told(port) in netlist.signals]


def _told(port: Port):
    return port.valid if port.sent else port.ready


def _heard(port: Port):
    return port.ready if port.sent else port.valid


def _behind(netlist, start) -> set:
    """Nets that one depends on without a register between."""
    seen, waiting = set(), [start]
    while waiting:
        net = waiting.pop()
        if net in seen:
            continue
        seen.add(net)
        if net.is_cell:
            cell = netlist.cells[net.cell]
            edges = () if type(cell).__name__ == "FlipFlop" else cell.comb_edges_to(net.bit)
            waiting += [netlist.resolve_net(source) for source, _ in edges]
    return seen
