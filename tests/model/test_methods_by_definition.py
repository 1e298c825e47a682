# SPDX-License-Identifier: Apache-2.0
"""Ditto and ViDA on captured operands against loops over Python integers that share nothing with the law."""

from functools import cache

import pytest
import torch

from model.exact.operators import Operators, Site
from model.exact.step import denoise
from model.methods import Ditto, Vida
from model.quantise import load_quantised

STEPS = (24, 25, 26)


@cache
def captured(kind, layer=0):
    """Whole operands (left, right, init) of an operator of the tiny network at three steps in a row."""
    network, found = load_quantised("tiny")[0], []

    def record(job):
        if (job.site.kind, job.site.layer) == (kind, layer) and job.step in STEPS:
            found.append((job.current, job.right, job.init))

    operators, video = Operators(record), network.noise[1]
    for step in range(STEPS[-1] + 1):
        video = denoise(network, video, 1, step, 50, operators)
    return found


def times(left, right):
    """Product of nested lists (M, K) and (K, N)."""
    columns = list(zip(*right, strict=True))
    return [[sum(a * b for a, b in zip(row, column, strict=True)) for column in columns] for row in left]


def plus(a, b):
    return [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]


def minus(a, b):
    return [[x - y for x, y in zip(*rows, strict=True)] for rows in zip(a, b, strict=True)]


def turned(a):
    return [list(column) for column in zip(*a, strict=True)]


def matrices(x):
    """The matrices of a tensor (A, H, M, N) or (F, M, N), in order, as nested lists."""
    return x.flatten(0, -3).tolist()


def two_products(left, right, left_before, right_before, before):
    """S_ref + dQ K_ref + Q dK."""
    first = plus(before, times(minus(left, left_before), right_before))
    return plus(first, times(left, minus(right, right_before)))


@pytest.mark.parametrize(("kind", "layer"), [("qkv", 0), ("out", 1), ("fc2", 1)])
def test_ditto_with_weights(kind, layer):
    method, expected, last = Ditto(), None, None
    for step, (left, right, init) in enumerate(captured(kind, layer)):
        method.begin(step)
        found = method.linear(Site(kind, layer, "spatial"), left, right, init[0, 0])
        weights, now = right.tolist(), matrices(left)
        if last is None:
            expected = [plus(times(frame, weights), start) for frame, start in zip(now, matrices(init), strict=True)]
        else:
            expected = [plus(sums, times(minus(frame, before), weights))
                        for sums, frame, before in zip(expected, now, last, strict=True)]
        last = now
        assert found.tolist() == expected


@pytest.mark.parametrize("kind", ["scores", "values"])
@pytest.mark.parametrize(("layer", "block"), [(0, "spatial"), (1, "temporal")])
def test_ditto_attention_is_two_products(kind, layer, block):
    method, expected, last = Ditto(), None, None
    for step, (left, right, _) in enumerate(captured(kind, layer)):
        method.begin(step)
        found = method.attention(Site(kind, layer, block), left, right)
        now = list(zip(matrices(left), matrices(right), strict=True))
        if last is None:
            expected = [times(*pair) for pair in now]
        else:
            expected = [two_products(*pair, *before, sums)
                        for pair, before, sums in zip(now, last, expected, strict=True)]
        last = now
        assert matrices(found) == expected


def test_jobs_of_ditto_are_the_products_that_its_docstring_names():
    jobs = []
    method, site = Ditto(jobs.append), Site("scores", 0, "spatial")
    (left0, right0, _), (left1, right1, _) = captured("scores")[:2]
    method.attention(site, left0, right0)
    method.attention(site, left1, right1)
    whole, first, second = jobs
    assert [job.product for job in jobs] == ["single", "first", "second"]
    assert not whole.reference.any() and torch.equal(whole.current, left0)
    for place in range(left0.shape[0] * left0.shape[1]):
        one = [[matrices(getattr(job, name))[place] for name in ("current", "reference", "right", "init", "result")]
               for job in (first, second)]
        q0, k0, q1, k1 = (matrices(x)[place] for x in (left0, right0, left1, right1))
        s0 = times(q0, k0)
        r1 = plus(s0, times(minus(q1, q0), k0))
        assert one[0] == [q1, q0, k0, s0, r1]
        assert one[1] == [turned(k1), turned(k0), turned(q1), turned(r1), turned(times(q1, k1))]


EXTREMES = [torch.full((1, 1, 2, 3), value) for value in (-128, 127, -128, 0, 0)]


def test_ditto_at_the_ends_of_int8_and_without_any_change():
    method, site = Ditto(), Site("scores", 0, "spatial")
    for left, right in zip(EXTREMES, reversed(EXTREMES), strict=True):
        expected = [times(a, turned(b)) for a, b in zip(matrices(left), matrices(right), strict=True)]
        assert matrices(method.attention(site, left, right.mT)) == expected
    one = Ditto()
    for value in (5, 5, -128):
        x = torch.full((1, 1, 1), value)
        assert one.linear(Site("fc1", 0, "spatial"), x, torch.tensor([[-128]]), torch.tensor([7])).item() == \
            7 - 128 * value


def vida_attention(left, right, refresh):
    """By frame and head: whole every `refresh` frames, else the sums before plus A_f (B_f - B_(f-1))."""
    frames, heads = left.shape[:2]
    expected = []
    for head in range(heads):
        sums = None
        for frame in range(frames):
            a, b = left[frame, head].tolist(), right[frame, head].tolist()
            if frame % refresh == 0:
                sums = times(a, b)
            else:
                sums = plus(sums, times(a, minus(b, right[frame - 1, head].tolist())))
            expected.append((frame, head, sums))
    return [sums for _, _, sums in sorted(expected, key=lambda one: one[:2])]


@pytest.mark.parametrize("kind", ["scores", "values"])
@pytest.mark.parametrize("refresh", [1, 2, 3, 9])
def test_vida_attention_on_captured_operands(kind, refresh):
    left, right, _ = captured(kind)[1]
    found = Vida(refresh=refresh).attention(Site(kind, 0, "spatial"), left, right)
    assert matrices(found) == vida_attention(left, right, refresh)


def test_vida_attention_of_one_frame_and_at_the_ends_of_int8():
    site = Site("scores", 0, "spatial")
    left, right = torch.cat(EXTREMES), torch.cat(EXTREMES[::-1]).mT
    for frames in (1, 5):
        found = Vida(refresh=9).attention(site, left[:frames], right[:frames])
        assert matrices(found) == vida_attention(left[:frames], right[:frames], 9)


@pytest.mark.parametrize("kind", ["qkv", "fc1"])
def test_vida_with_weights_goes_from_frame_to_frame(kind):
    left, right, init = captured(kind)[0]
    jobs = []
    found = Vida(jobs.append).linear(Site(kind, 0, "spatial"), left, right, init[0, 0])
    weights, sums, before = right.tolist(), init[0].tolist(), None
    for frame, job in zip(left.tolist(), jobs, strict=True):
        change = frame if before is None else minus(frame, before)
        sums, before = plus(sums, times(change, weights)), frame
        assert found[job.start].tolist() == sums
        assert minus(job.current[0].tolist(), job.reference[0].tolist()) == change


@pytest.mark.parametrize("kind", ["scores", "values"])
def test_vida_multiplies_whole_operands_where_attention_mixes_frames(kind):
    left, right, _ = captured(kind, 1)[0]
    found = Vida(refresh=2).attention(Site(kind, 1, "temporal"), left, right)
    assert matrices(found) == [times(*pair) for pair in zip(matrices(left), matrices(right), strict=True)]
