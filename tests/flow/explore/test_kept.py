# SPDX-License-Identifier: Apache-2.0
"""What is kept is found again until something that it comes from does something else."""

from flow.explore.kept import digest_of, kept_path, meaning, read_kept, sources_digest, write_kept

SOURCE = '"""About."""\nx = 1  # why\n\ndef f():\n    """Says."""\n    return x\n'


def test_comments_docstrings_and_layout_mean_nothing():
    assert meaning(SOURCE) == meaning("x = (1)\ndef f():\n    return x\n")
    assert meaning(SOURCE) != meaning(SOURCE.replace("1", "2"))
    assert meaning('def f():\n    """Only this."""\n') == "def f():\n    pass"


def test_sources_have_a_digest():
    assert sources_digest("hw/config.py") == sources_digest("hw/config.py") != sources_digest("hw/numerics.py")


def test_an_outcome_is_written_whole(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path))
    path = kept_path("points", digest_of("a", 1))
    assert read_kept(path) is None
    write_kept(path, {"x": [1, None]})
    assert read_kept(path) == {"x": [1, None]} and [file.name for file in path.parent.iterdir()] == [path.name]
    path.write_text('{"x": [1, nu')
    assert read_kept(path) is None
