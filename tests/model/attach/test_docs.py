# SPDX-License-Identifier: Apache-2.0
"""What docs/trace.md shows works as written."""

import re
from pathlib import Path

import torch

from model.attach import Layout

PAGE = (Path(__file__).parents[3] / "docs" / "trace.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.S)


def test_the_examples_run(capsys):
    first, second = BLOCKS
    names: dict[str, object] = {}
    exec(compile(first, "docs/trace.md", "exec"), names)
    shown = capsys.readouterr().out
    assert "caption_projection.linear_1" in shown and "conditioning, one row a video" in shown
    assert isinstance(names["dense"], torch.Tensor)
    exec(compile(second, "docs/trace.md", "exec"), names)
    assert isinstance(names["layout"], Layout)
