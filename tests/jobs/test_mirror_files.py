"""Which files of a project travel, and how they arrive."""

from __future__ import annotations

import io
import os

import pytest

from napari_sslseg.jobs.mirror_files import (
    comes_back,
    copy_out,
    goes_over,
    in_order,
    listing,
    stamp_of,
    write_whole,
)

USERS = (
    *("project.json", "image.npy", "ink.000003.npy", "ink.000003.journal", "background.000000.npy"),
    *("proposals/semsim/corrections.000000.npy", "proposals/semsim/corrections.000000.journal"),
    *("proposals/imported/proposal.json", "volumes/001-b/proposals/imported/classes.000001.npy"),
    *("volumes/shown", "volumes/001-b/project.json", "volumes/001-b/ink.000000.journal"),
)
TRAINERS = (
    *("proposals/semsim/proposal.json", "proposals/semsim/classes.000012.npy"),
    *("proposals/semsim/regions.000012.npy", "proposals/semsim/confidence.000012.npy"),
    *("models/model.json", "models/model-000001.safetensors", "shared/model.json"),
    *("volumes/001-b/proposals/semsim/proposal.json", "volumes/001-b/models/model.json"),
)
NOBODYS = (
    *("kept/prediction.safetensors", "volumes/001-b/kept/x", "log/trainer.log", "open.lock"),
    *("project.json.part", ".used", "", ".", "..", "../outside", "models/../ink.000000.npy"),
    *("/etc/passwd", "models/a\\b", "c:/x", "proposals/../project.json", "models/..", "a/./b/../c"),
)


@pytest.mark.parametrize("name", USERS)
def test_what_the_user_made_goes_over_and_never_comes_back(name):
    assert goes_over(name)
    assert not comes_back(name)


@pytest.mark.parametrize("name", TRAINERS)
def test_what_the_trainer_makes_goes_both_ways(name):
    assert goes_over(name)
    assert comes_back(name)


@pytest.mark.parametrize("name", NOBODYS)
def test_all_else_stays_where_it_is(name):
    assert not goes_over(name)
    assert not comes_back(name)


def test_a_project_is_listed_without_what_stays(tmp_path):
    for name in (*USERS, *TRAINERS, "kept/x", "volumes/001-b/log/y", "open.lock", "a.part"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    assert listing(tmp_path).keys() == {*USERS, *TRAINERS}
    assert listing(tmp_path)["image.npy"][0] == len("image.npy")


def test_heads_come_after_what_they_name():
    assert in_order(["p/proposal.json", "p/regions.1.npy", "p/classes.1.npy"]) == [
        "p/classes.1.npy",
        "p/regions.1.npy",
        "p/proposal.json",
    ]


def test_a_file_arrives_with_its_time(tmp_path):
    source = tmp_path / "a"
    source.write_bytes(os.urandom(3_000_000))
    os.utime(source, ns=(1, 1_700_000_000_123_456_789))
    sent = io.BytesIO()
    with open(source, "rb") as file:
        copy_out(file, 3_000_000, sent)
    sent.seek(0)
    write_whole(tmp_path / "other", "sub/b", sent, stamp_of(source))
    arrived = tmp_path / "other" / "sub" / "b"
    assert arrived.read_bytes() == source.read_bytes()
    assert stamp_of(arrived) == stamp_of(source)


def test_a_broken_connection_leaves_the_file_as_it_was(tmp_path):
    (tmp_path / "a").write_text("before")
    with pytest.raises(EOFError):
        write_whole(tmp_path, "a", io.BytesIO(b"half"), (8, 0))
    assert (tmp_path / "a").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_does_not_fit_on_the_disk_is_read_all_the_same(tmp_path, files_end_at):
    rest = io.BytesIO(bytes(3_000_000) + b"next")
    with files_end_at(1_000_000), pytest.raises(OSError, match="too large"):
        write_whole(tmp_path, "a", rest, (3_000_000, 0))
    assert rest.read() == b"next"
    assert not list(tmp_path.iterdir())


def test_a_file_that_has_become_shorter_is_filled_up(tmp_path):
    sent = io.BytesIO()
    copy_out(io.BytesIO(b"abc"), 5, sent)
    assert sent.getvalue() == b"abc\0\0"
