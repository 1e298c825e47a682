# SPDX-License-Identifier: Apache-2.0
"""A machine of two words a line, whose buffer can be filled with matrices."""

import numpy as np
import pytest

from hw.config import load_config
from model.exact.machine.executor import Executor
from model.exact.machine.matrix import Matrix, row_addresses


class Bench(Executor):
    """An executor with matrices put into its buffer and read back."""

    def put(self, base, values, width, pitch=None):
        values = np.asarray(values)
        matrix = self.matrix(base, values.shape[1], width, pitch)
        self.buffer.write(matrix.addresses(*map(np.arange, values.shape)), values, width)
        return matrix.pitch

    def get(self, base, shape, width, pitch=None):
        addresses = self.matrix(base, shape[1], width, pitch).addresses(*map(np.arange, shape))
        return self.buffer.read(addresses, width)

    def row(self, base, values):
        self.buffer.write(row_addresses(base, len(values), self.config.ccpes), np.asarray(values), 4)

    def matrix(self, base, cols, width, pitch):
        default = width * -(-cols // self.config.columns)
        return Matrix(base, default if pitch is None else pitch, width, self.config.ccpes)


@pytest.fixture
def machine():
    """A machine: machine(**changes of preset tiny); Executor's parameters too."""

    def make(dram_bytes=1 << 14, strict=True, seed=None, queue_depth=None, **changes):
        return Bench(load_config("tiny").replace(**changes), dram_bytes, strict, seed, queue_depth)

    return make
