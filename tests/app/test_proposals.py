"""Proposals: new versions, corrections, accepting."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_sslseg.volume.annotation import NOT_ANNOTATED

from .conftest import put_proposal

pytestmark = pytest.mark.usefixtures("without_window")


def one_voxel(row: int = 20, column: int = 20) -> np.ndarray:
    mask = np.zeros((40, 44), bool)
    mask[row, column] = True
    return mask


def test_a_new_version_keeps_every_correction_and_forgets_the_old_undo(with_proposal, paint, until):
    _, panel = with_proposal
    session = panel.session
    layer = session.proposals["semsim"].layer
    paint(layer, 4, one_voxel(), 0)
    paint(layer, 8, one_voxel(5, 5), 1)
    new = np.zeros_like(panel.truth)
    new[8, 5, 5] = 1  # agrees with the second correction
    put_proposal(session, new, until)
    assert layer.data[4, 20, 20] == 0
    assert layer.data[8, 5, 5] == 1
    assert layer.data.sum() == 1
    before = layer.data.copy()
    layer.undo()
    assert np.array_equal(layer.data, before)
    corrections = session.proposals["semsim"].corrections()
    assert corrections[8, 5, 5] == 1
    # A third version: what was corrected two versions ago still stands.
    put_proposal(session, np.ones_like(panel.truth), until)
    assert layer.data[4, 20, 20] == 0
    assert layer.data[8, 5, 5] == 1


def test_layer_data_are_plain_class_ids(with_proposal):
    viewer, _ = with_proposal
    assert set(np.unique(viewer.layers["SemSim"].data)) == {0, 1}
    assert viewer.layers["SemSim"].data.dtype == np.uint8


def test_accepting_copies_the_slice_and_one_undo_takes_it_back(with_proposal):
    _, panel = with_proposal
    session = panel.session
    before = session.references.ink.copy()
    session.go_to(4)
    panel.review.accept.click()
    assert np.array_equal(session.references.ink[4], panel.truth[4])
    assert 4 in session.references.references()
    assert session.accepted_slices() == [4]
    others = np.delete(np.arange(12), 4)
    assert np.array_equal(session.references.ink[others], before[others])
    session.references.layer.undo()
    assert np.array_equal(session.references.ink, before)
    assert session.accepted_slices() == []


def test_accepting_never_overwrites_ink_unless_the_user_corrected_just_there(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    paint(session.references.layer, 4, one_voxel(2, 2), 1)  # the proposal says background
    paint(session.references.layer, 4, one_voxel(3, 3), 1)
    proposal = session.proposals["semsim"]
    session.accept_slice(4)
    assert session.references.ink[4, 2, 2] == 1
    paint(proposal.layer, 4, one_voxel(20, 20), 0)
    session.accept_slice(4)
    assert session.references.ink[4, 20, 20] == 0
    assert session.references.ink[4, 3, 3] == 1


def test_accepting_without_a_proposal_says_why(started):
    _, panel = started
    with pytest.raises(ValueError, match="press Train"):
        panel.session.accept_slice(0)
    assert not panel.review.accept.isEnabled()
    assert "press Train" in panel.review.accept.toolTip()


def test_switching_proposals_shows_one_at_a_time(with_proposal, until):
    viewer, panel = with_proposal
    put_proposal(panel.session, 1 - panel.truth, until, name="Reference-guided")
    panel.review.buttons["reference-guided"].click()
    assert viewer.layers["Reference-guided"].visible
    assert not viewer.layers["SemSim"].visible
    assert viewer.layers.selection.active is viewer.layers["Reference-guided"]
    assert viewer.layers[-1] is panel.session.references.layer
    panel.review.buttons["semsim"].click()
    assert viewer.layers["SemSim"].visible


def test_what_is_exported_is_ink_where_there_is_any(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    paint(session.references.layer, 2, one_voxel(1, 1), 1)
    final = session.final_labels()
    assert final[2, 1, 1] == 1
    expected = np.where(
        session.references.ink != NOT_ANNOTATED, session.references.ink, panel.truth
    )
    assert np.array_equal(final, expected)


def test_next_slice_goes_to_the_doubtful_one_and_says_why(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    until(lambda: session.suggest() is not None)
    session.go_to(0)
    panel.review.next.click()
    assert session.references.current_slice() == 4
    assert "disagree" in panel.review.hint.text()
    assert "2 slices from the nearest known one" in panel.review.hint.text()


def test_regions_lie_below_the_outlines_of_the_proposal_in_view(with_proposal, until):
    viewer, panel = with_proposal
    put_proposal(panel.session, 1 - panel.truth, until, name="Reference-guided")
    for slug, name in (("reference-guided", "Reference-guided"), ("semsim", "SemSim")):
        panel.session.activate(slug)
        names = [layer.name for layer in viewer.layers]
        assert names.index("Confidence") < names.index(name) < names.index("References")


LENS = np.zeros((40, 44), bool)
LENS[14:30, 12:30] = True


def stroke(layer, index: int, mask: np.ndarray, how: str) -> None:
    """Paint a mask with class 1 in one of napari's ways."""
    rows, columns = np.nonzero(mask)
    if how == "polygon":
        (top, bottom), (left, right) = (rows.min(), rows.max()), (columns.min(), columns.max())
        corners = [(top, left), (bottom, left), (bottom, right), (top, right)]
        layer.paint_polygon([(index, *corner) for corner in corners], 1)
        return
    with layer.block_history():
        if how == "brush":
            layer.brush_size = 1
            for row, column in zip(rows, columns, strict=True):
                layer.paint((index, row, column), 1)
        else:
            layer.data_setitem((np.full_like(rows, index), rows, columns), 1)


@pytest.mark.parametrize("how", ["brush", "polygon", "indices"])
def test_what_was_painted_outlives_new_versions_also_where_it_was_proposed_already(
    with_proposal, until, how
):
    _, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    session.go_to(4)
    assert (panel.truth[4][LENS] == 1).any()
    stroke(proposal.layer, 4, LENS, how)
    assert not session.regions.layer.data[4][LENS].any(), "painted is the user's word: no colour"
    session.autosave.flush()
    assert (session.project.all_ink()[4][LENS] == 1).all()
    for _ in range(2):
        put_proposal(session, np.zeros_like(panel.truth), until)
        assert np.array_equal(proposal.layer.data[4] == 1, LENS)
    path = session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None and "semsim" in panel.session.proposals)
    put_proposal(panel.session, np.zeros_like(panel.truth), until)
    assert np.array_equal(panel.session.proposals["semsim"].layer.data[4] == 1, LENS)


def test_a_stroke_that_changes_nothing_is_a_step_and_its_word_is_undone_with_it(
    with_proposal, paint, until
):
    _, panel = with_proposal
    session = panel.session
    proposal, history = session.proposals["semsim"], session.history
    inside = LENS & (panel.truth[4] == 1)
    session.go_to(4)
    before, undo = proposal.layer.data.copy(), history.next_undo
    colours = session.regions.layer.data[4].copy()
    assert colours[inside].all()
    paint(proposal.layer, 4, inside, 1)
    assert np.array_equal(proposal.layer.data, before)
    for _ in range(2):
        assert history.next_undo == "painting in SemSim"
        assert np.array_equal(proposal.corrections()[4] != NOT_ANNOTATED, inside)
        assert not session.regions.layer.data[4][inside].any()
        history.undo()
        assert history.next_undo == undo
        assert (proposal.corrections()[4] == NOT_ANNOTATED).all()
        assert np.array_equal(session.regions.layer.data[4], colours)
        history.redo()
    paint(proposal.layer, 4, inside, 1)  # said already
    history.undo()
    assert history.next_undo == undo
    put_proposal(session, np.zeros_like(panel.truth), until)
    assert not proposal.layer.data[4].any(), "nothing is left of what was undone"


def test_the_undo_of_a_stroke_takes_back_its_word_as_a_whole(with_proposal, paint, until):
    _, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    paint(proposal.layer, 4, LENS, 1)
    session.autosave.flush()
    session.history.undo()
    session.autosave.flush()
    assert (session.project.all_ink()[4] == NOT_ANNOTATED).all()
    put_proposal(session, np.zeros_like(panel.truth), until)
    assert not proposal.layer.data[4].any()


def test_a_brush_that_stops_at_edges_says_what_lies_under_it_too(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    session.go_to(4)
    session.tools.choose("grow")
    layer = session.proposals["semsim"].layer
    layer.brush_size, layer.selected_label = 9, 1
    with layer.block_history():
        session.tools._paint(layer, (4.0, 20.0, 20.0))
    said = session.proposals["semsim"].corrections()[4] == 1
    assert said[20, 20], "in the middle of the object, proposed already"
    put_proposal(session, np.zeros_like(panel.truth), until)
    assert np.array_equal(layer.data[4] == 1, said)


def test_no_thread_sees_the_half_of_a_new_version(with_proposal, paint, until, monkeypatch):
    _, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    paint(proposal.layer, 4, one_voxel(2, 2), 1)
    seen = []
    plainly = proposal.layer._ensure_int_labels

    def look(data):  # as another thread might, while napari takes the new array
        seen.append(np.asarray(proposal.corrections()))
        return plainly(data)

    monkeypatch.setattr(proposal.layer, "_ensure_int_labels", look)
    put_proposal(session, 1 - panel.truth, until)
    assert seen
    for corrections in seen:
        assert np.argwhere(corrections != NOT_ANNOTATED).tolist() == [[4, 2, 2]]


def reopened(panel, until):
    """Close the project and open it again; returns the new session with all its proposals."""
    path, count = panel.session.project.path, len(panel.session.proposals)
    panel.close_session()
    panel.open(path)
    until(lambda: panel.session is not None and len(panel.session.proposals) == count)
    return panel.session


@pytest.mark.parametrize("chosen", ["reference-guided", "semsim"])
def test_the_proposal_that_was_chosen_is_shown_again_whichever_is_read_first(
    with_proposal, until, monkeypatch, chosen
):
    from napari_sslseg.app.proposal_shelf import ProposalShelf
    from napari_sslseg.training.events import Finished

    _, panel = with_proposal
    put_proposal(panel.session, 1 - panel.truth, until, name="Reference-guided")
    panel.session.rounds.follow(Finished(1.0, "semsim"))
    panel.review.buttons[chosen].click()
    load, shown = ProposalShelf._load, []

    def slowly(shelf, slug, version):
        if slug == chosen:
            time.sleep(0.3)
        return load(shelf, slug, version)

    monkeypatch.setattr(ProposalShelf, "_load", slowly)
    path = panel.session.project.path
    panel.close_session()
    panel.open(path)
    until(lambda: panel.session is not None)
    session = panel.session
    session.shelf.changed.connect(lambda: shown.append(session.active))
    until(lambda: len(session.proposals) == 2)
    until(lambda: session.active == chosen)
    assert set(shown) <= {"", chosen}, "no other one is shown meanwhile, nor exported"
    places = [panel.review._choice.indexOf(button) for button in panel.review.buttons.values()]
    names = [name for _, name in sorted(zip(places, panel.review.buttons, strict=True))]
    assert names == ["reference-guided", "semsim"], "in one order, whichever is read first"
    opened = [step for step in panel.steps if step.is_open]
    assert opened == [panel.review, panel.export], "there is something to review"


def test_a_round_that_ends_recommends_over_an_earlier_choice(with_proposal, until):
    from napari_sslseg.training.events import Finished

    _, panel = with_proposal
    put_proposal(panel.session, 1 - panel.truth, until, name="Reference-guided")
    panel.review.buttons["semsim"].click()
    panel.session.rounds.follow(Finished(1.0, "reference-guided"))
    assert reopened(panel, until).active == "reference-guided"


def test_a_chosen_proposal_that_is_damaged_makes_room_for_another(with_proposal, until):
    _, panel = with_proposal
    put_proposal(panel.session, 1 - panel.truth, until, name="Reference-guided")
    panel.review.buttons["semsim"].click()
    path = panel.session.project.path
    panel.close_session()
    for file in (path / "proposals" / "semsim").glob("classes*"):
        file.write_bytes(b"")
    panel.open(path)
    until(lambda: panel.session is not None and bool(panel.session.proposals))
    until(lambda: panel.session.active == "reference-guided")


def test_the_tool_in_hand_stays_in_hand_when_a_proposal_comes_or_another_is_shown(started, until):
    _, panel = started
    session = panel.session
    assert str(session.references.layer.mode) == "paint"
    put_proposal(session, panel.truth, until)
    first = session.proposals["semsim"].layer
    panel.review.buttons["semsim"].click()
    assert str(first.mode) == "paint", "a drag does what it did on References"
    first.mode, first.brush_size = "erase", 4
    put_proposal(session, panel.truth, until, name="Reference-guided")
    panel.review.buttons["reference-guided"].click()
    other = session.proposals["reference-guided"].layer
    assert (str(other.mode), other.brush_size) == ("erase", 4)
    session.tools.choose("grow")
    panel.review.buttons["semsim"].click()
    assert session.tools.tool == "grow"
    assert str(first.mode) == "pan_zoom"
    assert not first.mouse_pan
