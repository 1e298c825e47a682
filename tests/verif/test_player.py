# SPDX-License-Identifier: Apache-2.0
"""The player: packing, and one small group under Verilator against the law."""

from __future__ import annotations

import numpy as np
import pytest

from hw.config import MachineConfig, load_config
from hw.errors import VidaError
from hw.payloads import Init
from model.exact.route.allocation import schedule
from verif.measure import law_tiles
from verif.player import Field, Player, build_player, pack, unpack
from verif.stimulus import ACCUMULATORS, INT8, Product, stimulus

FIELDS = [Field("value", 5, 28, True, 0), Field("row", 1, 2, False, 5), Field("digit", 3, 5, True, 6)]


def beats(count: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    values = random.integers(-(1 << 27), 1 << 27, (count, 5))
    values[0, :2] = -(1 << 27), (1 << 27) - 1
    return {"value": values, "row": random.integers(0, 4, count), "digit": random.integers(-16, 16, (count, 3))}


@pytest.mark.parametrize("count", [1, 7])
def test_unpack_reverses_pack(count: int) -> None:
    given = beats(count)
    words = pack(FIELDS, given)
    assert words.shape == (count, 7) and words.dtype == np.uint32
    for name, values in unpack(FIELDS, words).items():
        assert np.array_equal(values, given[name])


def test_pack_puts_element_0_in_the_low_bits() -> None:
    assert pack([Field("x", 2, 4, True, 0)], {"x": np.array([[3, -1]])}).tolist() == [[0xF3]]


def test_pack_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="row: 0..4 does not fit 0..3"):
        pack(FIELDS[1:2], {"row": np.array([0, 4])})
    with pytest.raises(ValueError, match="no values for row"):
        pack(FIELDS[1:2], {"line": np.array([0])})


def small() -> MachineConfig:
    return load_config("tiny").replace(name="small", ccpes=1, right_rows=16, allocation="threshold", drain="inplace")


def products() -> list[Product]:
    random = np.random.default_rng(2)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.integers(-128, 128, (rows, columns))

    result = []
    for rows, length, columns in [(7, 5, 6), (4, 1, 4), (9, 16, 3)]:
        current = matrix(rows, length)
        reference = np.where(random.random((rows, length)) < 0.6, current, matrix(rows, length))
        right, tile = matrix(length, columns), random.integers(-99999, 99999, (rows, columns))
        result += [Product(current, reference, right, None, False, ACCUMULATORS, 2),
                   Product(current, reference, right, tile[0], False, INT8, 1),
                   Product(current, reference, right, tile, True, ACCUMULATORS | INT8, 3),
                   Product(current, reference, right, tile, False, ACCUMULATORS, 0, False)]
    return result


@pytest.fixture(scope="module")
def player() -> Player:
    return build_player(small())


@pytest.mark.parametrize("stall", [0.0, 0.4])
def test_a_small_group_equals_the_law(player: Player, stall: float) -> None:
    work = stimulus(products(), small())
    played = player.play(work.beats, work.rows, first_right=work.first_right, stall=stall, trace=50)
    compared, wrong = work.mismatches(played.accumulators["value"], played.int8["value"])
    assert wrong == 0 and compared == 5 * sum(m * n for m, n in [(7, 6), (4, 4), (9, 3)])
    assert played.counters["tiles"] == work.tiles
    assert len(played.trace["tiles"]) == 50 and np.all(np.diff(played.trace["cycles"]) == 1)


def test_cycles_are_those_of_the_law(player: Player) -> None:
    # One right slot, so that nothing waits for right rows, which the schedule knows nothing of.
    random = np.random.default_rng(3)
    work = [Product(random.integers(-128, 128, (64, 16)), np.zeros((64, 16), int), random.integers(-128, 128, (16, 4)),
                    threshold=2)]
    played = player.play((made := stimulus(work, small())).beats, made.rows, first_right=made.first_right)
    assert played.cycles == schedule(law_tiles(work, small()), small()).cycles


def test_a_run_that_hangs_is_given_up(player: Player) -> None:
    work = stimulus(products()[:1], small())
    with pytest.raises(VidaError, match="nothing moved for 20000 cycles.*accumulators 16 of 17"):
        player.play(work.beats, {"accumulators": 17}, first_right=work.first_right)


def test_stimulus_refuses_what_the_machine_cannot_hold() -> None:
    long = Product(np.ones((4, 17), int), np.zeros((4, 17), int), np.ones((17, 4), int))
    with pytest.raises(ValueError, match="K is 17, a right slot of small holds 1..16"):
        stimulus([long], small())
    native = load_config("dense8")
    with pytest.raises(ValueError, match="no encoder"):
        stimulus([Product(np.ones((4, 4), int), np.ones((4, 4), int), np.ones((4, 4), int))], native)


def test_init_kinds() -> None:
    left, right = np.ones((4, 2), int), np.ones((2, 4), int)
    kinds = [Product(left, left, right, init).init_kind for init in (None, np.ones(4), np.ones((4, 4)))]
    assert kinds == [Init.ZERO, Init.BIAS, Init.TILE]
