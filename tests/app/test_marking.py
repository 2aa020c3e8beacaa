"""Marking a slice never makes background of an object that is shown, without a word."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.volume.annotation import SliceState

pytestmark = pytest.mark.usefixtures("without_window")

CORNER = np.zeros((40, 44), bool)
CORNER[:4, :4] = True


def test_an_object_that_is_only_proposed_is_asked_about(with_proposal):
    _, panel = with_proposal
    session, section = panel.session, panel.references
    session.go_to(4)
    section.mark.click()
    assert session.references.states[4] == SliceState.EMPTY
    assert not section.question.isHidden()
    assert "Slice 4" in section.question.text.text()
    assert section.question.background.text() == "It is empty: all background"
    section.question.cancel.click()
    assert section.question.isHidden()
    assert session.references.states[4] == SliceState.EMPTY


def test_the_proposal_can_be_accepted_with_one_step(with_proposal):
    _, panel = with_proposal
    session, section = panel.session, panel.references
    session.go_to(4)
    assert section.hint.text().startswith("Slice 4: accept what is proposed")
    section.mark.click()
    section.question.accept.click()
    assert np.array_equal(session.references.ink[4], panel.truth[4])
    assert session.accepted_slices() == [4]
    assert section.question.isHidden()
    assert section.hint.text() == "Slice 4 is a reference."
    session.history.undo()
    assert session.references.states[4] == SliceState.EMPTY


def test_all_of_it_can_be_background_which_is_said(with_proposal):
    _, panel = with_proposal
    session, section = panel.session, panel.references
    session.go_to(4)
    section.mark.click()
    section.question.background.click()
    assert (session.references.ink[4] == 0).all()
    assert section.hint.text() == "Slice 4: all of it is background now. Undo: Ctrl+Z."
    section.refresh()
    assert section.hint.text() == "Slice 4 is a reference: all of it is background."
    session.history.undo()
    assert session.references.states[4] == SliceState.EMPTY


def test_without_a_proposal_nothing_is_asked_and_the_background_is_said(started):
    _, panel = started
    panel.session.go_to(3)
    panel.references.mark.click()
    assert panel.references.question.isHidden()
    assert panel.references.hint.text().startswith("Slice 3: all of it is background now.")


def test_who_outlined_the_object_is_not_asked(with_proposal, paint):
    _, panel = with_proposal
    session, section = panel.session, panel.references
    session.go_to(4)
    mine = panel.truth[4] == 1
    mine[20] = False  # the proposal shows a little more
    paint(session.references.layer, 4, mine, 1)
    section.mark.click()
    assert section.question.isHidden()
    assert np.array_equal(session.references.ink[4], mine)
    assert section.hint.text() == "Slice 4 is a reference."


def test_who_corrected_a_part_is_asked_about_the_rest(with_proposal, paint):
    _, panel = with_proposal
    session, section = panel.session, panel.references
    session.go_to(4)
    paint(session.proposals["semsim"].layer, 4, CORNER, 1)
    section.mark.click()
    assert section.question.background.text() == "Only what I painted: the rest is background"
    section.question.background.click()
    assert np.array_equal(session.references.ink[4], CORNER)
    session.history.undo()
    section.mark.click()
    section.question.accept.click()
    assert np.array_equal(session.references.ink[4], CORNER | (panel.truth[4] == 1))


def test_the_question_goes_with_its_slice(with_proposal, until):
    _, panel = with_proposal
    session, section = panel.session, panel.references
    session.go_to(4)
    section.mark.click()
    session.go_to(5)
    until(lambda: section.question.isHidden())
    session.go_to(4)
    section.mark.click()
    panel.review.accept.click()  # which answers it
    assert section.question.isHidden()
    session.go_to(5)
    section.mark.click()
    panel.close_session()
    assert section.question.isHidden()
