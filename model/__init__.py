# SPDX-License-Identifier: Apache-2.0
"""Networks, methods and the integer law of the machine."""
