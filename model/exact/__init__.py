# SPDX-License-Identifier: Apache-2.0
"""The integer law: for every hardware block the one function that says, bit for bit, what it computes.

Laws are torch int64 functions, or scalar Python where they are a schedule; matrix products may pass through
float64, which is exact below 2^53. No law uses a float tolerance.
"""
