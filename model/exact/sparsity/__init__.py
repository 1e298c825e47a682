# SPDX-License-Identifier: Apache-2.0
"""Integer law of EXION (Heo et al., HPCA 2025): outputs that are not computed, packing of the rest. Law only."""
