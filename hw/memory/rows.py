# SPDX-License-Identifier: Apache-2.0
"""The rows of a transfer between DRAM and the buffer, in steps of a pitch or by a table of indices."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out
from amaranth.utils import exact_log2

from hw.config import TILE, MachineConfig
from hw.control.fault import ADDRESS_BITS, Access, Fault, FaultKind
from hw.memory.axi import UNIT_BITS
from hw.memory.lines import PITCH_BITS, address_shape, line_shape, read_layout

#: Bits of a table's entry, of a pitch in bytes, and of a line's address before it is checked.
WORD = 32

#: A LOAD or STORE: row r of `lines` lines lies in the buffer at `buffer` + r x `buffer_pitch`, in DRAM at `dram` +
#: r x `dram_pitch` bytes, or with `use_table` at `dram` + table[r] x `dram_pitch`; the table begins at line `table`.
TransferLayout = data.StructLayout({
    "dram": ADDRESS_BITS, "dram_pitch": WORD, "rows": UNIT_BITS, "lines": UNIT_BITS, "buffer": WORD,
    "buffer_pitch": PITCH_BITS, "use_table": 1, "table": WORD})


def row_layout(config: MachineConfig) -> data.StructLayout:
    """One row: `lines` lines from byte `dram` and from line `line` of the buffer on; `last` of its transfer.

    A transfer of nothing is one row of no lines.
    """
    return data.StructLayout({"dram": ADDRESS_BITS, "line": address_shape(config), "lines": UNIT_BITS, "last": 1})


class TransferRows(Component):
    """Give the rows of each transfer, and refuse what lies outside the buffer.

    Parameters
    ----------
    config : MachineConfig
        Uses ccpes, buffers, buffer_lines.
    access : Access
        Whose fault it would be.

    Members
    -------
    command : In(stream of TransferLayout), row : Out(stream of rows)
    request : Out(stream of read requests), data : In(stream of lines)
        Read client of the buffer, for tables.
    stop : In(1), clear : In(1), busy : Out(1)
        With `stop` the row on offer is the last one, and commands are taken and dropped. `clear`, while not busy,
        removes the fault.
    fault : Out(Fault)
        ADDRESS where `dram` or `dram_pitch` is no multiple of a line (`address` is `dram`), or a row or the table
        leaves the buffer (`address` is its line). The rows before have been given; no command is taken.

    Latency: 1 cycle to the first row; with a table 6, and the buffer's for its line. Throughput: a row a cycle, and
    a cycle between transfers; with a table a row every 6 cycles, and the buffer's latency for every 4 x CCPEs rows.
    Numerics: indices are signed; addresses modulo 2^64.
    """

    latency = 1

    def __init__(self, config: MachineConfig, access: Access) -> None:
        self._config, self._access = config, access
        super().__init__({
            "command": In(stream.Signature(TransferLayout)), "row": Out(stream.Signature(row_layout(config))),
            "request": Out(stream.Signature(read_layout(config))), "data": In(stream.Signature(line_shape(config))),
            "stop": In(1), "clear": In(1), "busy": Out(1), "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        config, command, row = self._config, self.command.p, self.row
        now, depth = Signal(TransferLayout), config.buffers * config.buffer_lines
        line, entry = Signal(WORD + 1), Signal(range(TILE * config.ccpes))
        table, product = Signal(line_shape(config)), Signal(ADDRESS_BITS)
        null, inside, whole = Signal(), Signal(), Signal()
        low = exact_log2(config.line_bytes)
        m.d.comb += [
            whole.eq(~(command.dram[:low].any() | command.dram_pitch[:low].any())),
            null.eq((command.rows == 0) | (command.lines == 0)), inside.eq(line + now.lines <= depth),
            row.p.dram.eq(now.dram + product), row.p.line.eq(line), row.p.lines.eq(now.lines),
            row.p.last.eq(now.rows == 1), self.request.p.address.eq(now.table)]
        with m.If(self.clear):
            m.d.sync += self.fault.eq(0)
        with m.FSM(name="rows") as fsm:
            m.d.comb += self.busy.eq(~fsm.ongoing("IDLE"))
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(self.stop | (self.fault.kind == FaultKind.NONE))
                with m.If(self.command.valid & self.command.ready & ~self.stop):
                    m.d.sync += [now.eq(self.command.payload), line.eq(command.buffer), product.eq(0), entry.eq(0)]
                    m.next = "ROW"
                    with m.If(null):
                        m.d.sync += [now.rows.eq(1), now.lines.eq(0), line.eq(0)]
                    with m.Elif(~whole):
                        self._refuse(m, command.dram)
                    with m.Elif(command.use_table):
                        m.next = "ASK"
            with m.State("ROW"):
                self._row(m, now, inside, line, entry, product)
            with m.State("ASK"):
                self._ask(m, now, depth)
            with m.State("LINE"):
                m.d.comb += self.data.ready.eq(1)
                with m.If(self.data.valid):
                    m.d.sync += table.eq(self.data.payload)
                    m.next = "PICK"
            self._multiply(m, now, table, entry, product)
        return m

    def _refuse(self, m: Module, address) -> None:
        m.d.sync += [self.fault.kind.eq(FaultKind.ADDRESS), self.fault.access.eq(self._access),
                     self.fault.address.eq(address)]
        m.next = "IDLE"

    def _row(self, m: Module, now, inside, line, entry, product) -> None:
        """Offer the row; then on to the next one."""
        m.d.comb += self.row.valid.eq(inside)
        with m.If(~inside):
            self._refuse(m, line)
        with m.Elif(self.row.ready):
            m.d.sync += [now.rows.eq(now.rows - 1), line.eq(line + now.buffer_pitch)]
            with m.If((now.rows == 1) | self.stop):
                m.next = "IDLE"
            with m.Elif(now.use_table):
                m.d.sync += [entry.eq(entry + 1), product.eq(0)]
                m.next = "PICK"
                with m.If(entry == TILE * self._config.ccpes - 1):
                    m.d.sync += now.table.eq(now.table + 1)
                    m.next = "ASK"
            with m.Else():
                m.d.sync += now.dram.eq(now.dram + now.dram_pitch)

    def _ask(self, m: Module, now, depth: int) -> None:
        """A line of the table; the request stays, stop or not."""
        with m.If(now.table >= depth):
            self._refuse(m, now.table)
        with m.Else():
            m.d.comb += self.request.valid.eq(1)
            with m.If(self.request.ready):
                m.next = "LINE"

    def _multiply(self, m: Module, now, table, entry, product) -> None:
        """Index times pitch, a byte of the index a cycle, highest first."""
        index, step = Signal(WORD), Signal(2)
        byte = Signal(signed(9))
        m.d.comb += byte.eq(Mux(step == 0, index[-8:].as_signed(), index[-8:]))
        with m.State("PICK"):
            m.d.sync += [index.eq(table.as_value().word_select(entry, WORD)), step.eq(0)]
            m.next = "MULTIPLY"
        with m.State("MULTIPLY"):
            m.d.sync += [product.eq((product << 8) + byte * now.dram_pitch), index.eq(index << 8), step.eq(step + 1)]
            with m.If(self.stop):
                m.next = "IDLE"
            with m.Elif(step == 3):
                m.next = "ROW"
