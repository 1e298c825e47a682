# SPDX-License-Identifier: Apache-2.0
"""Integer law of matching: which token stands for which other one. Law only, but for CMC's SAD unit."""
