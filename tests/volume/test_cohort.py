"""Several volumes in one project folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort, VolumeSummary, told_apart
from napari_sslseg.volume.folders import list_projects
from napari_sslseg.volume.project import (
    AcceptedSlice,
    ImageInfo,
    Project,
    ProjectError,
)
from napari_sslseg.volume.proposal import Proposal

SHAPE = (4, 6, 5)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, SHAPE).astype(np.uint8)


def info(name: str, **options) -> ImageInfo:
    return ImageInfo(name, SHAPE, (2.0, 1.0, 1.0), **options)


@pytest.fixture
def cohort(tmp_path):
    table = ClassTable.from_ids([1, 2])
    Project.create(tmp_path / "p", image(0), info("first"), table, 0)
    made = Cohort(tmp_path / "p")
    made.add(image(1), info("second/one"), 0)
    made.add(image(2), info("third"), 0)
    return made


def ink_slice(project: Project, index: int, value: int) -> None:
    ink = project.ink_store.load()
    ink[index] = 0
    ink[index, 2, 2] = value
    project.ink_store.save(ink)


def test_a_project_of_one_volume_is_a_cohort_of_one_and_nothing_is_written(tmp_path):
    Project.create(tmp_path / "p", image(0), info("alone"), ClassTable.from_ids([1]), 0)
    before = sorted(p.name for p in (tmp_path / "p").rglob("*"))
    cohort = Cohort(tmp_path / "p")
    cohort.show("")
    assert cohort.keys == [""]
    assert cohort.shown == ""
    assert sorted(p.name for p in (tmp_path / "p").rglob("*")) == before


def test_volumes_keep_their_order_and_know_their_project(cohort, tmp_path):
    assert cohort.keys == ["", "001-second-one", "002-third"]
    assert Cohort(cohort.folder("002-third")).path == cohort.path
    assert cohort.key_of(cohort.folder("002-third")) == "002-third"
    cohort.show("002-third")
    assert Cohort(cohort.path).shown == "002-third"
    (cohort.path / "volumes" / "shown").unlink()
    (cohort.path / "volumes" / "shown").mkdir()
    cohort.show("002-third")  # where that cannot be written nobody misses it
    assert cohort.shown == ""
    (path, name, _), *others = list_projects(tmp_path)
    assert (path, name, others) == (cohort.path, "first and 2 more", [])


def test_the_class_table_is_that_of_the_first_volume(cohort):
    table = cohort.open("").classes
    table.rename(2, "Lesion")
    cohort.save_classes(table)
    assert cohort.open("001-second-one").classes.name(2) == "Lesion"
    (cohort.path / "project.json").write_text("{", encoding="utf-8")
    assert cohort.open("001-second-one").classes.ids == (1, 2)  # what it remembers itself
    cohort.save_classes(table)  # which is no reason to fail


def test_a_summary_tells_references_proposals_and_what_was_accepted(cohort):
    assert cohort.summary("002-third").state == "no labels"
    project = cohort.open("002-third")
    ink_slice(project, 1, 2)
    found = cohort.summary("002-third")
    assert (found.references, found.depth, found.painted) == (1, 4, frozenset({2}))
    assert found.state == "labelled"
    blank = np.zeros(SHAPE, np.uint8)
    project.write_proposal(Proposal("SemSim", blank, blank, blank))
    assert cohort.summary("002-third").state == "proposed"
    project.accepted = [AcceptedSlice(0, 1, "semsim", 1), AcceptedSlice(0, 3, "semsim", 1)]
    project.save()
    assert cohort.summary("002-third").state == "accepted 1 of 4"
    (cohort.folder("002-third") / "image.npy").unlink()
    found = cohort.summary("002-third")
    assert (found.name, found.state) == ("third", "damaged")
    (cohort.folder("001-second-one") / "project.json").write_text("{", encoding="utf-8")
    assert cohort.summary("001-second-one").state == "damaged"


def test_what_does_not_fit_or_is_there_already_is_refused_and_leaves_nothing(cohort):
    with pytest.raises(ProjectError, match="2 channels"):
        cohort.add(np.zeros((*SHAPE, 2), np.uint8), info("two", channels=2), 0)
    with pytest.raises(ProjectError, match="same voxels as “first”"):
        cohort.add(image(0), info("again"), 0)
    assert len(list((cohort.path / "volumes").iterdir())) == 2


@pytest.mark.parametrize("error", [ProjectError, ValueError, MemoryError])
def test_a_volume_that_cannot_be_read_to_its_end_leaves_nothing(cohort, monkeypatch, error):
    def cut_short(array):
        yield array[:1]
        raise error

    monkeypatch.setattr("napari_sslseg.volume.array_files.pieces", cut_short)
    with pytest.raises(error):
        cohort.add(image(3), info("fourth"), 0)
    assert len(list((cohort.path / "volumes").iterdir())) == 2


def test_only_volumes_without_ink_can_be_removed(cohort):
    ink_slice(cohort.open("002-third"), 1, 1)
    with pytest.raises(ProjectError, match="has labels"):
        cohort.remove("002-third")
    with pytest.raises(ProjectError, match="first volume"):
        cohort.remove("")
    cohort.remove("001-second-one")
    assert cohort.keys == ["", "002-third"]


def test_training_goes_on_from_its_own_model_or_one_that_has_not_seen_the_labels(cohort):
    def put(folder, **head):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.json").write_text(json.dumps(head), encoding="utf-8")

    own = cohort.folder("002-third") / "models"
    assert cohort.models_for("002-third") == own
    put(cohort.shared, seen=["", "002-third"])
    assert cohort.models_for("002-third") == own  # the shared one knows its references
    for nonsense in ("[]", '{"seen": 3}', "{", "{}"):
        (cohort.shared / "model.json").write_text(nonsense, encoding="utf-8")
        assert cohort.models_for("002-third") == own
    put(cohort.shared, seen=["", "002-third"])
    assert cohort.models_for("001-second-one") == cohort.shared
    put(cohort.path / "models", seen=[""])
    assert cohort.models_for("002-third") == cohort.path / "models"
    put(own, seen=["002-third"])
    assert cohort.models_for("002-third") == own


def test_volumes_of_one_name_are_told_apart_by_their_folders():
    def names(*pairs: tuple[str, str]) -> list[str]:
        found = told_apart([VolumeSummary(str(i), *pair) for i, pair in enumerate(pairs)])
        assert [s.key for s in found] == [str(i) for i in range(len(pairs))]
        return [s.name for s in found]

    assert names(("a", "/x/a.nii"), ("b", "/x/b.nii")) == ["a", "b"]
    same = ("image", "/d/p3/image.nii"), ("image", "/d/p4/image.nii"), ("t2", "/d/p4/t2.nii")
    assert names(*same) == ["p3/image", "p4/image", "t2"]
    deeper = ("image", "/p3/mr/image.nii"), ("image", "/p4/mr/image.nii")
    assert names(*deeper) == ["p3/mr/image", "p4/mr/image"]
    # Without a file, or from the same one, there is nothing else to say.
    assert names(("image", ""), ("image", ""), ("image", "/d/image.nii")) == [
        "image",
        "image (2)",
        "d/image",
    ]
    assert names(*[("image", "/d/a.mha")] * 2) == ["//d/image", "//d/image (2)"]
    assert names() == []
