# SPDX-License-Identifier: Apache-2.0
"""Formal verification: queues, semaphores, buses, streams, and no digit lost between the encoder and the lanes."""
