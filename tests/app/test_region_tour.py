"""Going from doubt to doubt: order, centring, back, what was mended is passed over."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app import region_tour
from napari_sslseg.editing.doubt import doubtful_places
from napari_sslseg.training.events import ProposalReady
from napari_sslseg.volume.proposal import Proposal

from .conftest import SHAPE

pytestmark = pytest.mark.usefixtures("without_window")


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


def test_the_end_of_the_tour_says_what_was_not_shown(places, until, paint, monkeypatch):
    _, panel = places
    session, hint = panel.session, panel.review.hint
    monkeypatch.setattr(
        region_tour, "doubtful_places", lambda slices, count: doubtful_places(slices, count, most=1)
    )
    session.proposals["semsim"].regions[0, 0, 0] = 4  # a speck
    # What is settled makes room for the next one.
    mask = np.zeros(SHAPE[1:], bool)
    mask[20:30, 20:26] = True
    for index, pixels in ((8, 60), (9, 36), (3, 16)):
        panel.review.next_place.click()
        until(lambda pixels=pixels: f"{pixels} pixels" in hint.text())
        assert "1 of 1" in hint.text()
        paint(session.proposals["semsim"].layer, index, mask, 2)
        panel.review.next_place.click()
        assert hint.text().startswith("You have seen the 1 largest places")
    monkeypatch.undo()
    for text in ("1 of 2", "2 of 2", "You have seen every place of 4 pixels or more"):
        panel.review.next_place.click()
        until(lambda text=text: text in hint.text())


def test_places_that_were_settled_before_the_first_look_are_found_when_they_open_again(
    places, until
):
    _, panel = places
    session, hint = panel.session, panel.review.hint
    for index in (3, 5, 8, 9):
        session.go_to(index)
        panel.review.accept.click()
    panel.review.next_place.click()
    until(lambda: "nowhere" in hint.text())
    session.history.undo()
    panel.review.next_place.click()
    until(lambda: "36 pixels" in hint.text())


def test_specks_are_not_called_nothing(with_proposal, until):
    _, panel = with_proposal
    session = panel.session
    session.go_to(4)
    panel.review.accept.click()
    session.proposals["semsim"].regions[5, 3, 3] = 4
    panel.review.next_place.click()
    until(lambda: "only on specks of fewer than 4 pixels" in panel.review.hint.text())


def test_no_doubt_is_said(with_proposal, until):
    _, panel = with_proposal
    panel.session.go_to(4)
    panel.review.accept.click()  # the only slice with a dispute
    panel.review.next_place.click()
    until(lambda: "nowhere" in panel.review.hint.text())


def view(viewer) -> tuple[float, ...]:
    camera = viewer.scene.camera
    return (*camera.center[-2:], camera.zoom)


def test_the_next_slice_is_shown_as_before_the_tour(places, until):
    viewer, panel = places
    session = panel.session
    until(lambda: session.suggest() is not None)
    session.go_to(0)
    viewer.scene.camera.zoom *= 1.25
    before = view(viewer)
    panel.review.next_place.click()
    until(lambda: session.references.current_slice() == 8)
    panel.review.next_place.click()
    assert view(viewer) != pytest.approx(before)
    panel.review.next.click()
    assert view(viewer) == pytest.approx(before)
    # Accept and go on does the same.
    panel.review.next_place.click()
    until(lambda: view(viewer) != pytest.approx(before))
    here = session.references.current_slice()
    panel.review.accept_next.click()
    until(lambda: session.references.current_slice() != here)
    assert view(viewer) == pytest.approx(before)


def test_a_zoom_of_the_user_is_never_overridden(places, until):
    viewer, panel = places
    session = panel.session
    until(lambda: session.suggest() is not None)
    session.go_to(0)
    panel.review.next_place.click()
    until(lambda: session.references.current_slice() == 8)
    viewer.scene.camera.zoom *= 1.1
    chosen = view(viewer)
    panel.review.next.click()
    assert view(viewer) == pytest.approx(chosen)
    # From there another tour may begin, and leads back to there.
    panel.review.next_place.click()
    until(lambda: view(viewer) != pytest.approx(chosen))
    panel.review.next.click()
    assert view(viewer) == pytest.approx(chosen)
