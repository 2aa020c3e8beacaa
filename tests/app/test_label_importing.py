"""Labels made elsewhere come into a session, and never over what the user painted."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_sslseg.app.cursor_facts import facts_at
from napari_sslseg.app.label_importing import stated

from .conftest import SHAPE
from .label_files import choose, save

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
