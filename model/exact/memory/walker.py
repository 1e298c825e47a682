# SPDX-License-Identifier: Apache-2.0
"""Law of the walker: addresses of nested loops."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product


def walk(address: int, counts: list[int], strides: list[int], worded: int | None = None, word: int = 0,
         words: int = 1) -> Iterator[tuple[int, int, list[bool]]]:
    """(address, word, for every loop whether this is its last step) of every step, the last loop fastest.

    With `worded` that loop counts words from `word`; its stride is taken once for every `words` of them.
    """
    for steps in product(*(range(count) for count in counts)):
        at, here = address, word
        for n, (step, stride) in enumerate(zip(steps, strides, strict=True)):
            if n == worded:
                full, here = divmod(word + step, words)
                at += full * stride
            else:
                at += step * stride
        yield at, here, [step == count - 1 for step, count in zip(steps, counts, strict=True)]
