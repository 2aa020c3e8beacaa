"""Labels made elsewhere come into a session, and never over what the user painted."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog, QLabel, QMessageBox

from napari_sslseg.app.cursor_facts import facts_at
from napari_sslseg.app.label_importing import stated
from napari_sslseg.formats import export, write_labels
from napari_sslseg.formats.provenance import ImageIdentity, Provenance
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import SHAPE

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def answers(monkeypatch):
    """Answer questions with yes, or with what the test says; keep what was asked."""
    asked = []
    asked_answer = {"is": QMessageBox.StandardButton.Yes}

    def question(parent, title, text):
        asked.append(text)
        return asked_answer["is"]

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked, asked_answer


def save(path, labels, spacing=(2.0, 1.0, 1.0)):
    write_labels(path, labels, Volume(labels, Geometry.from_spacing(spacing, labels.shape)))
    return path


def choose(monkeypatch, panel, path, action, until):
    """Press the button's menu entry, choose a file, and wait for what is said."""
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    widget = panel.volume.label_import
    widget.button.menu().actions()[action].trigger()
    until(lambda: not widget.hint.text().startswith("Importing") or widget.chooser is not None, 30)
    return widget.hint


def test_mask_becomes_reference_slices(started, monkeypatch, until, tmp_path):
    _, panel = started
    mask = np.where(np.arange(SHAPE[0])[:, None, None] % 4 == 1, panel.truth, 0).astype(np.uint8)
    hint = choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", mask), 0, until)
    assert hint.text().startswith("3 slices (1, 5, 9) of a.nii.gz are References now")
    references = panel.session.references
    assert references.references() == [1, 5, 9]
    assert np.array_equal(references.ink[5], panel.truth[5])
    assert (references.ink[6] == 255).all()
    assert panel.session.why_not_train() == ""
    panel.session.autosave.flush()
    assert np.array_equal(panel.session.project.ink_store.load(), references.ink)


def test_what_was_painted_stays_and_the_import_can_be_undone(
    started, monkeypatch, paint, until, tmp_path
):
    _, panel = started
    references = panel.session.references
    corner = np.zeros(SHAPE[1:], bool)
    corner[:4, :4] = True
    paint(references.layer, 5, corner, 1)
    before = references.ink.copy()
    choose(monkeypatch, panel, save(tmp_path / "a.nrrd", panel.truth), 0, until)
    assert (references.ink[5][corner] == 1).all()
    assert np.array_equal(references.ink[5][~corner], panel.truth[5][~corner])
    references.layer.undo()
    assert np.array_equal(references.ink, before)


def test_an_import_under_a_stroke_says_that_nothing_came_of_it(
    started, monkeypatch, until, tmp_path
):
    _, panel = started
    references = panel.session.references
    before = references.ink.copy()
    monkeypatch.setattr(panel.session.history, "write", lambda *args: False)  # as under a stroke
    hint = choose(monkeypatch, panel, save(tmp_path / "a.nrrd", panel.truth), 0, until)
    assert hint.text().startswith("Nothing imported")
    assert np.array_equal(references.ink, before)


def test_statements_of_the_file_are_taken_literally():
    labels = np.full((3, 4, 5), 255, np.uint8)
    labels[1] = 0
    labels[2, 1, 1] = 1
    assert np.array_equal(stated(labels, 0), labels)
    mask = np.where(labels == 255, 0, labels).astype(np.uint8)
    ink = stated(mask, 0)
    assert (ink[:2] == 255).all()
    assert np.array_equal(ink[2], mask[2])
    ink = stated(mask, 1)
    assert (ink[:, [0, 2, 3]] == 255).all()
    assert np.array_equal(ink[:, 1], mask[:, 1])


def test_mask_becomes_a_proposal_to_correct_and_accept(started, monkeypatch, until, tmp_path):
    viewer, panel = started
    session = panel.session
    hint = choose(monkeypatch, panel, save(tmp_path / "a.mha", panel.truth), 1, until)
    until(lambda: "imported" in session.proposals)
    until(lambda: "correct and accept it" in hint.text())
    assert session.active == "imported"
    assert np.array_equal(viewer.layers["Imported"].data, panel.truth)
    assert (session.references.ink == 255).all()
    session.accept_slice(5)
    assert np.array_equal(session.references.ink[5], panel.truth[5])
    assert session.project.read_proposal("imported").info["method"] == "imported"
    assert "none for imported labels" in panel.review.quality.text()
    until(lambda: session.shelf.counts() is not None)
    assert {share.text() for share in panel.review.legend.shares.values()} == {"–"}
    assert facts_at(session, (6, 20, 22)) == ["Structure, proposed"]
    panel.review.next.click()
    until(lambda: "trust unknown" in panel.review.hint.text())


@pytest.mark.parametrize("fails", [False, True])
def test_no_other_import_begins_before_a_proposal_is_written(
    started, monkeypatch, until, tmp_path, fails
):
    _, panel = started
    session = panel.session
    begun, go_on, plainly = threading.Event(), threading.Event(), session.project.write_proposal

    def slowly(proposal):
        begun.set()
        assert go_on.wait(30)
        if fails:
            raise OSError("no room")
        return plainly(proposal)

    monkeypatch.setattr(session.project, "write_proposal", slowly)
    path, widget = save(tmp_path / "a.mha", panel.truth), panel.volume.label_import
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(path), ""))
    widget.button.menu().actions()[1].trigger()
    until(begun.is_set, 30)
    assert not widget.button.isEnabled()
    go_on.set()
    until(widget.button.isEnabled)
    assert ("no room" if fails else "correct and accept it") in widget.hint.text()


def test_another_grid_is_asked_about(started, monkeypatch, answers, until, tmp_path):
    _, panel = started
    asked, answer = answers
    coarse = panel.truth[:, ::2, ::2]
    path = save(tmp_path / "a.nii", coarse, (2.0, 2.0, 2.0))
    answer["is"] = QMessageBox.StandardButton.No
    choose(monkeypatch, panel, path, 0, until)
    assert "on another grid" in asked[0]
    assert (panel.session.references.ink == 255).all()
    answer["is"] = QMessageBox.StandardButton.Yes
    hint = choose(monkeypatch, panel, path, 0, until)
    until(lambda: hint.text().startswith("12 slices (0–11) of a.nii are partly labelled"))
    ink = panel.session.references.ink
    assert np.array_equal(
        ink[:, ::2, ::2][ink[:, ::2, ::2] != 255], coarse[ink[:, ::2, ::2] != 255]
    )
    assert (ink == 1).any()


def answer(chooser, until, widget, **chosen):
    """Choose a class for some labels by the text of the choice, and import."""
    for value, text in chosen.items():
        box = chooser.boxes[int(value[1:])]
        row = box.findText(text)
        assert row >= 0, [box.itemText(i) for i in range(box.count())]
        box.setCurrentIndex(row)
    chooser.import_button.click()
    until(lambda: not widget.hint.text().startswith("Importing"), 30)


def three_labels(truth):
    """Return labels 1 to 3 side by side on slices 2 and 7."""
    labels = np.zeros(SHAPE, np.uint8)
    for index in (2, 7):
        labels[index, :10, :10], labels[index, 20:26, :10], labels[index, 30:, 20:] = 1, 2, 3
    return labels


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


@pytest.mark.parametrize("action", [0, 1], ids=["references", "proposal"])
def test_the_first_labels_close_their_step_and_are_told_of_where_they_are_worked_on(
    started, monkeypatch, until, all_read, tmp_path, action
):
    _, panel = started
    path = save(tmp_path / "a.nii.gz", panel.truth)
    assert panel.volume.is_open
    hint = choose(monkeypatch, panel, path, action, until)
    until(lambda: bool(panel.session.shelf.in_view()) == bool(action))
    all_read()
    assert not panel.volume.is_open
    said = (panel.review if action else panel.references).hint
    assert hint.text() in said.text()
    assert panel.review.is_open == panel.export.is_open == bool(action)
    assert panel.references.is_open != bool(action)
    panel.session.go_to(2)
    panel.session.accept_slice(2) if action else panel.session.references.unmark(2)
    panel._refresh()
    assert hint.text() not in said.text()
    choose(monkeypatch, panel, path, action, until)
    all_read()
    assert panel.volume.is_open, "what has come later is told of in it"
    panel.volume.set_session(panel.session)
    assert "brush" not in panel.volume.hint.text(), "that is known by now"


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


def test_bad_files_are_one_sentence(started, monkeypatch, until, tmp_path):
    _, panel = started
    np.save(tmp_path / "half.npy", np.full(SHAPE, 0.5))
    (tmp_path / "text.nii").write_text("no image")
    for name, words in (("half.npy", "not whole numbers"), ("text.nii", "cannot be read")):
        hint = choose(monkeypatch, panel, tmp_path / name, 0, until)
        assert hint.text().startswith("Not imported: ")
        assert words in hint.text()
        assert panel.volume.label_import.button.isEnabled()
    assert (panel.session.references.ink == 255).all()


def test_a_file_within_a_zarr_folder_stands_for_the_folder(started, monkeypatch, until, tmp_path):
    pytest.importorskip("zarr")
    _, panel = started
    folder = save(tmp_path / "a.ome.zarr", panel.truth)
    hint = choose(monkeypatch, panel, folder / ".zattrs", 0, until)
    assert "References now" in hint.text()
    assert np.array_equal(panel.session.references.ink == 1, panel.truth == 1)


def test_without_a_session_there_is_nothing_to_import_into(make_panel):
    _, panel = make_panel()
    assert panel.volume.label_import.isHidden()
    assert not panel.volume.label_import.button.isEnabled()


@pytest.mark.parametrize("action", [0, 1], ids=["references", "proposal"])
def test_object_of_255_comes_in_as_class_1_and_that_is_said(
    started, monkeypatch, until, tmp_path, action
):
    _, panel = started
    mask = np.where(panel.truth == 1, np.uint8(255), np.uint8(0))
    hint = choose(monkeypatch, panel, save(tmp_path / "a.nii.gz", mask), action, until)
    until(lambda: "255 is taken for class 1" in hint.text(), 30)
    if action == 0:
        ink = panel.session.references.ink
        assert np.array_equal(ink == 1, mask == 255)
    else:
        proposal = panel.session.project.read_proposal("imported")
        assert np.array_equal(proposal.classes == 1, mask == 255)
