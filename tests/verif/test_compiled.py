# SPDX-License-Identifier: Apache-2.0
from hw.compute.ccpe import CCPE
from hw.control.matmul import MatmulUnit
from hw.verilog import snake
from verif.machine import APART


def test_what_is_compiled_apart_are_modules_of_the_machine():
    assert set(APART) == {snake(part.__name__) for part in (MatmulUnit, CCPE)}
