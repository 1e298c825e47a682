# SPDX-License-Identifier: Apache-2.0
"""Law of the machine as a whole: what a program does to buffer and DRAM, bit for bit, without time.

`matrix` is where elements lie, `store` a memory that knows which bytes mean something, `matmul`, `vector` and `move`
the instructions, `executor` the queues and their semaphores.
"""
