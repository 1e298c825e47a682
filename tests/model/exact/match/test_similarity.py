# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from hw.errors import VidaError
from model.exact.match.similarity import Measure, losses, narrow


def by_definition(a, b, measure):
    if measure is Measure.SAD:
        return sum(abs(x - y) for x, y in zip(a, b, strict=True))
    if measure is Measure.SQUARED:
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
    dot, aa, bb = (sum(x * y for x, y in zip(u, v, strict=True)) for u, v in ((a, b), (a, a), (b, b)))
    if aa * bb == 0:
        return 65536
    fraction = dot * dot * 65536 // (aa * bb)
    return 65536 - fraction if dot > 0 else 65536 + fraction


@pytest.mark.parametrize("measure", list(Measure))
@pytest.mark.parametrize("bits", [4, 8])
def test_captured_outputs_follow_the_definition(captured, measure, bits):
    tokens = captured("out")[0].current[1]
    small = [[x if bits == 8 else max(-8, min(7, (x + 8) // 16)) for x in row] for row in tokens.tolist()]
    got = losses(narrow(tokens, bits), narrow(tokens[:5], bits), measure)
    assert got.dtype == torch.int64
    assert got.tolist() == [[by_definition(a, b, measure) for b in small[:5]] for a in small]


@pytest.mark.parametrize("measure", list(Measure))
def test_extremes_and_zeros(measure):
    rows = torch.stack([torch.full((1024,), v) for v in (-128, 127, 0)])
    expected = [[by_definition(a, b, measure) for b in rows.tolist()] for a in rows.tolist()]
    assert losses(rows, rows, measure).tolist() == expected
    assert losses(rows[:1], rows[:1], measure).tolist() == [[0]]


def test_other_widths_are_refused():
    with pytest.raises(VidaError, match="6 bits, 4 or 8"):
        narrow(torch.zeros(1), 6)
