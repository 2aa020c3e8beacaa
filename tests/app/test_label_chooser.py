"""What is asked about labels before they come in: which classes they are, along which axis."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

from napari_sslseg.formats import export
from napari_sslseg.formats.provenance import ImageIdentity, Provenance
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import SHAPE
from .label_files import answer, choose, save, three_labels

pytestmark = pytest.mark.usefixtures("without_window")


def test_a_label_that_is_no_class_is_asked_about_and_becomes_one(
    started, monkeypatch, until, tmp_path
):
    _, panel = started
    widget, labels = panel.volume.label_import, panel.truth.copy()
    labels[3, :5, :5] = 7
    choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", labels), 0, until)
    text = widget.chooser.text.text()
    assert text == ("a.nii.gz has label 7, which is no class yet. Which class is each of them?")
    assert not widget.button.isEnabled()
    answer(widget.chooser, until, widget)
    assert panel.session.classes.ids == (1, 7)
    assert panel.volume.classes.list.item(1).text() == "Class 7"
    assert (panel.session.references.ink[3, :5, :5] == 7).all()
    assert widget.button.isEnabled()
    assert widget.chooser is None


def test_the_class_that_nobody_used_goes_and_what_came_is_in_view(
    started, monkeypatch, until, tmp_path
):
    _, panel = started
    session, widget = panel.session, panel.volume.label_import
    session.go_to(6)
    choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", three_labels(panel.truth)), 0, until)
    answer(widget.chooser, until, widget, _1="New class", _2="New class", _3="New class")
    until(lambda: len(session.classes) == 3)
    assert session.classes.ids == (2, 3, 4)
    assert session.class_editing.current() == 2
    assert session.references.current_slice() == 7
    assert panel.train.train.isEnabled()


@pytest.mark.parametrize("own", [False, True])
def test_the_class_that_nobody_used_goes_before_a_proposal_comes(
    started, monkeypatch, until, all_read, tmp_path, own
):
    _, panel = started
    session, widget = panel.session, panel.volume.label_import
    choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", three_labels(panel.truth)), 1, until)
    first = "Structure" if own else "New class"
    answer(widget.chooser, until, widget, _1=first, _2="New class", _3="New class")
    until(lambda: "imported" in session.proposals)
    all_read()
    assert session.classes.ids == ((1, 2, 3) if own else (2, 3, 4))
    assert set(np.unique(session.proposals["imported"].layer.data)) == {0, *session.classes.ids}


def test_the_first_class_stays_where_it_was_painted(
    started, monkeypatch, until, all_read, paint, tmp_path
):
    _, panel = started
    session, widget = panel.session, panel.volume.label_import
    paint(session.references.layer, 6, np.eye(*SHAPE[1:], dtype=bool), 1)
    choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", three_labels(panel.truth)), 0, until)
    answer(widget.chooser, until, widget, _1="New class", _2="New class", _3="New class")
    all_read()
    assert session.classes.ids == (1, 2, 3, 4)
    assert panel.volume.classes.list.item(0).text() == "Structure"


def test_a_single_label_that_is_no_class_is_asked_about_in_one_sentence(
    started, monkeypatch, until, tmp_path
):
    _, panel = started
    widget, labels = panel.volume.label_import, 2 * panel.truth
    choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", labels), 0, until)
    assert widget.chooser.text.text() == (
        "a.nii.gz has label 2, which is no class yet. Add it as a new class?"
    )
    answer(widget.chooser, until, widget, _2=panel.session.classes[1].name)  # it is that one
    assert panel.session.classes.ids == (1,)
    assert np.array_equal(panel.session.references.ink == 1, panel.truth == 1)


def test_labels_told_by_number_are_asked_about_and_can_be_exchanged_or_left_out(
    started, monkeypatch, until, tmp_path
):
    _, panel = started
    session, widget = panel.session, panel.volume.label_import
    session.edit_class(1, name="LV")
    session.add_class("Myo")
    session.add_class("RV")
    labels = three_labels(panel.truth)
    path = save(tmp_path / "a.nii.gz", labels)
    choose(monkeypatch, panel, path, 0, until)
    assert [box.currentText() for box in widget.chooser.boxes.values()] == ["LV", "Myo", "RV"]
    widget.chooser.reject()
    until(widget.button.isEnabled)
    assert (session.references.ink == 255).all()
    assert widget.hint.text() == ""
    choose(monkeypatch, panel, path, 0, until)
    answer(widget.chooser, until, widget, _1="RV", _3="LV", _2="Leave out (background)")
    assert session.classes.ids == (1, 2, 3)
    expected = np.choose(labels, (0, 3, 0, 1))
    assert np.array_equal(session.references.ink[2], expected[2])
    assert session.references.references() == [2, 7]
    assert "2 slices (2, 7)" in widget.hint.text()
    session.history.undo()
    assert (session.references.ink == 255).all()


def test_a_new_class_never_takes_the_place_of_another(started, monkeypatch, until, tmp_path):
    _, panel = started
    session, widget = panel.session, panel.volume.label_import
    session.add_class("Myo")
    session.remove_class(session.add_class("Gone").id)  # other volumes may hold voxels of it
    until(lambda: session.classes.removed_ids == (3,))
    labels = three_labels(panel.truth)
    choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", labels), 1, until)
    answer(widget.chooser, until, widget, _1="Myo", _2="New class")
    until(lambda: "imported" in session.proposals)
    assert session.classes.ids == (1, 2, 4, 5)
    expected = np.choose(labels, (0, 2, 4, 5))
    assert np.array_equal(session.proposals["imported"].layer.data, expected)


def test_what_was_exported_here_comes_back_by_the_names_of_its_classes(
    started, monkeypatch, until, tmp_path
):
    _, panel = started
    session, widget = panel.session, panel.volume.label_import
    labels = three_labels(panel.truth)
    names = ClassTable(SegmentClass(i, n, "#112233") for i, n in ((1, "RV"), (2, "Myo"), (3, "LV")))
    volume = Volume(labels, Geometry.from_spacing((2.0, 1.0, 1.0), SHAPE))
    record = Provenance(ImageIdentity.of(volume.geometry))
    export(tmp_path / "a.nii.gz", labels, volume, names, provenance=record)
    session.edit_class(1, name="LV")
    session.add_class("Myo")
    session.add_class("rv")
    hint = choose(monkeypatch, panel, tmp_path / "a.nii.gz", 0, until)
    assert widget.chooser is None
    assert "matched by their names" in hint.text()
    assert np.array_equal(session.references.ink[2], np.choose(labels, (0, 3, 2, 1))[2])


@pytest.mark.parametrize("stated_by_file", [False, True])
def test_labels_on_slices_along_another_axis_turn_the_slices_when_agreed(
    started, monkeypatch, until, tmp_path, stated_by_file
):
    _, panel = started
    session, widget = panel.session, panel.volume.label_import
    labels = np.full(SHAPE, 255 if stated_by_file else 0, np.uint8)
    for row in (16, 22):
        labels[:, row] = panel.truth[:, row]
    path = save(tmp_path / "a.nii.gz", labels)
    choose(monkeypatch, panel, path, 0, until)
    assert widget.chooser.turn.isChecked()
    assert "2 slices (16, 22)" in " ".join(
        label.text() for label in widget.chooser.findChildren(QLabel)
    )
    answer(widget.chooser, until, widget)
    assert session.project.axis == 1
    assert panel.volume.axis.currentData() == 1
    assert session.references.references() == [16, 22]


def test_whole_slices_along_the_axis_in_use_ask_for_no_other(started, monkeypatch, until, tmp_path):
    _, panel = started
    labels = np.full(SHAPE, 255, np.uint8)
    labels[4], labels[:, 20] = panel.truth[4], panel.truth[:, 20]
    choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", labels), 0, until)
    assert panel.volume.label_import.chooser is None
    assert panel.session.references.references() == [4]


def test_a_question_about_labels_goes_with_its_session(started, monkeypatch, until, tmp_path):
    _, panel = started
    widget = panel.volume.label_import
    choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", 2 * panel.truth), 0, until)
    assert widget.chooser is not None
    panel.close_session()
    assert widget.chooser is None
