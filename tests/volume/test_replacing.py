"""Files that are replaced whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from napari_sslseg.volume.replacing import (
    flush_file,
    read_text,
    replace_text,
    replacing,
    replacing_all,
)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_new(paths, error=None):
    with replacing_all(paths) as parts:
        for part in parts:
            part.write_text("new")
            if error is not None:
                raise error


def test_a_file_is_the_old_one_until_the_block_ends(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert content(tmp_path) == {"a.json": b"new"}


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path, replaced):
    with replacing_all([tmp_path / "a", tmp_path / "b"]) as parts:
        for part in parts:
            part.write_bytes(b"x" * 10000)
    replace_text(tmp_path / "head", "a, b")
    assert replaced == [("a", True), ("b", True), ("head", True)]


def test_the_new_names_are_on_the_disk_when_all_is_done(tmp_path, monkeypatch):
    flush, names = os.fsync, []

    def spy(handle):
        if os.fstat(handle).st_ino == tmp_path.stat().st_ino:
            names.append(sorted(path.name for path in tmp_path.iterdir()))
        flush(handle)

    monkeypatch.setattr(os, "fsync", spy)
    replace_text(tmp_path / "head", "new")
    assert names == [["head"]]


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt])
def test_after_an_error_in_the_block_all_is_as_before(tmp_path, error):
    (tmp_path / "a").write_text("old")
    before = content(tmp_path)
    with pytest.raises(error):
        write_new([tmp_path / "a", tmp_path / "b"], error)
    assert content(tmp_path) == before


def test_a_disk_that_says_late_that_it_is_full_has_changed_nothing(tmp_path, monkeypatch):
    flush, calls = os.fsync, []

    def second_fails(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        flush(handle)

    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text("old")
    before = content(tmp_path)
    monkeypatch.setattr(os, "fsync", second_fails)
    with pytest.raises(OSError, match="No space"):
        write_new(paths)
    assert content(tmp_path) == before


def test_a_target_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_text(tmp_path / "a", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_text_keeps_its_signs(tmp_path):
    replace_text(tmp_path / "a", "Läsion µm “x”")
    assert (tmp_path / "a").read_text(encoding="utf-8") == "Läsion µm “x”"


def test_what_is_not_there_cannot_be_flushed(tmp_path):
    with pytest.raises(FileNotFoundError):
        flush_file(tmp_path / "a")


@pytest.mark.parametrize(("owner", "name"), [(os, "replace"), (Path, "read_text")])
def test_a_file_that_another_program_holds_for_a_moment(owner, name, tmp_path, monkeypatch):
    action, left = getattr(owner, name), [3]

    def as_on_windows(*arguments, **options):
        if not left[0]:
            return action(*arguments, **options)
        left[0] -= 1
        error = PermissionError(13, "another process uses the file")
        error.winerror = 32
        raise error

    monkeypatch.setattr(owner, name, as_on_windows)
    replace_text(tmp_path / "head", "new")
    assert read_text(tmp_path / "head") == "new"
    assert content(tmp_path) == {"head": b"new"}
    assert left == [0]
