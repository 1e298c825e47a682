# SPDX-License-Identifier: Apache-2.0
"""Banks of the buffer as the prediction sees them: streams of lines that share ports, at rates instead of in cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

#: A port: whether it writes, and the bank.
Port = tuple[bool, int]
#: Rounds in which rates come down to what every port can carry.
_ROUNDS = 4


@dataclass(eq=False)
class Stream:
    """Clients of the buffer that move in step.

    Members
    -------
    clients : port of each, and lines that it moves for a unit of work
    limit : units of work a cycle where no port is short
    changed : called with the cycle and the rate until then, after the rate has changed
    rate : units of work a cycle
    """

    clients: Sequence[tuple[Port, float]]
    limit: float = 1.0
    changed: Callable | None = None
    rate: float = 1.0


class Banks:
    """Streams that are under way; each port moves a line a cycle, to its clients in turn."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []

    def add(self, now, stream: Stream) -> None:
        """A stream begins."""
        self.streams.append(stream)
        self._share(now)

    def remove(self, now, stream: Stream) -> None:
        """A stream ends."""
        self.streams.remove(stream)
        self._share(now)

    def _share(self, now) -> None:
        ports: dict[Port, list[tuple[Stream, float]]] = {}
        rates = {}
        for stream in self.streams:
            rates[stream] = stream.limit
            for port, lines in stream.clients:
                ports.setdefault(port, []).append((stream, lines))
        crowded = [clients for clients in ports.values()
                   if sum(lines * stream.limit for stream, lines in clients) > 1]
        for _ in range(_ROUNDS if len(crowded) > 1 else 1):
            for clients in crowded:
                _fill(clients, rates)
        for stream, rate in rates.items():
            before, stream.rate = stream.rate, rate
            if rate != before and stream.changed:
                stream.changed(now, before)


def _fill(clients: Sequence[tuple[Stream, float]], rates: dict[Stream, float]) -> None:
    """Bring rates down until a port is not asked for more than a line a cycle: who asks for least is served first."""
    asked = sorted(((lines * rates[stream], lines, stream) for stream, lines in clients), key=lambda one: one[0])
    left = 1.0
    for place, (wanted, lines, stream) in enumerate(asked):
        given = min(wanted, left / (len(asked) - place))
        left -= given
        if lines:
            rates[stream] = min(rates[stream], given / lines)
