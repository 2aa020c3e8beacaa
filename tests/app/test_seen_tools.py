"""On references napari's tools act on the ink that is seen, not on the proposal that is not."""

from __future__ import annotations

import numpy as np
import pytest

from .conftest import SHAPE, put_proposal

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def wrong(with_proposal, until):
    """Give a session whose proposal is wrong everywhere, the layer, and a reference in view."""
    _, panel = with_proposal
    session = panel.session
    put_proposal(session, 1 - panel.truth, until)
    session.add_class()
    session.go_to(6)
    return session, session.proposals["semsim"].layer, panel.truth


def pick(layer, point) -> int:
    """Return what napari's colour picker takes."""
    world = layer.data_to_world(point)
    return layer.get_value(world, view_direction=None, dims_displayed=[1, 2], world=True)


def test_the_bucket_and_the_picker_act_on_the_ink_that_is_seen(wrong):
    session, layer, truth = wrong
    inside, outside = (6, 20, 22), (6, 2, 2)
    assert truth[inside] == 1
    assert truth[outside] == 0
    assert (pick(layer, inside), pick(layer, outside)) == (1, 0)
    ink, held = session.references.ink.copy(), layer.data.copy()
    for label in (2, 0):  # 0 is what the proposal holds there: that is said by filling all the same
        layer.fill(inside, label)
        expected = np.where(truth[6] == 1, label, 0)
        assert np.array_equal(session.final_labels()[6], expected)
        assert pick(layer, inside) == label
        session.history.undo()
        assert np.array_equal(session.final_labels()[6], truth[6])
        assert np.array_equal(layer.data, held)
    layer.fill(inside, 1)
    assert np.array_equal(layer.data, held), "it holds that class, as is seen"
    assert np.array_equal(session.references.ink, ink)
    session.go_to(3)
    assert pick(layer, (3, 2, 2)) == 1, "elsewhere it is the proposal"
    layer.fill((3, 2, 2), 2)
    assert np.array_equal(layer.data[3], np.where(held[3] == 1, 2, 0))
    session.references.layer.visible = False
    session.go_to(6)
    assert pick(layer, inside) == 0, "the proposal is seen there now"
    layer.fill(outside, 2)
    assert np.array_equal(layer.data[6], np.where(held[6] == 1, 2, 0))


def test_a_fill_of_the_volume_goes_by_what_is_seen_in_every_slice(wrong):
    session, layer, _ = wrong
    before = session.final_labels()
    seen = np.where(session.references.ink != 255, session.references.ink, layer.data)
    assert np.array_equal(before, seen)
    session.go_to(3)
    layer.n_edit_dimensions, layer.contiguous = 3, False
    layer.fill((3, 2, 2), 2)
    assert np.array_equal(session.final_labels(), np.where(seen == 1, 2, seen))


def test_preserved_labels_are_those_that_are_seen(wrong):
    session, layer, truth = wrong
    layer.preserve_labels = True
    layer.brush_size = 2 * max(SHAPE)
    layer.paint((6, 20, 22), 2)
    assert np.array_equal(session.final_labels()[6], np.where(truth[6] == 1, 1, 2))
    assert layer.preserve_labels
    session.history.undo()
    layer.fill((6, 20, 22), 2)
    assert np.array_equal(session.final_labels()[6], truth[6])


def test_the_edge_brush_shrinks_the_ink_that_is_seen(wrong):
    session, layer, truth = wrong
    tools = session.tools
    tools.choose("shrink")
    layer.selected_label, layer.brush_size = 1, 2 * max(SHAPE)
    with session.history.named("shrinking", (0, 6)), layer.block_history():
        tools._paint(layer, (6, 20, 22))
    after = session.final_labels()[6]
    assert ((after == truth[6]) | ((truth[6] == 1) & (after == 0))).all()
    assert (after != truth[6]).any()
    session.history.undo()
    assert np.array_equal(session.final_labels()[6], truth[6])
