"""On references the user's ink alone is seen, as it alone is exported."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app.cross_section import plane
from napari_sslseg.app.known_slices import CountingArray

from .conftest import SHAPE, put_proposal

pytestmark = pytest.mark.usefixtures("without_window")

SPOT = np.zeros(SHAPE[1:], bool)
SPOT[3:6, 3:6] = True


@pytest.fixture
def wrong(with_proposal, until):
    """Give a session whose proposal is wrong everywhere, and how its layer is drawn."""
    _, panel = with_proposal
    put_proposal(panel.session, 1 - panel.truth, until)
    layer = panel.session.proposals["semsim"].layer

    def drawn() -> np.ndarray:
        return np.asarray(layer._slice.image.view) > 0

    return panel.session, layer, drawn


def test_a_reference_shows_ink_alone_and_the_proposal_as_soon_as_it_is_none(wrong):
    session, layer, drawn = wrong
    session.go_to(3)
    assert drawn().any()
    session.go_to(6)
    assert not drawn().any(), "what is proposed means nothing there"
    session.references.unmark(6)
    assert drawn().any()
    session.history.undo()
    assert not drawn().any()
    for width in (0, 2):
        session.go_to(3)
        layer.contour = width
        assert drawn().any()
        serial = session.proposals["semsim"].serial
        session.accept_slice()
        assert not drawn().any(), "ink now"
        session.history.undo()
        assert drawn().any()
        assert session.proposals["semsim"].serial == serial, "drawing is no edit"
    session.go_to(6)
    session.references.layer.visible = False
    assert drawn().any(), "who looks below the ink sees what was proposed"
    session.references.layer.visible = True
    assert not drawn().any()


def test_a_correction_of_a_reference_is_seen_with_the_ink_around_it(wrong, paint):
    session, layer, drawn = wrong
    session.go_to(6)
    layer.contour = 0
    paint(layer, 6, SPOT, 1)
    assert np.array_equal(drawn(), (session.final_labels()[6] > 0))
    assert drawn()[SPOT].all()
    paint(layer, 6, session.references.ink[6] == 1, 0)
    assert np.array_equal(drawn(), SPOT), "what was taken away is gone"
    session.history.undo()
    session.history.undo()
    assert not drawn().any()


def test_a_view_along_another_axis_shows_the_ink_of_references(wrong):
    session, layer, drawn = wrong
    layer.contour = 0
    for order in ((1, 0, 2), (2, 1, 0), (2, 0, 1)):
        session.viewer.dims.order = order
        index = session.viewer.dims.current_step[order[0]]
        for known in (False, True):
            if known:
                session.references.mark(4)
            final = plane(session.final_labels(), order[0], index) > 0
            assert np.array_equal(drawn(), final.T if order[1] > order[2] else final)
        session.history.undo()
        session.viewer.dims.order = (0, 1, 2)


def test_the_other_planes_show_what_is_exported(wrong, paint, until):
    session, layer, _ = wrong
    paint(layer, 6, SPOT, 1)
    paint(layer, 3, SPOT, 0)
    seen, final = session.known.seen(session.proposals["semsim"]), session.final_labels()
    assert isinstance(seen, CountingArray)
    for axis, index in ((1, 4), (2, 4), (1, 20)):
        assert np.array_equal(plane(seen, axis, index), plane(final, axis, index))


def test_a_correction_over_ink_is_seen_while_it_is_painted_and_the_ink_stays(with_proposal, paint):
    _, panel = with_proposal
    session, layer = panel.session, panel.session.proposals["semsim"].layer
    ink, truth = session.references.layer, panel.truth[6] == 1
    before = ink.data.copy()

    def drawn() -> np.ndarray:
        return np.asarray(ink._slice.image.view)

    session.go_to(6)
    inked = drawn().copy()
    assert np.unique(inked).size == 2, "the object and its background"
    with layer.block_history():
        paint(layer, 6, truth, 0)
        assert np.unique(drawn()).size == 1, "the stroke is still being drawn"
    paint(layer, 6, SPOT, 1)
    assert np.array_equal(drawn() == inked[truth][0], SPOT)
    final = np.where(before == 255, 255, session.final_labels())
    assert np.array_equal(session.known.seen_ink()[:], final), "as the other planes draw it"
    layer.visible = False
    assert np.array_equal(drawn(), inked), "who hides the proposal sees the ink"
    layer.visible = True
    assert np.array_equal(drawn() == inked[truth][0], SPOT)
    assert np.array_equal(ink.data, before)
    session.history.undo()
    session.history.undo()
    assert np.array_equal(drawn(), inked)
    paint(layer, 6, truth, 0)
    paint(ink, 6, truth, 1)
    assert np.array_equal(drawn(), inked), "ink has the last word"
