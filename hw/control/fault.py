# SPDX-License-Identifier: Apache-2.0
"""What stops a program: the kinds of faults, and who met them."""

from __future__ import annotations

from amaranth.lib import data, enum

#: Bits of a byte address in DRAM.
ADDRESS_BITS = 64


class FaultKind(enum.Enum, shape=4):
    """Why a program stopped. SLVERR and DECERR have the codes of AXI responses."""

    NONE = 0  #: nothing happened
    ADDRESS = 1  #: a line outside the buffer, an address that is not aligned, or past the program's end
    SLVERR = 2  #: the memory answered that it could not
    DECERR = 3  #: the bus has nothing at the address
    INSTRUCTION = 4  #: an illegal opcode or field
    TOKEN = 5  #: a semaphore left its range
    DEADLOCK = 6  #: nothing is under way and every queue waits for a semaphore


class Access(enum.Enum, shape=4):
    """What met the fault."""

    NONE = 0  #: nothing
    FETCH = 1  #: an instruction
    LOAD = 2  #: DRAM to buffer
    STORE = 3  #: buffer to DRAM
    MATMUL = 4  #: a PE group
    VECTOR = 5  #: the vector unit


#: A fault, or none where `kind` is NONE; it stays until it is cleared. `address`: a byte address in DRAM; with
#: ADDRESS at the buffer, the line.
Fault = data.StructLayout({"kind": FaultKind, "access": Access, "address": ADDRESS_BITS})
