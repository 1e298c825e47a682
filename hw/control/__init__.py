# SPDX-License-Identifier: Apache-2.0
"""Control: queues of jobs and the performance counters."""
