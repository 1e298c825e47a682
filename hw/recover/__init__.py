# SPDX-License-Identifier: Apache-2.0
"""Recover: init, merge and drain of the accumulators."""
