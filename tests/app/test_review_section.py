"""Step 4: what is said there is of the slice in view, and of nothing that is over."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_sslseg.app.training_run import RunState
from napari_sslseg.training.events import Estimated
from napari_sslseg.training.facts import Basis, Witness

pytestmark = pytest.mark.usefixtures("without_window")


def test_a_hint_goes_with_its_slice(with_proposal, until):
    _, panel = with_proposal
    session, review = panel.session, panel.review
    session.go_to(4)
    review.accept.click()
    session.history.undo()
    assert review.hint.text().startswith("Undone: accepting slice 4")
    session.go_to(5)
    until(lambda: review.hint.text() == "")


def test_what_was_said_of_the_slice_that_is_gone_to_stays(with_proposal, until, qtbot):
    _, panel = with_proposal
    session, review = panel.session, panel.review
    session.go_to(0)
    until(lambda: session.shelf.counts() is not None)
    review.next.click()
    until(lambda: review.hint.text().startswith("Slice "))
    said = review.hint.text()
    qtbot.wait(600)  # the panel follows when the slider rests
    assert review.hint.text() == said


def test_what_a_closed_session_says_is_not_shown(with_proposal, all_read):
    _, panel = with_proposal
    session, review = panel.session, panel.review
    session.go_to(0)
    session.mender.interpolate()  # looks in a thread, and finds no two ends
    panel.close_session()
    all_read()
    assert review.hint.text() == ""


def test_a_hint_goes_when_training_begins_and_ends(with_proposal):
    _, panel = with_proposal
    session, review = panel.session, panel.review
    for state in (RunState.STARTING, RunState.IDLE):
        session.go_to(4)
        session.accept_slice(4)
        session.history.undo()
        assert review.hint.text().startswith("Undone")
        session.training._set(state)
        assert review.hint.text() == ""


def test_a_slice_marked_by_hand_was_never_accepted(with_proposal, paint):
    _, panel = with_proposal
    session, review = panel.session, panel.review
    session.go_to(6)
    review.refresh_slice()
    assert review.accept.text() == "Accept slice"
    assert "Your labels stay" in review.accept.toolTip()
    review.accept.click()
    assert review.hint.text() == "Slice 6 stays as you labelled it."
    review.refresh_slice()
    assert review.accept.text() == "Accept again"
    corner = np.zeros((40, 44), bool)
    corner[:3, :3] = True
    paint(session.proposals["semsim"].layer, 6, corner, 1)
    review.accept.click()
    assert review.hint.text() == "Slice 6 has what you corrected since. Undo: Ctrl+Z."
    session.go_to(4)
    review.refresh_slice()
    assert review.accept.text() == "Accept slice"
    assert "Take this slice" in review.accept.toolTip()


def test_accepting_an_empty_slice_says_that_it_is_empty(with_proposal, paint):
    _, panel = with_proposal
    session, review = panel.session, panel.review
    session.go_to(4)
    paint(session.proposals["semsim"].layer, 4, np.ones((40, 44), bool), 0)
    review.accept.click()
    assert review.hint.text().startswith("Slice 4 is a reference now: all of it is background")


def test_an_estimate_says_what_it_rests_on_and_of_which_class_it_says_nothing(with_proposal):
    _, panel = with_proposal
    session = panel.session
    session.add_class("Right ventricle")
    basis = Basis(Witness.LEFT_OUT, 1, confidence=True)
    session.retraining.follow(
        Estimated("semsim", {"Structure": 0.87}, 0.87, 0.8, 0.91, basis, ids={"Structure": 1})
    )
    said = panel.review.quality.text()
    assert "None for Right ventricle: too few of the tested references show it." in said
    assert said.endswith("Tested on 1 reference, left out, and by how sure the voxels are.")
    part = panel.review.measure
    part.open()
    assert "None for Right ventricle" in part.spread.text()
    assert part.table.item(1, 0).toolTip() == "Right ventricle"


def double_click(where: QWidget) -> None:
    """Press twice, as a mouse does: Qt takes the second press for another click."""
    kinds, button, none = QEvent.Type, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    release = (kinds.MouseButtonRelease, Qt.MouseButton.NoButton)
    presses = ((kinds.MouseButtonPress, button), (kinds.MouseButtonDblClick, button))
    for kind, held in (presses[0], release, presses[1], release):
        place = QPointF(where.rect().center())
        QApplication.sendEvent(where, QMouseEvent(kind, place, button, held, none))


def test_a_double_click_is_one_click_where_a_second_one_would_mean_something_else(
    with_proposal, paint, until
):
    _, panel = with_proposal
    session, references = panel.session, panel.session.references
    until(lambda: session.shelf.counts() is not None)
    session.go_to(4)
    before = {*references.references(), 4}
    double_click(panel.review.accept_next)
    assert set(references.references()) == before, "the next slice has not been looked at"
    session.go_to(5)
    paint(references.layer, 5, panel.truth[5] == 1, 1)
    double_click(panel.references.mark)
    assert 5 in references.references()


def test_on_a_reference_the_way_to_what_is_proposed_is_told(with_proposal, until):
    _, panel = with_proposal
    until(lambda: panel.session.shelf.counts() is not None)
    panel.session.go_to(6)
    until(lambda: "Next slice" in panel.review.hint.text())
    panel.session.go_to(5)
    until(lambda: not panel.review.hint.text())


def test_why_a_slice_is_suggested_is_in_sight_where_other_steps_are_open(with_proposal, until):
    _, panel = with_proposal
    until(lambda: panel.session.shelf.counts() is not None)
    panel.resize(400, 300)
    panel.show()
    panel.review.open()
    bar = panel.column.verticalScrollBar()
    until(lambda: bar.maximum() > 0)
    bar.setValue(0)
    panel.review.next.click()
    hint = panel.review.hint
    until(lambda: hint.visibleRegion().boundingRect().height() == hint.height())
