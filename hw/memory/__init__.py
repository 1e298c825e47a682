# SPDX-License-Identifier: Apache-2.0
"""Memory: the stores that feed the array."""
