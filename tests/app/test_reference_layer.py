"""The References layer: marking, partial ink, background ink, undo."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app import background_origin
from napari_sslseg.volume.annotation import NOT_ANNOTATED, SliceState
from napari_sslseg.volume.inkstore import InkStore

pytestmark = pytest.mark.usefixtures("without_window")


def test_marking_fills_with_background_and_one_undo_takes_it_back(started, paint):
    _, panel = started
    references = panel.session.references
    panel.session.go_to(3)
    paint(references.layer, 3, panel.truth[3] == 1, 1)
    assert references.states[3] == SliceState.PARTIAL
    before = references.ink.copy()
    references.mark(3)
    assert np.array_equal(references.ink[3], panel.truth[3])
    assert references.references() == [3]
    references.layer.undo()
    assert np.array_equal(references.ink, before)
    references.layer.redo()
    assert np.array_equal(references.ink[3], panel.truth[3])


def test_unmarking_keeps_the_painted_classes_as_partial_ink(started, paint):
    _, panel = started
    references = panel.session.references
    paint(references.layer, 3, panel.truth[3] == 1, 1)
    references.mark(3)
    references.unmark(3)
    assert references.partial() == [3]
    assert set(np.unique(references.ink[3])) == {1, NOT_ANNOTATED}


def test_background_can_be_painted_as_partial_ink(started):
    _, panel = started
    session = panel.session
    session.choose_class(0)
    layer = session.references.layer
    layer.paint((5, 20, 20), session.references.layer.selected_label)
    assert (session.references.ink[5] == 0).any()
    assert session.references.partial() == [5]


def test_the_state_of_the_slice_in_view_follows_each_stroke_and_undo(started, paint):
    _, panel = started
    session = panel.session
    session.go_to(7)
    assert session.references.current_slice() == 7
    paint(session.references.layer, 7, np.ones((40, 44), bool), 0)
    assert session.references.states[7] == SliceState.WHOLE
    session.references.layer.undo()
    assert session.references.states[7] == SliceState.EMPTY


def test_an_undo_of_a_slice_out_of_view_is_noticed_with_the_next_save(started, until):
    _, panel = started
    session = panel.session
    session.go_to(3)
    session.references.mark(3)
    session.go_to(9)
    session.references.layer.undo()
    until(lambda: session.references.states[3] == SliceState.EMPTY, 10)


def test_another_axis_has_other_references(started):
    viewer, panel = started
    session = panel.session
    session.set_axis(2)
    session.go_to(9)
    session.references.mark(9)
    assert session.references.references() == [9]
    assert (session.references.ink[:, :, 9] == 0).all()
    assert viewer.dims.order[0] == 2
    session.set_axis(0)
    assert session.references.references() == []
    assert len(session.references.partial()) == 12


def test_the_layer_lies_where_the_image_lies(started):
    viewer, panel = started
    layer = panel.session.references.layer
    image = viewer.layers["cone"]
    assert tuple(layer.scale) == (2, 1, 1)
    assert layer.units == image.units
    assert viewer.layers[-1] is layer


def test_slices_of_a_large_volume_are_looked_at_in_a_thread(started, until, monkeypatch):
    _, panel = started
    session = panel.session
    session.go_to(3)
    session.references.mark(3)
    monkeypatch.setattr("napari_sslseg.app.reference_layer._AT_ONCE", 0)
    session.set_axis(1)
    until(lambda: len(session.references.partial()) == 40)
    session.go_to(7)
    session.references.mark(7)
    assert session.references.references() == [7]
    session.set_axis(0)
    until(lambda: len(session.references.partial()) == 11)
    assert session.references.references() == [3]


CORNER = np.zeros((40, 44), bool)
CORNER[3:8, 3:8] = True
OTHER = np.zeros((40, 44), bool)
OTHER[30:35, 30:35] = True


def test_marking_takes_corrections_as_ink_and_leaves_them_in_the_proposal(
    with_proposal, paint, until
):
    _, panel = with_proposal
    session = panel.session
    layer, ink = session.proposals["semsim"].layer, session.references.ink
    paint(session.references.layer, 4, OTHER, 2)
    paint(layer, 4, CORNER | OTHER, 1)  # over the ink too: the later word
    before = ink.copy()
    session.go_to(4)
    panel.references.mark.click()
    panel.references.question.background.click()
    for _ in range(2):
        assert (layer.data[4][CORNER | OTHER] == 1).all()
        assert np.array_equal(ink[4], np.where(CORNER | OTHER, 1, 0))
        assert (session.final_labels()[4][CORNER] == 1).all()
        session.history.undo()
        assert np.array_equal(ink, before)
        assert (layer.data[4][CORNER] == 1).all()
        session.history.redo()
    panel.references.mark.click()  # not a reference after all
    assert 4 in session.references.partial()
    session.autosave.flush()
    assert (session.project.all_ink()[4][CORNER] == 1).all()
    assert (session.final_labels()[4][CORNER] == 1).all()


def test_marking_takes_the_word_on_a_proposal_whose_layer_was_deleted(with_proposal, paint):
    viewer, panel = with_proposal
    session = panel.session
    paint(session.proposals["semsim"].layer, 4, CORNER, 1)
    viewer.layers.remove("SemSim")
    session.references.mark(4)
    assert (session.references.ink[4][CORNER] == 1).all()


def test_nothing_is_marked_while_corrections_are_still_being_read(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    session.shelf.unread.awaited.add("semsim")
    session.go_to(4)
    panel.references.mark.click()
    assert "not been read yet" in panel.references.hint.text()
    assert session.references.states[4] == SliceState.EMPTY
    session.shelf.unread.awaited.clear()
    panel.references.mark.click()
    panel.references.question.background.click()
    assert session.references.states[4] == SliceState.WHOLE


def test_unmarking_leaves_background_that_was_painted_in_this_session_or_an_earlier_one(
    started, paint, until
):
    _, panel = started
    session = panel.session
    paint(session.references.layer, 4, CORNER, 1)
    paint(session.references.layer, 4, OTHER, 0)
    session.references.mark(4)
    paint(session.references.layer, 5, OTHER, 0)
    session.references.mark(5)
    session.autosave.flush()
    path = session.project.path
    session.references.unmark(4)
    expected = np.full((40, 44), NOT_ANNOTATED)
    expected[CORNER], expected[OTHER] = 1, 0
    assert np.array_equal(session.references.ink[4], expected)
    session.history.undo()
    assert session.references.references() == [4, 5]
    session.history.redo()
    assert np.array_equal(session.references.ink[4], expected)
    panel.leave()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None)
    references = panel.session.references
    until(lambda: references.origin._known)
    references.unmark(5)
    assert np.array_equal(references.ink[5] == 0, OTHER)


def test_background_that_was_painted_and_erased_again_is_none_when_marked(started, paint):
    _, panel = started
    references = panel.session.references
    paint(references.layer, 4, OTHER, 0)
    paint(references.layer, 4, OTHER, NOT_ANNOTATED)
    references.mark(4)
    paint(references.layer, 4, CORNER, 0)  # said by hand, though it changes nothing
    assert panel.session.history.next_undo == "painting in References"
    references.unmark(4)
    assert np.array_equal(references.ink[4] == 0, CORNER)
    panel.session.history.undo()
    panel.session.history.undo()  # the stroke that changed nothing
    references.unmark(4)
    assert references.states[4] == SliceState.EMPTY


def test_a_slice_that_was_painted_by_hand_throughout_says_how_to_take_it_back(started, paint):
    _, panel = started
    session = panel.session
    session.go_to(4)
    paint(session.references.layer, 4, np.ones((40, 44), bool), 0)
    panel.references.mark.click()
    assert "by hand" in panel.references.hint.text()
    assert session.references.references() == [4]


def test_unmarking_along_one_axis_leaves_the_references_along_another(started):
    _, panel = started
    session = panel.session
    session.references.mark(3)
    session.set_axis(1)
    session.references.mark(20)
    session.references.unmark(20)
    assert session.references.states[20] == SliceState.PARTIAL
    session.set_axis(0)
    assert session.references.references() == [3]


def test_background_of_a_project_from_before_is_taken_back_as_ever(started, until):
    _, panel = started
    session = panel.session
    session.references.mark(3)
    session.autosave.flush()
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    for file in path.glob("background.*"):
        file.unlink()
    panel.open(path)
    until(lambda: panel.session is not None)
    panel.session.references.unmark(3)
    assert panel.session.references.states[3] == SliceState.EMPTY


def reopened(panel, until):
    """Leave the project, and open it again; return its session when the codes have been read."""
    path = panel.session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None)
    until(lambda: panel.session.references.origin._known)
    return panel.session


def test_unmarking_leaves_what_a_later_reference_along_another_axis_took_over(started, until):
    _, panel = started
    session = panel.session
    session.references.mark(5)
    session.set_axis(1)
    session.references.mark(7)
    session = reopened(panel, until)
    session.set_axis(0)
    session.references.unmark(5)
    assert session.references.states[5] == SliceState.PARTIAL
    session.set_axis(1)
    assert session.references.references() == [7]
    session.references.unmark(7)  # what it had in common with slice 5 as well
    assert (session.references.ink == NOT_ANNOTATED).all()
    for _ in range(2):
        session.history.undo()
    session.references.unmark(7)
    session.set_axis(0)
    assert session.references.references() == [5]


def test_background_of_which_something_unknown_is_told_stays(started, until):
    _, panel = started
    session = panel.session
    ink, codes = session.references.ink, np.full(session.references.ink.shape, NOT_ANNOTATED)
    ink[5] = 0
    codes[5], codes[5, 1:3] = 16, 2
    session.autosave.flush()
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    for file in path.glob("background.*"):
        file.unlink()
    InkStore(path, "background", codes.shape).save(codes.astype(np.uint8))
    panel.open(path)
    until(lambda: panel.session is not None and panel.session.references.origin._known)
    references = panel.session.references
    references.unmark(5)
    left = np.zeros((40, 44), bool)
    left[1:3] = True
    assert np.array_equal(references.ink[5] == 0, left)


def test_a_damaged_file_that_tells_the_background_is_put_aside(started, paint, until, monkeypatch):
    _, panel = started
    session = panel.session
    session.references.mark(4)
    paint(session.references.layer, 5, OTHER, 0)
    session.autosave.flush()
    store = session.project.background_store
    store._compact(store._open())
    path, told = session.project.path, []
    panel.leave()
    until(lambda: panel.session is None)
    (file,) = path.glob("background.*.npy")
    file.write_bytes(b"nothing")
    slow = []
    with monkeypatch.context() as waiting:
        waiting.setattr(background_origin, "in_background", lambda *job: slow.append(job))
        panel.open(path)
        until(lambda: panel.session is not None)
    session = panel.session
    session.trouble.connect(told.append)
    background_origin.in_background(*slow[0])
    until(lambda: session.references.origin._known)
    assert len([text for text in told if "by hand" in text]) == 1
    assert [file.name for file in path.glob("background.*")] == [file.name + ".damaged"]
    session.references.unmark(4)
    assert session.references.states[4] == SliceState.EMPTY
    paint(session.references.layer, 6, OTHER, 0)
    session.autosave.flush()
    session = reopened(panel, until)
    session.references.mark(6)
    session.references.unmark(6)
    assert np.array_equal(session.references.ink[6] == 0, OTHER)


def test_an_undo_while_it_is_read_loses_no_background_that_was_painted_by_hand(
    started, paint, until, monkeypatch
):
    _, panel = started
    paint(panel.session.references.layer, 5, OTHER, 0)
    slow = []
    plainly = background_origin.in_background
    with monkeypatch.context() as waiting:
        waiting.setattr(background_origin, "in_background", lambda *job: slow.append(job))
        path = panel.session.project.path
        panel.leave()
        until(lambda: panel.session is None)
        panel.open(path)
        until(lambda: panel.session is not None)
    session = panel.session
    layer, references = session.references.layer, session.references
    paint(layer, 5, OTHER, 1)
    session.history.undo()
    half = OTHER.copy()
    half[np.nonzero(OTHER)[0].max()] = False
    paint(layer, 5, half, NOT_ANNOTATED)  # undone when they have been read
    references.mark(5)
    session.history.undo()
    plainly(*slow[0])
    until(lambda: references.origin._known)
    session.history.undo()
    references.mark(5)
    references.unmark(5)
    assert np.array_equal(references.ink[5] == 0, OTHER)


def test_a_stroke_is_told_once_and_one_that_changes_nothing_as_well(started, until):
    _, panel = started
    session = panel.session
    references, told = session.references, []
    session.go_to(4)
    references.changed.connect(lambda: told.append(references.serial))

    def dab() -> list[int]:
        told.clear()
        with references.layer.block_history():
            references.layer.paint((4, 20, 20), 0, refresh=False)
        return told

    assert len(dab()) == 1
    session.history.undo()
    references.mark(4)
    session.autosave.flush()
    assert len(dab()) == 1  # background already, now by hand
    assert not session.saving.up_to_date
    assert reopened(panel, until).references.origin.stays(0, 4)[20, 20]
