"""Going from doubt to doubt: order, centring, back, what was mended is passed over."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.training.events import ProposalReady
from napari_sslseg.volume.proposal import Proposal

from .conftest import SHAPE


@pytest.fixture
def places(started, until):
    """Give a proposal with three disputed places of different size."""
    viewer, panel = started
    regions = np.ones(SHAPE, np.uint8)
    regions[3, 4:8, 4:8] = 4  # 16
    regions[8, 20:30, 20:26] = 3  # 60
    regions[9, 22:28, 20:26] = 3  # the same, next slice
    regions[5, 34:36, 30:35] = 4  # 10
    proposal = Proposal("SemSim", panel.truth, regions, np.full(SHAPE, 90, np.uint8))
    panel.session.project.write_proposal(proposal)
    panel.session.retraining.follow(ProposalReady("semsim", "SemSim", 1))
    until(lambda: "semsim" in panel.session.proposals)
    return viewer, panel


def test_places_come_by_size_in_the_middle_of_the_canvas(places, until):
    viewer, panel = places
    current = panel.session.references.current_slice
    session = panel.session
    session.go_to(0)
    panel.review.next_place.click()
    until(lambda: current() == 8)
    assert viewer.scene.camera.center[-2:] == pytest.approx((24.5, 22.5))
    zoom = viewer.scene.camera.zoom
    assert "60 pixels" in panel.review.hint.text()
    assert "1 of 3" in panel.review.hint.text()
    panel.review.next_place.click()
    assert current() == 3
    assert viewer.scene.camera.center[-2:] == pytest.approx((5.5, 5.5))
    assert viewer.scene.camera.zoom >= zoom
    panel.review.next_place.click()
    assert current() == 5
    panel.review.previous_place.click()
    assert current() == 3
    panel.review.previous_place.click()
    assert current() == 8
    panel.review.previous_place.click()
    assert "began" in panel.review.hint.text()
    for expected in (3, 5):
        panel.review.next_place.click()
        assert current() == expected
    panel.review.next_place.click()
    assert "every place" in panel.review.hint.text()


def test_what_was_corrected_or_accepted_is_passed_over_and_comes_back_with_undo(
    places, until, paint
):
    _, panel = places
    session = panel.session
    layer = session.proposals["semsim"].layer
    session.go_to(8)
    mask = np.zeros(SHAPE[1:], bool)
    mask[20:30, 20:26] = True
    paint(layer, 8, mask, 2)
    panel.review.next_place.click()
    until(lambda: session.references.current_slice() == 9)
    layer.undo()
    session.go_to(3)
    panel.review.accept.click()
    panel.review.next_place.click()
    assert session.references.current_slice() == 5


def test_no_doubt_is_said(with_proposal, until):
    _, panel = with_proposal
    panel.session.go_to(4)
    panel.review.accept.click()  # the only slice with a dispute
    panel.review.next_place.click()
    until(lambda: "nowhere" in panel.review.hint.text())
