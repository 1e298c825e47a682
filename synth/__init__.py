# SPDX-License-Identifier: Apache-2.0
"""Yosys flows: area and critical path of each block, with and without a Liberty library."""
