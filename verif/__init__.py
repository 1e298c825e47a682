# SPDX-License-Identifier: Apache-2.0
"""Benches that hold the Verilog to the integer law under Verilator: drivers, monitors, golden vectors, coverage."""
