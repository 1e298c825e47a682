# SPDX-License-Identifier: Apache-2.0
"""What always holds inside the AXI masters: the invariants that their proofs by induction need."""

from __future__ import annotations

from functools import reduce
from operator import add

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.utils import exact_log2

from hw.memory.axi import PAGE
from hw.memory.burst import Grains
from verif.formal.probe import Probe


def splitter_state(probe: Probe, grains: Grains, outside=None) -> list:
    """What is left of the command is not nothing, whole grains, within the address space, not at grain `outside`."""
    inside, low = probe.of(probe["splitter"]), exact_log2(grains.bytes)
    address, left, busy = inside["address"], inside["left"], probe["splitter"].busy
    first, end = address[low:], address[low:] + left
    held = [(~busy | ((left != 0) & (address[:low] == 0)), "left of a command"),
            (~busy | (end <= 1 << len(first)), "within the address space")]
    if outside is not None:
        held.append((~busy | (outside[low:] < first) | (outside[low:] >= end), "nothing outside is left to do"))
    return held


def _entries(probe: Probe, queue) -> list:
    """(there, entry) of every place of a queue."""
    inside = probe.of(queue)
    return [(inside["level"] > n, entry) for n, entry in enumerate(inside["entries"])]


def _addresses(probe: Probe, grains: Grains) -> list:
    """Bursts on their way to AR or AW are as they must be there."""
    low, queue = exact_log2(grains.bytes * grains.of_beat), probe["addresses"]
    beats = grains.of_burst // grains.of_beat
    held = [(probe.of(queue)["level"] <= queue._depth, "addresses")]
    for there, entry in _entries(probe, queue):
        end = entry.address[low:exact_log2(PAGE)] + entry.len << low
        held.append((~there | ((entry.address[:low] == 0) & (end < PAGE) & (entry.len < beats)), "addresses"))
    return held


def _bursts(probe: Probe, grains: Grains, queue) -> list:
    """Bursts whose data is to come lie within their window; of the first, not all grains have been taken."""
    low, taken = exact_log2(grains.bytes), probe["taken"]
    entries, inside = _entries(probe, queue), probe.of(queue)
    held = [(inside["level"] <= queue._depth, "bursts"),
            (Mux(entries[0][0], taken < entries[0][1].grains, taken == 0), "grains taken")]
    for there, entry in entries:
        end = entry.address[low:low + exact_log2(grains.of_burst)] + entry.grains
        held.append((~there | ((entry.grains != 0) & (end <= grains.of_burst)), "bursts"))
    return held


def _moved(probe: Probe, grains: Grains, entry):
    """Beats of the first burst that are through."""
    return (grains.lane(entry.address) + probe["taken"]) >> exact_log2(grains.of_beat)


def read_state(m: Module, probe: Probe, grains: Grains, owed) -> list:
    """Beats asked for are owed by the memory, or here, or about to be asked for.

    Every burst has beside it the number of beats before it, of all that were ever cut (modulo a power of two): sums
    over a queue would cost a solver minutes.
    """
    queue, bits = probe["order"], len(owed)
    order, asked = _entries(probe, queue), _entries(probe, probe["addresses"])
    count, level, put, take = Signal(bits), *(probe.of(queue)[name] for name in ("level", "put", "take"))
    totals = [Signal(bits, name=f"before_{n}") for n in range(len(order))]
    m.d.sync += count.eq(count + Mux(put, grains.beats_less_one(queue.i.p) + 1, 0))
    for n, total in enumerate(totals):
        with m.If(put & (level - take == n)):
            m.d.sync += total.eq(count)
        with m.Elif(take):
            m.d.sync += total.eq(totals[min(n + 1, len(totals) - 1)])
    here, beats = probe.of(probe["beats"])["level"], probe["beats"]
    asking = reduce(add, (Mux(is_there, entry.len + 1, 0) for is_there, entry in asked))
    under_way, most = owed + here + asking, grains.of_burst // grains.of_beat
    done = Mux(order[0][0], totals[0] + _moved(probe, grains, order[0][1]), count)
    held = [*_addresses(probe, grains), *_bursts(probe, grains, queue), (here <= beats._depth, "beats"),
            ((under_way + done)[:bits] == count, "beats are owed"),
            (under_way <= most * queue._depth, "beats under way")]
    for n, (there, entry) in enumerate(order):
        following = Mux(order[n + 1][0], totals[n + 1], count) if n + 1 < len(order) else count
        held += [(~there | ((totals[n] + grains.beats_less_one(entry) + 1)[:bits] == following), "beats before"),
                 (~there | ((count - totals[n])[:bits] <= most * (level - n)), "beats behind")]
    return held


def write_state(probe: Probe, grains: Grains, watched, grain, addresses, bursts, beat) -> list:
    """The watched burst's places in the queues, what of it is on W, and the answers that are to come."""
    bus, responses = probe["bus"], probe.of(probe["responses"])["level"]
    waiting, rest = (probe.of(probe[name])["level"] for name in ("addresses", "bursts"))
    taken, strobe, ends = probe["taken"], probe["strobe"], bus.wvalid & bus.wlast
    there, first = _entries(probe, probe["bursts"])[0]
    moved = _moved(probe, grains, first)
    held = [*_addresses(probe, grains), *_bursts(probe, grains, probe["bursts"]),
            (responses <= probe["responses"]._depth, "responses"), (watched.behind[0] == waiting, "behind on AW"),
            (watched.behind[1] == rest + ends, "behind on W"), (addresses + waiting == responses, "answers owed"),
            (bursts + watched.behind[1] == responses, "answers owed"),
            (~ends | (taken == 0), "a burst begins when the one before has gone"),
            (ends | Mux(there, beat + bus.wvalid == moved, (beat == 0) & ~bus.wvalid), "beats sent")]
    opened, ahead = watched.open, watched.ahead
    named = Array(probe.of(probe["addresses"])["entries"])[ahead[0]]
    held += [(~opened[n] | (watched.known & (ahead[n] < watched.behind[n])), "under way") for n in range(2)]
    held.append((~watched.known | watched.leaves(grain), "nothing outside is cut"))
    held.append((~opened[0] | ((named.address == watched.start) & (named.len == watched.length)), "its address"))
    last = opened[1] & ends & (ahead[1] == 0)
    entry = Array(probe.of(probe["bursts"])["entries"])[ahead[1] - ends]
    held += [(~opened[1] | last | ((entry.address == watched.address) & (entry.grains == watched.grains)), "its data"),
             (~last | (beat == watched.length), "its last beat")]
    lane = (grains.lane(watched.address) + taken)[:exact_log2(grains.of_beat)]
    filled = opened[1] & (ahead[1] == 0) & (bus.wvalid | ((taken != 0) & (lane != 0)))
    low = grains.lane(watched.address)
    place = [(beat << exact_log2(grains.of_beat)) + n for n in range(grains.of_beat)]
    allowed = Cat((at >= low) & (at < low + watched.grains) for at in place)
    held.append((~filled | ((strobe & ~allowed) == 0), "its strobes"))
    return held
