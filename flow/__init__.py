# SPDX-License-Identifier: Apache-2.0
"""The command `vida`: generate, simulate, synthesise, evaluate, report."""
