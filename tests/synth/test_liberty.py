# SPDX-License-Identifier: Apache-2.0
import gzip

import pytest

from hw.errors import VidaError
from synth import liberty


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path / "build"))
    place = tmp_path / "pdk"
    place.mkdir()
    (place / "asap7_simple_rvt_tt.lib.gz").write_bytes(gzip.compress(b"library (one) {}"))
    (place / "asap7_seq_rvt_tt.lib").write_text("library (two) {}")
    (place / "README.md").write_text("")
    return place


def test_files_of_one_library_are_found_together(folder):
    assert [file.read_text() for file in liberty.find("asap7", folder)] == ["library (two) {}", "library (one) {}"]
    assert liberty.available(folder) == ["asap7"]


def test_the_folder_may_come_from_the_environment(folder, monkeypatch):
    monkeypatch.setenv("VIDA_PDK", str(folder))
    assert len(liberty.find("asap7")) == 2
    monkeypatch.delenv("VIDA_PDK")
    assert liberty.available() == []


def test_unknown_library(folder):
    with pytest.raises(VidaError, match="unknown library 'tsmc5': known are asap7, sky130, sg13g2"):
        liberty.find("tsmc5", folder)


def test_no_such_file(folder):
    with pytest.raises(VidaError, match=r"no Liberty file sky130\*\.lib"):
        liberty.find("sky130", folder)


def test_no_such_folder(tmp_path):
    with pytest.raises(VidaError, match="VIDA_PDK"):
        liberty.find("asap7", tmp_path / "none")


def test_a_broken_file(folder):
    (folder / "asap7_simple_rvt_tt.lib.gz").write_bytes(b"no gzip")
    with pytest.raises(VidaError, match=r"asap7_simple_rvt_tt\.lib\.gz: cannot be unpacked"):
        liberty.find("asap7", folder)


def test_an_outline_has_no_tables(folder):
    text = ('library (one) { /* } */ cell (A) { area : 2; pin (Y) { function : "!{A}"; timing () { values ("1 }"); '
            "t () { } }\ndirection : output; } leakage_power () { value : 1; } } }")
    (folder / "asap7_seq_rvt_tt.lib").write_text(text)
    outlined = liberty.outline(liberty.find("asap7", folder)[0]).read_text()
    assert outlined == ('library (one) { /* } */ cell (A) { area : 2; pin (Y) { function : "!{A}"; \n'
                        "direction : output; }  } }")


@pytest.mark.parametrize("text", ["library (x) { cell (a) {", "no library", "", "library (x) { } }"])
def test_a_file_that_is_no_whole_library_is_named(text, tmp_path, monkeypatch):
    monkeypatch.setenv("VIDA_BUILD", str(tmp_path / "build"))
    file = tmp_path / "asap7_broken.lib"
    file.write_text(text)
    with pytest.raises(VidaError, match=f"Liberty file {file}: not a whole library"):
        liberty.outline(file)
