"""The project folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sslseg.formats.errors import FormatError
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.extent import Extent
from napari_sslseg.volume.folders import list_projects
from napari_sslseg.volume.project import (
    AcceptedSlice,
    ImageInfo,
    Project,
    ProjectError,
)
from napari_sslseg.volume.proposal import Proposal

SHAPE = (4, 6, 5)


@pytest.fixture
def project(tmp_path):
    image = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
    info = ImageInfo("scan", SHAPE, (2.0, 1.0, 1.0), layer={"scale": [2, 1, 1]})
    return Project.create(tmp_path / "p", image, info, ClassTable.from_ids([1, 2]), 0)


def a_proposal(value: int) -> Proposal:
    full = np.full(SHAPE, value, dtype=np.uint8)
    return Proposal("Reference-guided", full, full, full, {"round": value})


def test_everything_comes_back(project):
    project.accepted.append(AcceptedSlice(0, 2, "semsim", 1))
    project.rounds.append({"preset": "auto"})
    project.classes.rename(2, "Edema")
    project.axis = 1
    project.save()
    again = Project.open(project.path)
    assert again.info == project.info
    assert again.classes == project.classes
    assert (again.axis, again.accepted, again.rounds) == (1, project.accepted, project.rounds)
    assert np.array_equal(again.image(), project.image())


def test_where_the_object_lies_is_kept_for_each_axis(project):
    project.extent = Extent(1, 2)
    project.axis = 2
    assert not project.extent
    project.extent = Extent(None, 3)
    project.save()
    again = Project.open(project.path)
    assert again.extents == {0: Extent(1, 2), 2: Extent(None, 3)}
    assert again.extent == Extent(None, 3)
    again.extent = Extent()
    again.save()
    head = json.loads((project.path / "project.json").read_text())
    assert head["extents"] == {"0": [1, 2]}
    del head["extents"]  # of a project from before there were any
    (project.path / "project.json").write_text(json.dumps(head))
    assert not Project.open(project.path).extent
    with pytest.raises(ValueError, match=r"^There is no slice 5: .* from 0 to 4\.$"):
        project.extent = Extent(5)


@pytest.mark.parametrize("said", [[3, 1], [0, 9], ["a", 1], [1], 7, {"3": [0, 1]}])
def test_an_extent_that_cannot_be_is_said_in_one_sentence(project, said):
    head = json.loads((project.path / "project.json").read_text())
    head["extents"] = said if isinstance(said, dict) else {"0": said}
    (project.path / "project.json").write_text(json.dumps(head))
    with pytest.raises(ProjectError, match=r"project\.json is damaged"):
        Project.open(project.path)


def test_a_project_is_never_overwritten(project):
    with pytest.raises(ProjectError, match="already holds"):
        Project.create(project.path, np.zeros(SHAPE), project.info, project.classes, 0)


class Undecodable:
    """A lazy image whose last slice is damaged."""

    shape, dtype = SHAPE, np.dtype(np.int16)

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getitem__(self, where: slice) -> np.ndarray:
        if where.stop >= SHAPE[0]:
            raise self.error
        return np.zeros((where.stop - where.start, *SHAPE[1:]), self.dtype)


@pytest.fixture
def slice_by_slice(monkeypatch):
    monkeypatch.setattr("napari_sslseg.volume.array_files._PIECE", 1)


@pytest.mark.parametrize("error", [FormatError("cut short"), ValueError(), KeyboardInterrupt()])
def test_a_project_whose_image_cannot_be_decoded_leaves_nothing(tmp_path, slice_by_slice, error):
    info = ImageInfo("scan", SHAPE, (1.0, 1.0, 1.0))
    with pytest.raises(type(error)):
        Project.create(tmp_path / "q", Undecodable(error), info, ClassTable(), 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [150, 400])  # within the image; within project.json
def test_a_project_on_a_full_disk_leaves_nothing(tmp_path, files_end_at, limit):
    info = ImageInfo("scan", SHAPE, (1.0, 1.0, 1.0))
    image = np.zeros(SHAPE, np.uint8)
    with files_end_at(limit), pytest.raises(ProjectError, match="cannot be written"):
        Project.create(tmp_path / "q", image, info, ClassTable(), 0)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_is_left_with_all_that_was_in_it(tmp_path, files_end_at):
    (tmp_path / "notes.txt").write_text("mine")
    info = ImageInfo("scan", SHAPE, (1.0, 1.0, 1.0))
    image = np.zeros(SHAPE, np.uint8)
    with files_end_at(400), pytest.raises(ProjectError):
        Project.create(tmp_path, image, info, ClassTable(), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_image_of_another_shape_is_refused(tmp_path):
    info = ImageInfo("scan", SHAPE, (1.0, 1.0, 1.0))
    with pytest.raises(ProjectError, match="expected"):
        Project.create(tmp_path / "q", np.zeros((1, 2, 3)), info, ClassTable(), 0)


def test_what_is_no_project_is_said_in_one_sentence(tmp_path, project):
    with pytest.raises(ProjectError, match="not a napari-sslseg project"):
        Project.open(tmp_path)
    head = project.path / "project.json"
    data = json.loads(head.read_text())
    head.write_text(json.dumps({**data, "format": 99}))
    with pytest.raises(ProjectError, match="newer version"):
        Project.open(project.path)
    head.write_text(head.read_text()[:50])
    with pytest.raises(ProjectError, match="damaged"):
        Project.open(project.path)


def test_proposals_are_versioned_and_old_arrays_go(project):
    for value in (1, 2, 3, 4):
        assert project.write_proposal(a_proposal(value)) == value
    again = project.read_proposal("reference-guided")
    assert int(again.classes[0, 0, 0]) == 4
    assert again.info == {"round": 4}
    kept = sorted((project.path / "proposals" / "reference-guided").glob("classes.*"))
    assert len(kept) == 2


def test_a_proposal_cut_short_leaves_the_one_before(project):
    project.write_proposal(a_proposal(1))
    folder = project.path / "proposals" / "reference-guided"
    (folder / "classes.000002.npy.part").write_bytes(b"half")
    assert int(project.read_proposal("reference-guided").classes[0, 0, 0]) == 1


def test_a_missing_proposal_is_said(project):
    with pytest.raises(ProjectError, match="no proposal"):
        project.read_proposal("semsim")


def test_corrections_count_as_ink_and_have_the_last_word(project):
    ink = project.ink_store.load()
    ink[0] = 1
    project.ink_store.save(ink)
    project.write_proposal(a_proposal(0))
    store = project.correction_store("reference-guided")
    changed = store.load()
    changed[0, 0, 0] = 2
    changed[3, 0, 0] = 2
    store.save(changed)
    merged = project.all_ink()
    assert merged[0, 0, 0] == 2
    assert (merged[0].ravel()[1:] == 1).all()
    assert merged[3, 0, 0] == 2
    stored = project.stored_ink()
    assert all(np.array_equal(stored[z], merged[z]) for z in (0, 3))
    assert merged[2, 0, 0] == NOT_ANNOTATED


def test_the_same_corrections_have_one_store_and_so_one_lock(project):
    snapshot = project.snapshot()
    store = snapshot.correction_store("semsim")
    assert project.correction_store("semsim") is store
    assert project.correction_store("reference-guided") is not store
    assert snapshot.ink_store is project.ink_store
    assert Project.open(project.path).correction_store("semsim") is not store


def test_an_image_that_is_empty_or_missing_is_named_in_plain_words(project):
    file = project.path / "image.npy"
    file.write_bytes(b"")
    with pytest.raises(ProjectError, match=r"image\.npy is damaged"):
        project.image()
    file.unlink()
    with pytest.raises(ProjectError, match=r"image\.npy is missing: .* from a backup\.$") as caught:
        project.image()
    assert "Errno" not in str(caught.value)


def test_an_image_of_another_shape_is_told_and_so_is_an_axis_that_is_none(project):
    np.save(project.path / "image.npy", np.zeros((1, 2, 3)))
    with pytest.raises(ProjectError, match=r"image\.npy is .*of another project"):
        project.image()
    project.axis = 3
    project.save()
    with pytest.raises(ProjectError, match=r"project\.json is damaged"):
        Project.open(project.path)
    with pytest.raises(ProjectError, match="is not a napari-sslseg project"):
        Project.open(project.path / "image.npy")


def test_projects_are_listed_newest_first(project, tmp_path):
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "project.json").write_text("[]")
    (tmp_path / "other").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "project.json").write_text("{")
    found = list_projects(tmp_path)
    assert [(path, name) for path, name, _ in found] == [(project.path, "scan")]


def test_a_snapshot_does_not_follow_later_changes(project):
    project.rounds.append({"preset": "auto"})
    snapshot = project.snapshot()
    project.rounds[0]["preset"] = "other"
    project.classes.add("Later")
    snapshot.save()
    again = Project.open(project.path)
    assert again.rounds == [{"preset": "auto"}]
    assert again.classes.ids == (1, 2)
