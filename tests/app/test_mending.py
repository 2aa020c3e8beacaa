"""Mending with the panel's buttons and keys: right voxels, one step each, ink untouched."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.editing.change import Change
from napari_sslseg.editing.components import fill_holes, keep_largest
from napari_sslseg.editing.smoothing import smooth
from napari_sslseg.volume.annotation import NOT_ANNOTATED, SliceState

from .conftest import SHAPE, put_proposal

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def rough(with_proposal, until):
    """Give a proposal with islands, holes and a rough outline in every slice."""
    _, panel = with_proposal
    rng = np.random.default_rng(1)
    mask = panel.truth.copy()
    flipped = rng.random(SHAPE) < 0.04
    mask[flipped] = 1 - mask[flipped]
    put_proposal(panel.session, mask, until)
    panel.session.go_to(4)
    panel.review.correct.open()
    return panel


def settle(panel, until) -> None:
    until(lambda: not panel.session.mender.busy)


OPERATIONS = {
    "smooth": lambda labels, spacing: smooth(labels, [1], spacing),
    "fill": lambda labels, spacing: fill_holes(labels, [1]),
    "largest": lambda labels, spacing: keep_largest(labels, [1]),
}


@pytest.mark.parametrize("volume", [False, True])
def test_an_operation_is_one_step_and_leaves_ink_alone(rough, until, volume):
    session, part = rough.session, rough.review.correct
    layer = session.proposals["semsim"].layer
    before, ink = layer.data.copy(), session.references.ink.copy()
    part.scope.setCurrentIndex(int(volume))
    for name, operation in OPERATIONS.items():
        rough.review.hint.setText("")
        getattr(part, name).click()
        settle(rough, until)
        expected = before.copy()
        if volume:
            expected = operation(before, (2.0, 1.0, 1.0))
        else:
            expected[4] = operation(before[4], (1.0, 1.0))
        expected = np.where(ink != NOT_ANNOTATED, before, expected)
        assert not np.array_equal(expected, before), name
        assert np.array_equal(layer.data, expected), name
        assert np.array_equal(session.references.ink, ink), name
        assert "Done" in rough.review.hint.text(), name
        layer.undo()
        assert np.array_equal(layer.data, before), name
        layer.redo()
        assert np.array_equal(layer.data, expected), name
        layer.undo()


def test_an_operation_can_be_kept_to_one_class(rough, until):
    session, part = rough.session, rough.review.correct
    session.add_class("Second")
    before = session.proposals["semsim"].layer.data.copy()
    part.class_box.setCurrentIndex(part.class_box.findData(2))
    part.smooth.click()
    settle(rough, until)
    assert np.array_equal(session.proposals["semsim"].layer.data, before)
    assert "Nothing to change" in rough.review.hint.text()


def test_along_another_axis(rough, until):
    session = rough.session
    session.set_axis(2)
    session.go_to(20)
    layer = session.proposals["semsim"].layer
    before, ink = layer.data.copy(), session.references.ink
    rough.review.correct.largest.click()
    settle(rough, until)
    changed = np.argwhere(layer.data != before)
    assert len(changed)
    assert set(changed[:, 2]) == {20}
    assert (ink[tuple(changed.T)] == NOT_ANNOTATED).all()
    layer.undo()
    assert np.array_equal(layer.data, before)


@pytest.fixture
def other(rough, until):
    """Add a second proposal that has one more part in slice 4."""
    mask = rough.truth.copy()
    mask[4, 30:34, 30:34] = 1
    put_proposal(rough.session, mask, until, name="Reference-guided")
    rough.session.activate("semsim")
    rough.session.go_to(4)
    return mask


def test_a_slice_is_taken_from_the_other_proposal(rough, other, until):
    layer = rough.session.proposals["semsim"].layer
    before = layer.data.copy()
    rough.review.correct.take_slice.click()
    settle(rough, until)
    assert np.array_equal(layer.data[4], other[4])
    assert np.array_equal(np.delete(layer.data, 4, 0), np.delete(before, 4, 0))
    layer.undo()
    assert np.array_equal(layer.data, before)


def test_a_part_is_taken_from_the_other_proposal(rough, other, until):
    session = rough.session
    layer = session.proposals["semsim"].layer
    layer.data[4] = rough.truth[4]
    before = layer.data.copy()
    session.mender.take_part((4, 31, 31))
    settle(rough, until)
    assert (layer.data[4, 30:34, 30:34] == 1).all()
    assert np.count_nonzero(layer.data != before) == 16
    layer.undo()
    assert np.array_equal(layer.data, before)
    session.mender.take_part((4, 2, 2))
    settle(rough, until)
    assert "say the same" in rough.review.hint.text()


def test_a_part_is_taken_through_all_its_slices(rough, until):
    session = rough.session
    put_proposal(session, rough.truth, until)
    theirs = rough.truth.copy()
    theirs[2:6, 30:34, 30:34] = 1
    theirs[9, 30:34, 30:34] = 1
    put_proposal(session, theirs, until, name="Reference-guided")
    session.activate("semsim")
    layer = session.proposals["semsim"].layer
    before, ink = layer.data.copy(), session.references.ink
    session.mender.take_part((4, 31, 31), volume=True)
    settle(rough, until)
    expected = before.copy()
    expected[2:6, 30:34, 30:34] = 1
    assert np.array_equal(layer.data, np.where(ink == NOT_ANNOTATED, expected, before))
    assert not layer.data[9, 30:34, 30:34].any(), "another part"
    layer.undo()
    assert np.array_equal(layer.data, before)


def test_a_disputed_part_flips_through_all_its_slices(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    session.go_to(4)
    layer = session.proposals["semsim"].layer
    before = layer.data.copy()
    session.mender.flip((4, 20, 20), volume=True)
    settle(panel, until)
    assert not layer.data[4].any(), "its surroundings are background"
    assert np.array_equal(np.delete(layer.data, 4, 0), np.delete(before, 4, 0))


def test_a_disputed_part_flips_to_what_the_other_proposal_says(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    session.go_to(4)
    layer = session.proposals["semsim"].layer
    before = layer.data.copy()
    put_proposal(session, np.zeros_like(panel.truth), until, name="Reference-guided")
    session.activate("semsim")
    session.mender.flip((4, 20, 20))  # all of slice 4 is in dispute
    settle(panel, until)
    assert not layer.data[4].any()
    assert np.array_equal(np.delete(layer.data, 4, 0), np.delete(before, 4, 0))
    assert session.proposals["semsim"].corrections()[4][panel.truth[4] == 1].max() == 0
    layer.undo()
    assert np.array_equal(layer.data, before)


def test_what_is_not_disputed_does_not_flip(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    before = session.proposals["semsim"].layer.data.copy()
    session.mender.flip((2, 20, 18))
    settle(panel, until)
    assert np.array_equal(session.proposals["semsim"].layer.data, before)
    assert "do not disagree" in panel.review.hint.text()


def test_accepting_the_sure_part_leaves_the_rest_open(with_proposal, paint):
    _, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    session.go_to(3)
    mask = np.zeros(SHAPE[1:], bool)
    mask[0, 0] = True  # unsure there, and corrected
    paint(proposal.layer, 3, mask, 1)
    before = session.references.ink.copy()
    panel.review.accept_sure.click()
    ink = session.references.ink
    sure = proposal.regions[3] == 1
    assert sure.any()
    assert np.array_equal(ink[3][sure], panel.truth[3][sure])
    assert ink[3, 0, 0] == 1
    rest = ~sure & ~mask
    assert (ink[3][rest] == NOT_ANNOTATED).all()
    assert session.references.states[3] == SliceState.PARTIAL
    session.history.undo()
    assert np.array_equal(ink, before)


def test_slices_between_two_corrected_ones_are_interpolated(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    empty = np.zeros_like(panel.truth)
    put_proposal(session, empty, until)
    layer = session.proposals["semsim"].layer
    ink = session.references.ink.copy()
    session.go_to(8)
    panel.review.correct.interpolate.click()  # between the references 6 and 10
    settle(panel, until)
    assert "slices 7 to 9" in panel.review.hint.text()
    for z in (7, 8, 9):
        overlap = 2 * (layer.data[z] & panel.truth[z]).sum()
        assert overlap / (layer.data[z].sum() + panel.truth[z].sum()) > 0.9
    assert not layer.data[[2, 3, 4, 5, 11]].any()
    assert np.array_equal(session.references.ink, ink)
    layer.undo()
    assert np.array_equal(layer.data, empty)


@pytest.mark.parametrize("again", [False, True])
def test_operations_on_the_whole_volume_make_no_slice_a_known_one(rough, until, paint, again):
    panel, session = rough, rough.session
    part, hint = panel.review.correct, panel.review.hint
    part.scope.setCurrentIndex(1)
    for button in (part.smooth, part.largest):
        button.click()
        settle(panel, until)
    part.scope.setCurrentIndex(0)
    if again:  # the same in a later session
        path = session.project.path
        panel.leave()
        until(lambda: panel.session is None)
        panel.open(path)
        until(lambda: panel.session is not None and "semsim" in panel.session.proposals)
        session = panel.session
    proposal = session.proposals["semsim"]
    corrected = [z for z in range(SHAPE[0]) if proposal.slice_of(0, z)[1].any()]
    assert set(range(7, 10)) <= set(corrected)
    session.go_to(8)
    part.interpolate.click()  # between the references 6 and 10
    settle(panel, until)
    assert "slices 7 to 9" in hint.text()
    # Nor do the slices that it filled; one that the hand went to is known until that is undone.
    mask = np.zeros(SHAPE[1:], bool)
    mask[2:4, 2:4] = True
    paint(proposal.layer, 8, mask, 1)
    session.go_to(7)
    part.interpolate.click()
    settle(panel, until)
    assert "slices 7 to 7" in hint.text()
    assert proposal.layer.data[8, 2, 2] == 1
    while proposal.layer.data[8, 2, 2]:
        session.history.undo()
    session.go_to(7)
    part.interpolate.click()
    settle(panel, until)
    assert "slices 7 to 9" in hint.text()


def test_where_every_slice_is_known_nothing_is_interpolated_and_the_reason_is_true(
    with_proposal, until, paint
):
    _, panel = with_proposal
    session = panel.session
    mask = np.zeros(SHAPE[1:], bool)
    mask[2:4, 2:4] = True
    for index in (7, 8, 9):
        paint(session.proposals["semsim"].layer, index, mask, 1)
    before = session.proposals["semsim"].layer.data.copy()
    session.go_to(8)
    panel.review.correct.interpolate.click()
    settle(panel, until)
    assert "on either side are corrected or accepted" in panel.review.hint.text()
    assert np.array_equal(session.proposals["semsim"].layer.data, before)


def test_without_known_slices_on_both_sides_nothing_is_interpolated(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    before = session.proposals["semsim"].layer.data.copy()
    session.go_to(11)
    panel.review.correct.interpolate.click()
    settle(panel, until)
    assert np.array_equal(session.proposals["semsim"].layer.data, before)
    assert "either side" in panel.review.hint.text()


def test_a_stroke_meanwhile_is_neither_lost_nor_undone_with_the_operation(
    rough, until, paint, monkeypatch
):
    session = rough.session
    layer = session.proposals["semsim"].layer
    made = Change.of_slice
    island = np.zeros(SHAPE[1:], bool)
    painted = []

    def while_painting(shape, axis, index, before, after):
        change = made(shape, axis, index, before, after)
        if not painted:
            # The user paints over what is just about to change.
            where = np.argwhere(before != after)[0]
            island[tuple(where)] = True
            painted.append(tuple(where))
            layer.data[4][island] = 1 - layer.data[4][island]
        return change

    monkeypatch.setattr(Change, "of_slice", while_painting)
    rough.review.correct.largest.click()
    settle(rough, until)
    assert painted
    assert np.array_equal(layer.data[4], keep_largest(layer.data[4], [1]))
    after = layer.data.copy()
    layer.undo()
    assert np.array_equal(layer.data[4][island], after[4][island])


def test_buttons_say_why_they_cannot_be_used(started):
    _, panel = started
    part = panel.review.correct
    for button in (part.smooth, part.take_slice, part.interpolate, *part.tools.values()):
        assert not button.isEnabled()
        assert "press Train" in button.toolTip()


def test_one_proposal_alone_has_no_other_to_take_from(with_proposal):
    _, panel = with_proposal
    part = panel.review.correct
    assert part.smooth.isEnabled()
    assert not part.take_slice.isEnabled()
    assert "only one proposal" in part.take_slice.toolTip()


def test_accepting_works_while_the_layers_are_hidden(with_proposal):
    _, panel = with_proposal
    session = panel.session
    panel.review.image_only.click()
    assert not session.references.layer.visible
    session.go_to(4)
    panel.review.accept.click()
    assert session.accepted_slices() == [4]
    panel.review.image_only.click()
    assert session.references.layer.visible
