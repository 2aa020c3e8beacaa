"""Ink and corrections on the same voxel: the later word counts, whatever comes between."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.volume.annotation import NOT_ANNOTATED

from .conftest import put_proposal

pytestmark = pytest.mark.usefixtures("without_window")

AT = (4, 2, 2)
MASK = np.zeros((40, 44), bool)
MASK[2, 2] = True


def test_ink_over_a_correction_outlives_a_new_version_and_a_new_session(
    with_proposal, paint, until
):
    _, panel = with_proposal
    session = panel.session
    ink, layer = session.references.layer, session.proposals["semsim"].layer
    paint(layer, 4, MASK, 1)
    paint(ink, 4, MASK, 2)
    new = panel.truth.copy()
    new[AT] = 1
    put_proposal(session, new, until)
    assert layer.data[AT] == 2
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None and "semsim" in panel.session.proposals)
    session = panel.session
    session.accept_slice(4)
    assert session.references.ink[AT] == 2
    paint(session.proposals["semsim"].layer, 4, MASK, 0)
    session.accept_slice(4)
    assert session.references.ink[AT] == 0, "the correction came later"
    for accepted in ([4], [4], []):
        session.history.undo()
        assert session.references.ink[AT] == 2
        assert session.accepted_slices() == accepted


def test_undo_of_ink_brings_the_correction_back_though_a_new_version_came_between(
    with_proposal, paint, until
):
    _, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    paint(proposal.layer, 4, MASK, 1)
    paint(session.references.layer, 4, MASK, 0)  # what was proposed there
    new = panel.truth.copy()
    new[AT] = 2
    put_proposal(session, new, until)
    session.history.undo()
    assert session.references.ink[AT] == NOT_ANNOTATED
    assert proposal.layer.data[AT] == 1
    assert proposal.corrections()[AT] == 1
    session.history.redo()
    session.accept_slice(4)
    assert session.references.ink[AT] == 0


def test_a_correction_over_ink_is_what_is_exported_taught_and_told(with_proposal, paint, until):
    from napari_sslseg.app.cursor_facts import facts_at
    from napari_sslseg.app.final_labels import final_maker
    from napari_sslseg.formats.provenance import ORIGINS

    _, panel = with_proposal
    session = panel.session
    ink, layer = session.references.ink, session.proposals["semsim"].layer
    paint(layer, 3, MASK, 1)
    paint(session.references.layer, 3, MASK, 0)  # ink later: what was proposed
    other = np.zeros_like(MASK)
    other[3, 3] = True
    paint(layer, 1, other, 1)  # the correction later: slice 1 is a reference
    session.accept_slice(6)
    paint(layer, 6, other, 1)
    session.autosave.flush()
    labels, taught = session.final_labels(), session.project.all_ink()
    for place, value in (((3, 2, 2), 0), ((1, 3, 3), 1), ((6, 3, 3), 1)):
        assert labels[place] == taught[place] == value
    assert ink[1, 3, 3] == ink[6, 3, 3] == 0
    assert facts_at(session, (1, 3, 3)) == [
        "Structure, corrected by you",
        "labelled Background before",
    ]
    assert facts_at(session, (3, 2, 2)) == ["Background, labelled by you"]
    final = final_maker(session.references, session.shelf.in_view(), session.project.accepted)()
    assert dict(zip(ORIGINS, final.origins[1], strict=True))["corrected"] == 2
    assert final.references == [1, 6, 10]
    session.history.undo()
    assert session.final_labels()[6, 3, 3] == 0


def test_a_correction_speaks_over_that_of_another_proposal(with_proposal, paint, until):
    viewer, panel = with_proposal
    session = panel.session
    put_proposal(session, panel.truth, until, name="Reference-guided")
    first, second = session.proposals["reference-guided"], session.proposals["semsim"]
    paint(first.layer, 4, MASK, 1)
    paint(second.layer, 4, MASK, 2)
    assert first.corrections()[AT] == 2
    session.history.undo()
    assert (first.layer.data[AT], second.layer.data[AT]) == (1, 0)
    session.history.redo()
    session.autosave.flush()
    assert session.project.all_ink()[AT] == 2
    # Also over ink, whichever proposal is in view.
    paint(second.layer, 6, MASK, 1)
    session.activate("reference-guided")
    assert session.final_labels()[6, 2, 2] == 1
    assert session.references.ink[6, 2, 2] == 0
    assert session.final_labels()[AT] == first.layer.data[AT] == 2
    # What is accepted from the one is the last word on all of the slice, also over the other.
    session.activate("reference-guided")
    session.accept_slice(4)
    paint(second.layer, 4, MASK, 1)
    assert first.layer.data[AT] == 1
    session.accept_slice(4)
    session.autosave.flush()
    assert session.references.ink[AT] == session.project.all_ink()[AT] == 1
    # A layer that was deleted says no more, but what it said does not come back over new ink.
    paint(second.layer, 7, MASK, 1)
    viewer.layers.remove("SemSim")
    paint(session.references.layer, 7, MASK, 2)
    session.autosave.flush()
    assert session.project.all_ink()[7, 2, 2] == 2
    put_proposal(session, panel.truth, until)
    assert session.proposals["semsim"] is second
    assert second.layer in viewer.layers
    assert second.layer.data[7, 2, 2] == 2
    session.history.undo()
    assert second.layer.data[7, 2, 2] == 1


def test_ink_that_is_quicker_than_the_proposal_is_read_speaks_over_it(
    with_proposal, paint, until, monkeypatch
):
    from napari_sslseg.app import proposal_shelf

    _, panel = with_proposal
    session = panel.session
    paint(session.proposals["semsim"].layer, 4, MASK, 1)
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    slow = []
    plainly = proposal_shelf.in_background
    monkeypatch.setattr(proposal_shelf, "in_background", lambda *job: slow.append(job))
    panel.open(path)
    until(lambda: panel.session is not None)
    session = panel.session
    paint(session.references.layer, 4, MASK, 2)
    monkeypatch.setattr(proposal_shelf, "in_background", plainly)
    plainly(*slow[0])
    until(lambda: "semsim" in session.proposals)
    proposal = session.proposals["semsim"]
    assert proposal.layer.data[AT] == 2
    session.history.undo()
    assert proposal.layer.data[AT] == 1
    session.history.redo()
    assert proposal.layer.data[AT] == 2


def test_a_stroke_told_in_another_way_is_found_by_what_is_not_saved(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    layer, proposal = session.references.layer, session.proposals["semsim"]
    paint(layer, 4, MASK, 1)
    paint(proposal.layer, 4, MASK, 2)  # later than the ink below
    other = np.zeros_like(MASK)
    other[5, 5] = True
    paint(proposal.layer, 4, other, 1)
    session.autosave.flush()
    layer.data[4, 5, 5] = 2
    layer.events.paint(value=[object()])
    assert proposal.layer.data[4, 5, 5] == 2
    assert proposal.layer.data[AT] == 2


def test_accepting_is_recorded_only_when_it_was_done(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    layer = session.references.layer
    session.go_to(4)
    owner = next(f for f in session.history._followed if f.layer is layer)
    owner.written.drags += 1  # the mouse is down
    told = []
    panel.review.trouble.connect(told.append)
    panel.review.accept.click()
    panel.references.mark.click()
    panel.references.question.background.click()
    owner.written.drags -= 1
    assert "end it" in told[0]
    assert "end it" in panel.references.hint.text()
    assert session.project.accepted == []
    assert session.references.ink[AT] == NOT_ANNOTATED

    panel.review.accept.click()
    assert session.accepted_slices() == [4]
    panel.references.mark.click()  # not a reference any more
    panel.references.mark.click()  # by hand this time
    panel.references.question.background.click()
    assert session.references.references() == [1, 4, 6, 10]
    assert session.accepted_slices() == []
    session.history.undo()
    session.history.undo()
    assert session.accepted_slices() == [4]
    assert [s.index for s in session.accepting.corrective_dice()] == [4]
    # A reference by hand that is accepted too is an acceptance that can be undone.
    session.accept_slice(6)
    assert session.accepted_slices() == [4, 6]
    session.history.undo()
    assert session.accepted_slices() == [4]
    assert 6 in session.references.references()


def test_a_large_import_is_the_last_word_only_where_it_writes(with_proposal, paint, monkeypatch):
    monkeypatch.setattr("napari_sslseg.app.reference_layer._AT_ONCE", 0)  # all imports are large
    _, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    paint(session.references.layer, 4, MASK, 1)
    paint(layer, 4, MASK, 2)  # later than the ink below
    other = np.zeros_like(MASK)
    other[5, 5] = True
    paint(layer, 4, other, 2)
    imported = np.full(session.references.ink.shape, NOT_ANNOTATED, np.uint8)
    imported[4, 2, 2] = imported[4, 5, 5] = imported[7, 1, 1] = 1
    assert session.adopt(imported) == 2
    assert session.references.ink[4, 5, 5] == 1
    assert layer.data[AT] == 2
    assert layer.data[4, 5, 5] == 1


def test_ink_that_is_painted_once_more_is_the_later_word_though_it_changes_nothing(
    with_proposal, paint
):
    _, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    paint(session.references.layer, 4, MASK, 1)
    paint(layer, 4, MASK, 2)
    ink = session.references.ink.copy()
    paint(session.references.layer, 4, MASK, 1)
    assert np.array_equal(session.references.ink, ink)
    for _ in range(2):
        assert layer.data[AT] == session.final_labels()[AT] == 1
        session.history.undo()
        assert layer.data[AT] == session.final_labels()[AT] == 2
        session.history.redo()


def test_what_was_painted_last_stays_said_when_what_came_before_is_undone(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    ink, proposal = session.references.layer, session.proposals["semsim"]
    paint(proposal.layer, 4, MASK, 2)
    paint(ink, 4, MASK, 1)
    paint(proposal.layer, 4, MASK, 1)  # which the ink has written there already
    session.history.undo()
    assert ink.data[AT] == proposal.corrections()[AT] == 1
    session.history.undo()
    assert ink.data[AT] == NOT_ANNOTATED
    assert proposal.corrections()[AT] == 2
    session.history.redo()
    session.history.redo()
    assert ink.data[AT] == proposal.corrections()[AT] == 1
    assert session.history.next_redo == ""


def test_a_stroke_that_a_new_version_took_out_of_the_history_stays_said(
    with_proposal, paint, until
):
    _, panel = with_proposal
    session = panel.session
    ink, proposal = session.references.layer, session.proposals["semsim"]
    wide = np.zeros_like(MASK)
    wide[2:6, 2:6] = True
    paint(proposal.layer, 4, MASK, 2)
    paint(ink, 4, MASK, 1)
    paint(proposal.layer, 4, wide, 1)
    put_proposal(session, panel.truth, until)
    session.history.undo()
    assert ink.data[AT] == NOT_ANNOTATED
    assert (proposal.corrections()[4][wide] == 1).all()
    session.history.redo()
    session.history.undo()
    assert proposal.corrections()[AT] == session.final_labels()[AT] == 1
    session.autosave.flush()
    assert session.project.all_ink()[AT] == 1


def test_ink_that_says_the_same_as_the_proposal_that_was_corrected_last_stays_said(
    with_proposal, paint, until
):
    _, panel = with_proposal
    session = panel.session
    put_proposal(session, panel.truth, until, name="Reference-guided")
    first, second = session.proposals["reference-guided"], session.proposals["semsim"]
    paint(session.references.layer, 4, MASK, 1)
    paint(first.layer, 4, MASK, 2)
    paint(second.layer, 4, MASK, 1)  # speaks over the first
    paint(session.references.layer, 4, MASK, 1)
    session.history.undo()
    assert first.corrections()[AT] == 1
    session.history.undo()
    assert first.corrections()[AT] == 2
