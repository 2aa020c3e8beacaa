"""An estimate keeps the names at its training: they are read by the classes as they are now."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from napari_sslseg.app.estimated_classes import estimate_record, estimated_classes
from napari_sslseg.training.events import Estimated
from napari_sslseg.training.facts import Basis, Witness
from napari_sslseg.volume.classes import ClassTable

pytestmark = pytest.mark.usefixtures("without_window")


def estimate(ids: dict[str, int] | None = None, **dice: float) -> Estimated:
    mean = sum(dice.values()) / len(dice)
    spread = dict.fromkeys(dice, 0.05)
    return Estimated(
        "semsim", dice, mean, mean - 0.1, 1.0, Basis(Witness.LEFT_OUT, 2), spread, ids=ids or {}
    )


@pytest.fixture
def classes():
    table = ClassTable.from_ids([1, 2])
    table.rename(1, "A")
    table.rename(2, "B")
    return table


def read(given: Estimated, classes: ClassTable) -> list[tuple[int | None, str, float]]:
    return [(row.id, row.name, row.dice) for row in estimated_classes(given, classes)]


def test_the_names_are_those_of_now_even_where_they_were_exchanged(classes):
    given = estimate({"A": 1, "B": 2}, A=0.9, B=0.7)
    classes.rename(1, "Liver")
    assert read(given, classes) == [(1, "Liver", 0.9), (2, "B", 0.7)]
    classes.rename(2, "A")
    classes.rename(1, "B")
    assert read(given, classes) == [(1, "B", 0.9), (2, "A", 0.7)]


def test_classes_of_one_name_are_told_apart(classes):
    given = estimate({"A": 1, "B": 2}, A=0.9, B=0.7)
    classes.rename(2, "A")
    assert read(given, classes) == [(1, "A (1)", 0.9), (2, "A (2)", 0.7)]


def test_a_class_that_was_removed_keeps_its_name(classes):
    given = estimate({"A": 1, "B": 2}, A=0.9, B=0.7)
    classes.remove(2)
    assert read(given, classes) == [(1, "A", 0.9), (2, "B", 0.7)]


def test_an_estimate_without_ids_tells_the_names_only(classes):
    assert read(estimate(A=0.9), classes) == [(None, "A", 0.9)]


def test_a_record_has_the_names_of_now(classes):
    given = estimate({"A": 1, "B": 2}, A=0.9, B=0.7)
    classes.rename(1, "Liver")
    record = estimate_record(given, classes)
    assert record["dice"] == {"Liver": 0.9, "B": 0.7}
    assert record["spread"] == {"Liver": 0.05, "B": 0.05}
    assert record["ids"] == {"Liver": 1, "B": 2}
    assert set(record) == {*asdict(given), "how"}
    assert record["how"] == "By 2 references left out in turn."


def test_no_class_is_lost_from_a_record_where_a_removed_one_had_the_name_of_another(classes):
    given = estimate({"A": 1, "B": 2}, A=0.9, B=0.7)
    classes.remove(2)
    classes.rename(1, "B")
    assert estimate_record(given, classes)["dice"] == {"B (1)": 0.9, "B (2)": 0.7}


def test_the_panel_shows_the_estimate_of_a_renamed_class(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    name = session.classes.name(1)
    given = estimate({name: 1}, **{name: 0.9})
    session.retraining.follow(given)
    panel.review.measure.open()
    table = panel.review.measure.table
    assert table.item(0, 1).text() == "0.90 ± 0.05"
    session.edit_class(1, name="Liver")
    assert (table.item(0, 0).text(), table.item(0, 1).text()) == ("Liver", "0.90 ± 0.05")
    assert "Liver 0.90" in panel.review.quality.text()
    assert name not in panel.review.quality.text()
    # In a later session, too.
    session.project.proposals.write_estimate("semsim", asdict(given))
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None and "semsim" in panel.session.proposals)
    until(lambda: "Liver 0.90" in panel.review.quality.text())
