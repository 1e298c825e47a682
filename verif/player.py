# SPDX-License-Identifier: Apache-2.0
"""Play packed stimulus into a group's Verilog and read its outputs back: no Python for a clock cycle.

`build_player` compiles a group once (kept in `build/sim-cache`, named by a hash of everything that went in);
`Player.play` runs one stimulus. Operands lie in files of 32-bit words, one for each stream; the harness is
`player.cpp`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hw.compute.group import Group
from hw.config import MachineConfig
from hw.control.counters import COUNTERS
from hw.errors import VidaError
from hw.ports import Port
from hw.toolbox import run_tool
from hw.verilog import to_verilog
from verif.compiled import Design, compiled

INPUTS = ("job", "left", "right", "init", "scale")
OUTPUTS = ("accumulators", "int8")
_HARNESS = Path(__file__).with_name("player.cpp")
#: Cycles without any transfer after which a run is given up; longer than any job without an output.
QUIET_CYCLES = 20_000


@dataclass(frozen=True)
class Field:
    """A port of a stream's payload: `elements` values of `bits` each, in a beat's words from `offset` on."""

    name: str
    elements: int
    bits: int
    signed: bool
    offset: int

    @property
    def words(self) -> int:
        """32-bit words that the port takes in a beat."""
        return -(-self.elements * self.bits // 32)


@dataclass(frozen=True)
class Played:
    """One run. Rows are (rows, columns) int64 in the order of arrival; `cycles` counts from the first operand
    accepted to the last result accepted, both included (the group's own counter); `seconds` is wall time."""

    cycles: int
    counters: dict[str, int]
    accumulators: dict[str, np.ndarray]
    int8: dict[str, np.ndarray]
    trace: dict[str, np.ndarray]
    simulated: int
    seconds: float


def stream_fields(ports: list[Port], stream: str) -> list[Field]:
    """The payload of `stream`, in the order of the ports."""
    fields, offset = [], 0
    for port in ports:
        if not port.name.startswith(f"{stream}_") or port.name in (f"{stream}_valid", f"{stream}_ready"):
            continue
        elements = int(np.prod(port.elements, dtype=int)) if port.elements else 1
        field = Field(port.name[len(stream) + 1:], elements, port.width // elements, port.signed, offset)
        fields.append(field)
        offset += field.words
    return fields


def pack(fields: list[Field], beats: Mapping[str, np.ndarray]) -> np.ndarray:
    """(beats, words) uint32 from an array of shape (beats,) or (beats, ...) for every field.

    Raises ValueError where a value does not fit its field, or a field is missing.
    """
    missing = [field.name for field in fields if field.name not in beats]
    if missing:
        raise ValueError(f"no values for {', '.join(missing)}")
    count = len(next(iter(beats.values())))
    result = np.zeros((count, sum(field.words for field in fields)), np.uint32)
    for field in fields:
        values = np.asarray(beats[field.name], dtype=np.int64).reshape(count, field.elements)
        low, high = (-(1 << field.bits - 1), 1 << field.bits - 1) if field.signed else (0, 1 << field.bits)
        if values.size and (values.min() < low or values.max() >= high):
            raise ValueError(f"{field.name}: {values.min()}..{values.max()} does not fit {low}..{high - 1}")
        bits = (values[:, :, None] >> np.arange(field.bits)) & 1
        padded = np.zeros((count, field.words * 32), np.uint8)
        padded[:, :field.elements * field.bits] = bits.reshape(count, field.elements * field.bits)
        packed = np.packbits(padded, axis=1, bitorder="little").view("<u4")
        result[:, field.offset:field.offset + field.words] = packed
    return result


def unpack(fields: list[Field], words: np.ndarray) -> dict[str, np.ndarray]:
    """The inverse of `pack`: (beats,) for a single element, else (beats, elements), int64."""
    result = {}
    for field in fields:
        part = np.ascontiguousarray(words[:, field.offset:field.offset + field.words].astype("<u4"))
        bits = np.unpackbits(part.view(np.uint8), axis=1, bitorder="little")[:, :field.elements * field.bits]
        bits = bits.reshape(len(words), field.elements, field.bits).astype(np.int64)
        values = bits @ (np.int64(1) << np.arange(field.bits, dtype=np.int64))
        if field.signed:
            values -= bits[:, :, -1] << field.bits
        result[field.name] = values[:, 0] if field.elements == 1 else values
    return result


class Player:
    """A compiled group; `fields` of each stream's beats, `seconds` that building or finding it took."""

    def __init__(self, executable: Path, fields: dict[str, list[Field]], seconds: float) -> None:
        self._executable, self.fields, self.seconds = executable, fields, seconds

    def play(self, beats: Mapping[str, Mapping[str, np.ndarray]], rows: Mapping[str, int], *,
             first_right: int = 0, stall: float = 0.0, seed: int = 1, trace: int = 0,
             timeout_s: float = 300) -> Played:
        """Play one stimulus until both outputs have given the rows that are expected of them.

        beats : for every input stream its fields' arrays, as `pack` takes them (a stream may be missing)
        rows : rows to expect at each output stream
        first_right : right rows that must be in before the first left operand is offered
        stall : chance that a source or sink rests in a cycle; the stalls depend on `seed` alone
        trace : cycles for which the counters are recorded (`Played.trace`: cumulative values)
        Raises VidaError where nothing moves any more, or after `timeout_s`.
        """
        with tempfile.TemporaryDirectory(prefix="vida-play-") as name:
            folder = Path(name)
            for stream in INPUTS:
                given = beats.get(stream)
                packed = pack(self.fields[stream], given) if given else np.zeros(0, np.uint32)
                packed.astype("<u4").tofile(folder / f"{stream}.bin")
            expected = [rows.get(stream, 0) for stream in OUTPUTS]
            arguments = [folder, first_right, *expected, round(256 * stall), seed, trace, QUIET_CYCLES]
            started = time.perf_counter()
            run_tool([self._executable, *map(str, arguments)], cwd=folder, log=folder / "log",
                     timeout_s=timeout_s, what=f"playing {self._executable.name}")
            return self._collect(folder, time.perf_counter() - started)

    def _collect(self, folder: Path, seconds: float) -> Played:
        outputs = []
        for stream in OUTPUTS:
            width = sum(field.words for field in self.fields[stream])
            rows = np.fromfile(folder / f"{stream}.bin", "<u4").reshape(-1, width)
            outputs.append(unpack(self.fields[stream], rows))
        first, last, simulated, *values = np.fromfile(folder / "counters.bin", "<u4").tolist()
        counters = dict(zip(COUNTERS, values, strict=True))
        if counters["cycles"] != last - first + 1:
            raise VidaError(f"the group counts {counters['cycles']} cycles, its ports {last - first + 1}")
        table = np.fromfile(folder / "trace.bin", "<u4").astype(np.int64).reshape(-1, len(COUNTERS))
        trace = {name: table[:, n] for n, name in enumerate(COUNTERS)}
        return Played(counters["cycles"], counters, *outputs, trace, simulated, seconds)


def build_player(config: MachineConfig, *, timeout_s: float = 600) -> Player:
    """Compile the group of `config`, or take the one kept from before.

    Raises VidaError where Verilator or the compiler is missing or fails, or after `timeout_s`.
    """
    def design() -> Design:
        verilog, ports = to_verilog(Group(config), "group")
        fields = {stream: [asdict(field) for field in stream_fields(ports, stream)] for stream in (*INPUTS, *OUTPUTS)}
        return verilog, _ports_header(ports), fields

    started = time.monotonic()
    # A group plays some 100,000 cycles: -Og compiles in half the time of -O1 and simulates a fifth slower; shared code
    # halves it again, and simulates up to a half slower (paper) or no slower at all (dense8).
    executable, notes = compiled("group", config, _HARNESS, design, timeout_s, level="-Og", shared=True)
    fields = {stream: [Field(**field) for field in items] for stream, items in notes.items()}
    return Player(executable, fields, time.monotonic() - started)


def _ports_header(ports: list[Port]) -> str:
    """ports.h: how to set and read each stream of Vtop, a beat being an array of words."""
    lines = ['// SPDX-License-Identifier: Apache-2.0', '#include <cstdint>', '#include "Vtop.h"',
             "struct InputStream { const char* name; unsigned words; void (*drive)(Vtop&, const uint32_t*);",
             "    void (*set_valid)(Vtop&, bool); bool (*ready)(Vtop&); };",
             "struct OutputStream { const char* name; unsigned words; void (*collect)(Vtop&, uint32_t*);",
             "    void (*set_ready)(Vtop&, bool); bool (*valid)(Vtop&); };"]
    for stream, is_input in [*((name, True) for name in INPUTS), *((name, False) for name in OUTPUTS)]:
        fields = stream_fields(ports, stream)
        copies = [_copy(stream, field, is_input) for field in fields]
        given, answered = ("valid", "ready") if is_input else ("ready", "valid")
        kind, words = ("InputStream", "const uint32_t*") if is_input else ("OutputStream", "uint32_t*")
        lines.append(f'constexpr {kind} {stream}_stream = {{"{stream}", {sum(f.words for f in fields)},\n'
                     f"    [](Vtop& t, {words} w) {{ {' '.join(copies)} }},\n"
                     f"    [](Vtop& t, bool on) {{ t.{stream}_{given} = on; }},\n"
                     f"    [](Vtop& t) {{ return t.{stream}_{answered} != 0; }}}};")
    reads = " ".join(f"w[{n}] = t.counters_{name};" for n, name in enumerate(COUNTERS))
    sources, sinks = (", ".join(f"{name}_stream" for name in names) for names in (INPUTS, OUTPUTS))
    lines += [f"constexpr unsigned counter_words = {len(COUNTERS)};",
              f"inline void read_counters(Vtop& t, uint32_t* w) {{ {reads} }}",
              f"constexpr InputStream inputs[] = {{{sources}}};",
              f"constexpr OutputStream outputs[] = {{{sinks}}};", ""]
    return "\n".join(lines)


def _copy(stream: str, field: Field, is_input: bool) -> str:
    """C++ between a port and its words: Verilator has one integer up to 64 bits, an array of words above."""
    port, at, bits = f"t.{stream}_{field.name}", field.offset, field.elements * field.bits
    if bits <= 32:
        return f"{port} = w[{at}];" if is_input else f"w[{at}] = {port};"
    if bits <= 64:
        if is_input:
            return f"{port} = w[{at}] | uint64_t{{w[{at + 1}]}} << 32;"
        return f"w[{at}] = uint32_t({port}); w[{at + 1}] = uint32_t({port} >> 32);"
    loop = f"for (unsigned i = 0; i < {field.words}; i++)"
    return f"{loop} {port}[i] = w[{at} + i];" if is_input else f"{loop} w[{at} + i] = {port}[i];"
