"""An estimate keeps the names at its training: they are read by the classes as they are now."""

from __future__ import annotations

import pytest

from napari_sslseg.app.estimated_classes import carry_names, estimated_classes, remember_names
from napari_sslseg.training.events import Estimated
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project


def estimate(**dice: float) -> Estimated:
    mean = sum(dice.values()) / len(dice)
    return Estimated("semsim", dice, mean, mean - 0.1, 1.0, "Measured.", dict.fromkeys(dice, 0.05))


@pytest.fixture
def project(tmp_path):
    """Give a project with the classes A and B, never written to the disk."""
    table = ClassTable.from_ids([1, 2])
    table.rename(1, "A")
    table.rename(2, "B")
    return Project(tmp_path, ImageInfo("image", (2, 2, 2), (1, 1, 1)), table, 0)


def rename(project: Project, **names: str) -> None:
    for old, new in names.items():
        remember_names(project)
        class_id = next(item.id for item in project.classes if item.name == old)
        project.classes.rename(class_id, new)


def read(given: Estimated, project: Project) -> list[tuple[int | None, str, float]]:
    return [(row.id, row.name, row.dice) for row in estimated_classes(given, project)]


def test_the_names_are_those_of_now(project):
    given = estimate(A=0.9, B=0.7)
    rename(project, A="Liver")
    assert read(given, project) == [(1, "Liver", 0.9), (2, "B", 0.7)]
    # One that comes from a training that began before a name was changed, too.
    rename(project, B="Tumour", Liver="Organ")
    assert read(estimate(Liver=0.8, B=0.6), project) == [(1, "Organ", 0.8), (2, "Tumour", 0.6)]
    assert read(estimate(Organ=0.8, Tumour=0.6), project)[0] == (1, "Organ", 0.8)


def test_classes_of_one_name_are_told_apart(project):
    rename(project, B="A")
    given = Estimated("semsim", {"A (1)": 0.9, "A (2)": 0.7}, 0.8, 0.7, 0.9, "Measured.")
    assert read(given, project) == [(1, "A (1)", 0.9), (2, "A (2)", 0.7)]
    assert read(estimate(A=0.9, B=0.7), project) == [(1, "A (1)", 0.9), (2, "A (2)", 0.7)]


def test_names_that_were_exchanged_are_left_out_as_nobody_knows(project):
    given = estimate(A=0.9, B=0.7)
    rename(project, A="C", B="A", C="B")
    assert read(given, project) == []
    assert read(estimate(A=0.9, C=0.7), project) == [(2, "A", 0.9), (1, "B", 0.7)]


def test_a_class_that_was_removed_keeps_its_name(project):
    given = estimate(A=0.9, B=0.7)
    remember_names(project)
    project.classes.remove(2)
    assert read(given, project) == [(1, "A", 0.9), (2, "B", 0.7)]
    assert read(estimate(X=0.5), project) == [(None, "X", 0.5)]


def test_another_volume_learns_the_names_once(project, tmp_path):
    other = Project(tmp_path, project.info, project.classes, 0)
    rename(project, A="Liver")
    for _ in range(2):
        carry_names(project, other)
    assert len(other.settings["former_class_names"]) == 1
    assert read(estimate(A=0.9), other) == [(1, "Liver", 0.9)]


def test_the_panel_shows_the_estimate_of_a_renamed_class(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    name = session.classes.name(1)
    session.retraining.follow(estimate(**{name: 0.9}))
    panel.review.measure.open()
    table = panel.review.measure.table
    assert table.item(0, 1).text() == "0.90 ± 0.05"
    session.edit_class(1, name="Liver")
    assert (table.item(0, 0).text(), table.item(0, 1).text()) == ("Liver", "0.90 ± 0.05")
    assert "Liver 0.90" in panel.review.quality.text()
    assert name not in panel.review.quality.text()
    # In a later session, too.
    session.project.proposals.write_estimate("semsim", {**vars(estimate(**{name: 0.9}))})
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None and "semsim" in panel.session.proposals)
    until(lambda: "Liver 0.90" in panel.review.quality.text())
