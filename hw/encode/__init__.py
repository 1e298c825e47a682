# SPDX-License-Identifier: Apache-2.0
"""Encode: find what is redundant in the left operand (differences, digits, sums of absolute differences)."""
