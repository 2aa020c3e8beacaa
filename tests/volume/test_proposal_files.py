"""Versions of proposals on disk: what is kept, for whom, and what is known of each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sslseg.volume.proposal_files import ProposalFiles
from napari_sslseg.volume.user_error import ProjectError

SHAPE = (3, 4, 5)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "project.json").write_text("{}")
    return ProposalFiles(tmp_path / "p" / "proposals", SHAPE)


def write(files: ProposalFiles, value: int, shown: int | None = None, **info: object) -> int:
    slabs = ([np.full(SHAPE[1:], value, np.uint8)] * 3 for _ in range(SHAPE[0]))
    return files.write("SemSim", SHAPE, slabs, lambda: {"value": value, **info}, shown)


def kept(files: ProposalFiles) -> list[int]:
    return sorted(int(p.stem[-6:]) for p in files.folder.glob("semsim/classes.*.npy"))


def test_the_version_that_is_shown_outlives_newer_ones_with_all_that_is_known_of_it(files):
    assert files.read("semsim") is None
    assert write(files, 1) == 1
    files.write_estimate("semsim", {"mean": 0.9})
    for value in (2, 3, 4):
        write(files, value, shown=1)
    assert kept(files) == [1, 3, 4]
    old, new = files.read("semsim", 1), files.read("semsim")
    assert (old.classes == 1).all()
    assert old.info == {"value": 1, "estimate": {"mean": 0.9}}
    assert (new.classes == 4).all()
    assert new.info == {"value": 4}
    assert files.info("semsim", 2) is None
    assert files.read("semsim", 2) is None
    write(files, 5, shown=4)
    assert kept(files) == [4, 5]
    assert files.info("semsim", 1) is None


def test_arrays_are_on_the_disk_before_the_head_that_names_them(files, replaced):
    write(files, 1)
    arrays = [f"{array}.000001.npy" for array in ("classes", "regions", "confidence")]
    assert replaced == [*((array, True) for array in arrays), ("proposal.json", True)]


def test_a_version_that_fails_leaves_the_one_before_and_nothing_else(files):
    write(files, 1)
    before = sorted(path.name for path in files.folder.rglob("*"))

    def slabs():
        yield [np.zeros(SHAPE[1:], np.uint8)] * 3
        raise MemoryError

    with pytest.raises(MemoryError):
        files.write("SemSim", SHAPE, slabs(), dict)
    assert sorted(path.name for path in files.folder.rglob("*")) == before
    assert (files.read("semsim").classes == 1).all()


def test_a_head_of_before_versions_were_kept_is_read_and_gone_on_with(files):
    write(files, 1)
    head = files.folder / "semsim" / "proposal.json"
    old = json.loads(head.read_text())
    del old["kept"]
    head.write_text(json.dumps(old))
    assert files.read("semsim").info == {"value": 1}
    assert write(files, 2, shown=1) == 2
    assert files.info("semsim", 1) == {"value": 1}


@pytest.mark.parametrize("changed", [{"version": None}, {"info": 3}, {"kept": []}, {"name": 1}])
def test_a_head_that_says_nonsense_is_none_like_one_that_is_damaged(files, changed):
    write(files, 1)
    head = files.folder / "semsim" / "proposal.json"
    for text in (json.dumps(json.loads(head.read_text()) | changed), "[]", "{}", "{"):
        head.write_text(text)
        assert files.version("semsim") == 0
        assert files.info("semsim") is files.info("semsim", 1) is files.read("semsim") is None
    assert write(files, 2) == 1


def test_arrays_and_what_is_said_of_them_are_of_one_version(files, monkeypatch):
    write(files, 1)
    head, looks = files._head, []

    def published_meanwhile(slug):
        found = head(slug)
        if not looks:
            looks.append(slug)
            write(files, 2, shown=1)
        return found

    monkeypatch.setattr(files, "_head", published_meanwhile)
    found = files.read("semsim")
    assert (found.classes == 1).all()
    assert found.info == {"value": 1}


@pytest.mark.parametrize("left", [[], ["proposals"]])
def test_a_project_folder_that_was_moved_is_not_made_anew(files, left):
    write(files, 1)
    project = files.folder.parent
    project.rename(project.with_name("moved"))
    for name in left:  # a ghost of earlier
        (project / name).mkdir(parents=True)
    before = list(project.rglob("*"))
    with pytest.raises(ProjectError, match="is no longer there") as caught:
        write(files, 2)
    assert str(project) in str(caught.value)
    assert list(project.rglob("*")) == before
    assert project.exists() == bool(left)
