# SPDX-License-Identifier: Apache-2.0
"""Route: decide which lane takes the rest."""
