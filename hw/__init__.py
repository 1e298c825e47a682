# SPDX-License-Identifier: Apache-2.0
"""The machine, in Amaranth: a folder per move (encode, route, compute, recover), a file per block."""
