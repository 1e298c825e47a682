# SPDX-License-Identifier: Apache-2.0
"""Vector: what follows the array element by element."""
