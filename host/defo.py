# SPDX-License-Identifier: Apache-2.0
"""Which operators are computed from differences: Ditto's Defo, decided by the host from predicted cycles and bytes.

A difference to the timestep before saves array cycles and costs traffic, that of the operands and accumulators it
carries. Both go on at once, so what counts is the longer of the two: over the whole step, for operators overlap, and
for each operator by itself, for they overlap in part (Ditto, section "Defo", decides by cycles alone, layer by layer).
"""

from __future__ import annotations

from dataclasses import dataclass

from hw.config import Lane, MachineConfig
from model.networks import NetworkConfig

#: How much longer than its cycles in the array an operator's traffic may take: that much hides behind other operators.
#: By the cycle model: at 1.1 (`scores` of tiny, 16 bytes a cycle) carrying gains 3 %; at 1.9 (`fc2` of small) it loses
#: 7 % on `paper` at 8 bytes, whose array is nearly always busy, and gains 1.4 % on `default` at 32, which waits for
#: other units.
OUTLASTS = 1.5


@dataclass(frozen=True)
class Candidate:
    """An operator of a whole step.

    Members
    -------
    name : of the operator, without its block
    products : left times right values
    bytes : to and from DRAM, if it is carried
    """

    name: str
    products: int
    bytes: int


def candidates(network: NetworkConfig) -> list[Candidate]:
    """Operators that can be carried, those that save most for a byte first."""
    rows, blocks, dim = network.frames * network.tokens, len(network.blocks), network.dim
    linear = {"embed": (network.patch_dim, dim, 1), "qkv": (dim, 3 * dim, blocks), "out": (dim, dim, blocks),
              "fc1": (dim, 4 * dim, blocks), "fc2": (4 * dim, dim, blocks), "head": (dim, network.patch_dim, 1)}
    # Each way: int8 left operands, accumulators of four bytes.
    found = [Candidate(name, count * rows * k * n, 2 * count * rows * (k + 4 * n))
             for name, (k, n, count) in linear.items()]
    spatial = sum("spatial" in axes for axes in network.blocks)
    found.append(Candidate("scores", spatial * rows * network.tokens * dim,
                           2 * spatial * rows * (2 * dim + 4 * network.heads * network.tokens)))
    return sorted((one for one in found if one.products), key=lambda one: one.products / one.bytes, reverse=True)


def worth_carrying(network: NetworkConfig, config: MachineConfig, bandwidth: float, whole: float,
                   difference: float) -> frozenset[str]:
    """Names of the operators to carry, of which the array's cycles and the memory's together are shortest.

    None of them has traffic that takes `OUTLASTS` times as long as its whole operands take the array.

    bandwidth : bytes a cycle of the memory, both ways together
    whole, difference : shares of the array's work that skipping leaves of whole operands and of differences
    """
    planes = 1 if config.lane is Lane.NATIVE else 2
    each = planes / (config.pegs * max(1, config.multipliers))
    order = candidates(network)
    alone = [one for one in order if one.bytes / bandwidth < OUTLASTS * whole * each * one.products]
    array, memory, best, chosen = whole * each * sum(one.products for one in order), 0.0, float("inf"), 0
    for count, one in enumerate([None, *alone]):
        if one:
            array -= (whole - difference) * each * one.products
            memory += one.bytes / bandwidth
        if max(array, memory) < best:
            best, chosen = max(array, memory), count
    return frozenset(one.name for one in alone[:chosen])
