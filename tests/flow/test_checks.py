# SPDX-License-Identifier: Apache-2.0
import pytest

from flow.checks import LIMITS, Limit, checks
from flow.results import MANDATORY, MANDATORY_ASAP7, Result


@pytest.mark.parametrize(("limit", "value", "passed", "detail"), [
    (Limit("a", low=0.98), 0.98, True, "0.98, must be at least 0.98"),
    (Limit("a", low=0.98), 0.979, False, "0.979, must be at least 0.98"),
    (Limit("a", high=60), 61, False, "61, must be at most 60"),
    (Limit("a", low=0, high=0), 1, False, "1, must be exactly 0"),
    (Limit("a", low=1, high=2), 1.5, True, "1.5, must be at least 1 and at most 2"),
])
def test_a_limit_says_what_was_found_and_asked(limit, value, passed, detail):
    found = limit.check([Result("a", value, "1", "measured", "b")])
    assert (found.passed, found.detail) == (passed, detail)


def test_no_result_no_check():
    assert checks([]) == []


def test_every_limit_is_of_a_mandatory_result_and_none_of_a_speed_up():
    assert {limit.result for limit in LIMITS} <= {*MANDATORY, *MANDATORY_ASAP7}
    assert not [limit for limit in LIMITS if limit.result.startswith("speedup")]
