# SPDX-License-Identifier: Apache-2.0
"""DRAM traffic of the methods, modelled: every operator alone, each operand and result moved once.

Bytes of one execution of an operator of shape (M, K, N), A = ceil(acc_bits / 8):

    none      M K + K N in; results out (A a value for accumulators, 1 for int8)
    timestep  + M K (the reference; attention: also K N) and M N A in for the carried accumulators, which also leave
    frame     + the reference of the left operand; frames run innermost, the accumulators stay in the array (hold)
"""

from __future__ import annotations

from flow.results import StepResult
from model.networks import NetworkConfig
from verif.operators import ATTENTION, Operator, OperatorList
from verif.speedup import METHODS, mix


def shape(operator: Operator, network: NetworkConfig) -> tuple[int, int, int, int]:
    """(count, M, K, N): products of an operator in one network evaluation, and the shape of each."""
    dim, tokens = network.dim, network.tokens
    if operator.kind in ATTENTION:
        spatial = operator.block == "spatial"
        groups, length = (network.frames, tokens) if spatial else (tokens, network.frames)
        inner = (network.head_dim, length) if operator.kind == "scores" else (length, network.head_dim)
        return groups * network.heads, length, *inner
    inner = {"qkv": (dim, 3 * dim), "out": (dim, dim), "fc1": (dim, 4 * dim), "fc2": (4 * dim, dim)}[operator.kind]
    return 1, network.frames * tokens, *inner


def execution_bytes(operator: Operator, reference: str, network: NetworkConfig, acc_bits: int) -> int:
    """Bytes in and out of one network evaluation's products of an operator with one reference."""
    count, rows, length, columns = shape(operator, network)
    left, right, results = rows * length, length * columns, rows * columns
    place = -(-acc_bits // 8)
    bytes_out = results * sum({"int8": 1, "accumulators": place}[name] for name in operator.emit)
    total = left + right + bytes_out
    attention = operator.kind in ATTENTION
    if reference == "timestep":
        carried_out = 0 if "accumulators" in operator.emit else results * place
        total += left + (right if attention else 0) + results * place + carried_out
    elif reference == "frame":
        # One-product attention runs transposed: the difference is that of the right operand.
        total += right if attention else left
    return count * total


def network_bytes(chosen: OperatorList, network: NetworkConfig, acc_bits: int, refresh: int) -> dict[str, float]:
    """Method -> bytes of the listed operators for one network evaluation, mean over the run's steps and frames."""
    return {method: sum(part * execution_bytes(operator, reference, network, acc_bits)
                        for operator in chosen.operator
                        for reference, part in mix(method, operator, chosen.steps, network, refresh).items())
            for method in METHODS}


def add_traffic(step: StepResult, chosen: OperatorList, network: NetworkConfig, acc_bits: int, refresh: int) -> None:
    """Append `traffic.<method>.bytes` and their ratio to `original`."""
    source = (f"operators.toml on {chosen.network}, each operand and result moved once, carried accumulators at "
              f"{-(-acc_bits // 8)} bytes")
    totals = network_bytes(chosen, network, acc_bits, refresh)
    for method, value in totals.items():
        step.add(f"traffic.{method}.bytes", value, "B", "modelled", source)
        step.add(f"traffic.{method}.vs_original", value / totals["original"], "1", "modelled", source)
