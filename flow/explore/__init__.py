# SPDX-License-Identifier: Apache-2.0
"""Exploration: sweeps over configurations, their cycles on real operands and areas, and who wins per area."""
