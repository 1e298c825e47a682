# SPDX-License-Identifier: Apache-2.0
"""Integer law of init, merge and drain."""
