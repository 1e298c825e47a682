# SPDX-License-Identifier: Apache-2.0
"""Compute: multipliers, lanes, the CCPE and the PE group (PEG)."""
