"""What a demo does to the folder it writes to, before any window opens."""

from __future__ import annotations

import json
import sys

import pytest

from napari_sslseg import demo


@pytest.fixture
def walk(monkeypatch, capfd):
    """Begin a walk, up to where napari is imported; gives the exit code and what was said."""
    monkeypatch.setitem(sys.modules, "napari", None)
    monkeypatch.setenv("NAPARI_SSLSEG_HOME", "")

    def begin(out) -> tuple[int | None, str]:
        monkeypatch.setattr(sys, "argv", ["demo", "--walk", "--out", str(out)])
        capfd.readouterr()
        try:
            code = demo.main()
        except ImportError:
            code = None
        return code, capfd.readouterr().err

    return begin


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "content", [{}, {"summary.json": '{"mean": 1}'}, {"summary.json": "["}, {"1-a.png": ""}]
)
def test_a_folder_with_other_things_is_refused_and_stays_as_it_is(tmp_path, walk, content):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "thesis.txt").write_text("years of work")
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    code, said = walk(tmp_path)
    assert code == 2
    assert said == (
        f"Error: {tmp_path} is not empty, and no demo wrote it; "
        "give a new or empty folder with --out.\n"
    )
    assert names(tmp_path) == {"project", *content}
    assert (tmp_path / "project" / "thesis.txt").read_text() == "years of work"


def test_a_file_in_the_way_is_told(tmp_path, walk):
    (tmp_path / "file").write_text("x")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        code, said = walk(out)
        assert code == 2
        assert said.startswith(f"Error: {out} cannot be written to (")
        assert said.count("\n") == 1


def test_of_an_earlier_walk_only_what_it_wrote_is_taken_away(tmp_path, walk):
    out = tmp_path / "new" / "out"
    assert walk(out)[0] is None
    assert names(out) == {"project", "summary.json"}
    # Also when it was interrupted, as this one.
    own = {"notes.txt", "2024-scan.png", "brain_labels_mine.nii.gz"}
    written = {"1-sample.png", "10-exported.png", "brain_labels.nii.gz"}
    for name in own | written | {"brain_labels.nii.gz.provenance.json", "project/old"}:
        (out / name).write_text("x")
    assert walk(out)[0] is None
    assert names(out) == {"project", "summary.json"} | own
    assert names(out / "project") == set()


def test_the_folder_of_an_earlier_version_is_known_by_its_summary(tmp_path, walk):
    results = {"labelled_by_hand": 20, "project": "demo_out/project/brain", "labels": "x.nii.gz"}
    (tmp_path / "summary.json").write_text(json.dumps(results))
    (tmp_path / "project").mkdir()
    assert walk(tmp_path)[0] is None
