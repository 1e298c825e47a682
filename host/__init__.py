# SPDX-License-Identifier: Apache-2.0
"""Host: a trained network becomes a program and a memory image; a driver runs them on a machine.

`lower` turns a network into tasks, `blocks` those of a transformer block; `products`, `ditto`, `vida` are the methods.
`allocate` gives tasks lines of the buffer, `graph` finds what must wait for what, `schedule` orders them, `tokens`
gives them semaphores, `listing` shows the result (docs/host.md).
"""
