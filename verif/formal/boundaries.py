# SPDX-License-Identifier: Apache-2.0
"""Every block of a machine with streams at its ports, and the circuit that holds one to their rules."""

from __future__ import annotations

from collections.abc import Callable

from amaranth.hdl import Assert, Assume, Module, Value
from amaranth.lib.wiring import Component
from amaranth.utils import exact_log2

from hw.compute.group import Group
from hw.config import Lane, MachineConfig
from hw.control.axi_lite import AxiLite
from hw.control.fault import Access
from hw.control.fetch import Fetch
from hw.control.isa import BYTES
from hw.control.jobs import JobIssuer
from hw.control.matmul import READERS as MATMUL_READERS
from hw.control.matmul import MatmulUnit
from hw.control.queue import RegisterQueue
from hw.control.register_map import SPACE
from hw.control.registers import Registers
from hw.control.sequencer import Sequencer
from hw.control.usage import counter_bits
from hw.encode.encoder import Encoder
from hw.memory.axi_read import AxiReader
from hw.memory.axi_share import AxiReadShare
from hw.memory.axi_write import AxiWriter
from hw.memory.buffer import Buffer
from hw.memory.burst import BurstSplitter
from hw.memory.dma import Dma
from hw.memory.line_share import LineShare
from hw.memory.load import Load
from hw.memory.operands import LeftLoader, RightLoader
from hw.memory.result_writer import SIDES, ResultWriter
from hw.memory.rows import TransferRows
from hw.memory.store import Store
from hw.memory.tiles import InitLoader, ScaleLoader
from hw.memory.walker import Walker
from hw.vector.engine import READERS as VECTOR_READERS
from hw.vector.engine import VectorEngine
from hw.vector.feeder import RowReader, RowWriter
from hw.vector.requantise import Requantise
from hw.vector.rows import RowWalker
from hw.vector.unit import VectorUnit
from verif.formal.circuit import free_inputs
from verif.formal.probe import Probe
from verif.formal.rules import hold_to_rules

#: Bursts of loads and stores: beats of the longest, and how many are under way (`Dma`'s own defaults).
BURST, OUTSTANDING = 16, 8


def control_blocks(config: MachineConfig) -> dict[str, Callable[[], Component]]:
    """Blocks between the memory's bus, the buffer and the program."""
    bus, line = config.bus_bytes, config.line_bytes
    return {
        "AxiLite": lambda: AxiLite(exact_log2(SPACE)),
        "AxiReadShare": lambda: AxiReadShare(2, bus, 2 * OUTSTANDING),
        "AxiReader": lambda: AxiReader(bus, line, BURST, OUTSTANDING, Access.LOAD),
        "AxiReader of Fetch": lambda: AxiReader(bus, BYTES, BYTES // bus, 2, Access.FETCH),
        "AxiWriter": lambda: AxiWriter(bus, line, BURST, OUTSTANDING, Access.STORE),
        "BurstSplitter": lambda: BurstSplitter(bus, line, BURST), "Dma": lambda: Dma(config),
        "Fetch": lambda: Fetch(config), "LineShare": lambda: LineShare(config, 2), "Load": lambda: Load(config),
        "Registers": lambda: Registers(counter_bits(config)), "Sequencer": lambda: Sequencer(config),
        "Store": lambda: Store(config), "TransferRows": lambda: TransferRows(config, Access.LOAD)}


def buffer_blocks(config: MachineConfig) -> dict[str, Callable[[], Component]]:
    """The global buffer with all clients that the machine has."""
    readers = 1 + len(VECTOR_READERS) + config.pegs * len(MATMUL_READERS)
    return {"Buffer": lambda: Buffer(config, readers, 2 + config.pegs * len(SIDES))}


def operand_blocks(config: MachineConfig) -> dict[str, Callable[[], Component]]:
    """Blocks between the buffer and a group."""
    return {
        "InitLoader": lambda: InitLoader(config), "JobIssuer": lambda: JobIssuer(config),
        "LeftLoader": lambda: LeftLoader(config), "ResultWriter": lambda: ResultWriter(config),
        "RightLoader": lambda: RightLoader(config), "ScaleLoader": lambda: ScaleLoader(config),
        "Walker": lambda: Walker(config, 3, worded=1)}


def group_blocks(config: MachineConfig) -> dict[str, Callable[[], Component]]:
    """A group, what of it has streams to offer, and the unit around it."""
    encoder = {"Encoder": lambda: Encoder(config)} if config.lane is Lane.DIGIT else {}
    return encoder | {"Group": lambda: Group(config), "MatmulUnit": lambda: MatmulUnit(config),
                      "Requantise": lambda: Requantise(config)}


def vector_blocks(config: MachineConfig) -> dict[str, Callable[[], Component]]:
    """The vector engine and its parts."""
    readers = {f"RowReader {name}": lambda name=name, bits=bits: RowReader(config, name, bits)
               for name, bits in VECTOR_READERS.items()}
    return readers | {"RowWalker": lambda: RowWalker(config), "RowWriter": lambda: RowWriter(config),
                      "VectorEngine": lambda: VectorEngine(config), "VectorUnit": lambda: VectorUnit(config)}


#: Groups of blocks that one question of the solver holds to the rules.
GROUPS = {"control": control_blocks, "buffer": buffer_blocks, "operands": operand_blocks, "group": group_blocks,
          "vector": vector_blocks}


class BoundaryPart:
    """A block whose surroundings do as they please within the rules of streams; `clear` comes at rest.

    Parameters
    ----------
    name : str
        Begins the names of its assertions.
    block : Component
    strengthen : bool
        Assert what induction needs too: of every queue inside, that it holds no more than its depth.
    """

    def __init__(self, name: str, block: Component, strengthen: bool = True) -> None:
        self._name, self._block, self._strengthen = name, block, strengthen

    def build(self, m: Module) -> list[Value]:
        """As `Part`."""
        m.submodules += (probe := Probe(self._block))
        hold_to_rules(m, self._block, f"{self._name} ")
        if {"clear", "busy"} <= self._block.signature.members.keys():
            m.d.comb += Assume(~self._block.clear | ~self._block.busy)
        if self._strengthen:
            m.d.comb += [Assert(inside["level"] <= queue._depth, f"{self._name}: queues within their depth")
                         for queue, inside in probe.blocks(RegisterQueue)]
        return free_inputs(self._block)
