# SPDX-License-Identifier: Apache-2.0
"""Semaphores: one arbitrary semaphore is counted beside the hardware, one arbitrary unit waits its turn."""

from __future__ import annotations

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.hdl._ast import AnyConst

from hw.control.isa import SEMAPHORE_BITS, SEMAPHORES
from hw.control.tokens import Tokens
from verif.formal.circuit import free_inputs
from verif.formal.probe import Probe

#: What the semaphores are held to.
PROPERTIES = (
    "a start takes only what is there, one of each", "one unit starts at a time, and it is ready",
    "a count is what was signalled less what was taken, until an overflow is reported",
    "a unit that could start waits for at most every other one")
#: Bits of the count beside: more than a count and all that units can add in a cycle.
EXACT_BITS = SEMAPHORE_BITS + 4


class TokensPart:
    """Semaphores whose units wait, start and signal as they please.

    Parameters
    ----------
    units : int
        As of `Tokens`.
    strengthen : bool
        Assert what induction needs too.
    name : str
        Begins the names of its assertions.
    """

    def __init__(self, units: int, strengthen: bool = True, name: str = "") -> None:
        self._units, self._strengthen, self._name = units, strengthen, name
        self.tokens = Tokens(units)

    def build(self, m: Module) -> list[Value]:
        """As `Part`."""
        tokens, n, units = self.tokens, Signal(range(SEMAPHORES), name="semaphore"), range(self._units)
        m.submodules += (probe := Probe(tokens))
        m.d.comb += n.eq(AnyConst(range(SEMAPHORES)))
        taken = [Signal(name=f"taken_{u}") for u in units]
        added = [Signal(name=f"added_{u}") for u in units]
        m.d.comb += [taken[u].eq(tokens.start[u] & tokens.wait[u].bit_select(n, 1)) for u in units]
        m.d.comb += [added[u].eq(tokens.done[u] & tokens.signal[u].bit_select(n, 1)) for u in units]
        exact, reported = Signal(EXACT_BITS, name="exact"), Signal(name="reported")
        over, count = tokens.overflow | reported, Signal(SEMAPHORE_BITS, name="count")
        m.d.comb += count.eq(Array(tokens.counts[k] for k in range(SEMAPHORES))[n])
        m.d.sync += reported.eq(over)
        with m.If(~over):
            m.d.sync += exact.eq(exact + sum(added) - sum(taken))
        start, some = tokens.start, Cat(taken).any()
        properties = (~some | over | ((exact != 0) & (sum(taken) == 1)),
                      ((start & (start - 1)) == 0) & ((start & ~tokens.ready) == 0), over | (exact == count))
        m.d.comb += [Assert(holds, self._name + what) for holds, what in zip(properties, PROPERTIES, strict=False)]
        self._turn(m, probe)
        return free_inputs(tokens)

    def _turn(self, m: Module, probe: Probe) -> None:
        """The watched unit's place in the round gets better with every other unit's start."""
        tokens, unit = self.tokens, Signal(range(self._units), name="unit")
        m.d.comb += [unit.eq(AnyConst(range(self._units))), Assume(unit < self._units)]
        wants, waited = Signal(name="could_start"), Signal(range(2 * self._units), name="waited")
        m.d.comb += wants.eq(probe["arbiter"].requests.bit_select(unit, 1) & ~tokens.start.bit_select(unit, 1))
        m.d.sync += waited.eq(Mux(wants, waited + 1, 0))
        m.d.comb += Assert(waited < self._units, self._name + PROPERTIES[-1])
        if self._strengthen:
            later, rank = probe.of(probe["arbiter"])["later"], Signal(range(2 * self._units), name="rank")
            before = Cat(Const(n, len(unit)) < unit for n in range(self._units))
            m.d.comb += [rank.eq(Mux(later.bit_select(unit, 1), _ones(later & before), _ones(later | before))),
                         Assert(((later << 1) & ~later)[:self._units] == 0, "who went last"),
                         Assert(waited + rank < self._units, "place in the round")]


def _ones(bits):
    return sum(bits[n] for n in range(len(bits)))
