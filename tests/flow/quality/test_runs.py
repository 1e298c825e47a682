# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from flow.quality import command, pictures
from flow.quality import runs as kept_runs
from flow.quality.judges import Judges
from flow.quality.runs import Order, Runs, measure
from hw.errors import VidaError
from model.sample import to_float

ORDER = Order("tiny", ("ditto", "cmc.5"), (20, 8), 1)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("build")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDA_BUILD", str(folder))
        yield measure(ORDER, Console(quiet=True))


def test_a_row_for_every_setting_and_number_of_steps(measured):
    _, rows = measured
    assert [(row["setting"], row["steps"]) for row in rows] == [
        (name, steps) for steps in (20, 8) for name in ("dense", "ditto", "cmc.5")]
    facts = {(row["setting"], row["steps"]): row for row in rows}
    assert facts["ditto", 8]["psnr_db"] is None and facts["ditto", 8]["digits_left"] < 0.6
    assert 5 < facts["cmc.5", 20]["psnr_db"] < 60 and facts["cmc.5", 20]["work_left"] < 1
    assert facts["dense", 8]["fewer"]["psnr_db"] < 60 and "fewer" not in facts["dense", 20]
    assert len(facts["ditto", 8]["zeros"]["0 spatial qkv"]) == 8


def test_a_second_call_takes_what_is_there(measured, monkeypatch):
    runs, rows = measured
    monkeypatch.setattr(kept_runs, "sample_setting", None)
    monkeypatch.setattr(kept_runs, "integer_samples", None)
    again = Runs(ORDER, runs.folder)
    assert again.row("cmc.5", 8) == next(row for row in rows if (row["setting"], row["steps"]) == ("cmc.5", 8))
    with pytest.raises(TypeError):                                     # other videos are another run
        Runs(Order("tiny", ("cmc.5",), (8,), 2), runs.folder).row("cmc.5", 8)


def test_pictures_and_page(measured):
    runs, rows = measured
    paths = command.pictures(ORDER, runs, rows)
    assert len(paths) == 8 and all(path.stat().st_size > 1000 for path in paths)
    text = command.page(ORDER, [row | {"judged": {}} for row in rows])
    assert "### 8 steps" in text and "*dense against 20 steps*" in text
    assert text.count("| cmc.5 |") == 2 and "equal" in text
    frames = to_float(runs.videos("cmc.5", 8)[0]).numpy()
    assert pictures.strips({"a": frames, "b": np.zeros_like(frames)})[:4] == b"\x89PNG"
    assert torch.equal(runs.videos("ditto", 8), runs.videos("dense", 8))


def test_tables_of_several_networks_in_one_page(measured, tmp_path, monkeypatch):
    runs, _ = measured
    monkeypatch.setenv("VIDA_BUILD", str(runs.folder.parent))
    command.run([ORDER], Judges(), tmp_path / "table.md", Console(quiet=True))
    text = (tmp_path / "table.md").read_text()
    assert "    vida quality --network tiny --steps 20 --steps 8 --videos 1 \\\n" in text
    assert "        --setting=ditto --setting=cmc.5 \\\n" in text
    assert f"--markdown {tmp_path / 'table.md'}\n" in text


def test_twins_are_a_column_and_kept(measured, monkeypatch):
    folder, order = measured[0].folder, Order("tiny", ("ditto", "cmc.5"), (8,), 1, twins=True)
    runs, rows = measure(order, Console(quiet=True))
    twins = {row["setting"]: row["twin_float_db"] for row in rows}
    assert twins["dense"] is twins["ditto"] is None and 5 < twins["cmc.5"] < 60
    text = command.page(order, [row | {"judged": {}} for row in rows])
    assert "| setting | PSNR int8 | PSNR float | PSNR twin | SSIM |" in text and f"| {twins['cmc.5']:.1f} |" in text
    monkeypatch.setattr(kept_runs, "twin_float_db", None)
    assert Runs(order, folder).twin("cmc.5", 8) == twins["cmc.5"]


def test_what_cannot_be_written_or_measured_is_refused_before_anything_runs(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "measure", lambda *_: pytest.fail("something ran"))
    (tmp_path / "file").write_text("")
    for page in (tmp_path, tmp_path / "file" / "table.md"):
        with pytest.raises(VidaError, match=f"cannot write .*{page.parent.name}"):
            command.run([ORDER], Judges(), page, Console(quiet=True))
    monkeypatch.setattr(kept_runs.checkpoints, "WEIGHTS", tmp_path)
    with pytest.raises(VidaError, match="network tiny is not in the repository"):
        command.run([ORDER], Judges(), None, Console(quiet=True))


def test_published_networks_judge_what_was_kept(measured):
    class Stand:
        def features(self, videos):
            return videos.flatten(2).std(-1).double()

        def similarity(self, videos, labels):
            return len(videos) + labels[0]

    runs = Runs(Order("tiny", (), (8,), 3), measured[0].folder)
    runs.row("dense", 8)
    judges = Judges(Stand(), Stand())
    found = judges.judge(runs, {"setting": "dense", "steps": 8, "network": "tiny"})
    assert judges.columns == tuple(found) == ("FVD", "CLIPSIM") and found["CLIPSIM"] == 3 and found["FVD"] > 0
    assert Judges.open(None, None).columns == ()
    with pytest.raises(VidaError, match="no such file"):
        Judges.open(measured[0].folder / "none.pt", None)


def test_a_kept_file_is_json(measured):
    runs, _ = measured
    for path in runs.folder.glob("*.json"):
        assert json.loads(path.read_text())["format"] == 1


@pytest.mark.parametrize(("fields", "reason"), [
    ({"network": "magic"}, "unknown network 'magic'"), ({"steps": (7,)}, "7 steps: choose from 50, 20, 8"),
    ({"videos": 0}, "0 videos, at least 1 needed"),
])
def test_what_cannot_be_asked_for_is_refused(fields, reason):
    with pytest.raises(VidaError, match=reason):
        Order(**{"network": "tiny", "settings": ()} | fields)


def test_a_network_without_weights_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(kept_runs.checkpoints, "WEIGHTS", tmp_path)
    with pytest.raises(VidaError, match="network tiny is not in the repository: no "):
        Runs(ORDER, tmp_path)
