# SPDX-License-Identifier: Apache-2.0
"""Formal verification: no digit is lost or doubled between the encoder and the lanes."""
