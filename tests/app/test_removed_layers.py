"""Layers that the user deletes: ink comes back, proposals are let go."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers._layer_actions import _duplicate_layer

from .conftest import put_proposal

pytestmark = pytest.mark.usefixtures("without_window")


def test_deleted_references_are_put_back_with_all_ink(started, paint, until):
    viewer, panel = started
    references = panel.session.references
    paint(references.layer, 3, panel.truth[3] == 1, 1)
    ink = references.ink.copy()
    viewer.layers.remove(references.layer)
    until(lambda: references.layer in viewer.layers)
    assert np.array_equal(viewer.layers["References"].data, ink)


def test_a_cleared_viewer_gets_image_and_references_back(started, paint, until):
    viewer, panel = started
    references, image = panel.session.references, panel.session.image
    paint(references.layer, 3, panel.truth[3] == 1, 1)
    ink = references.ink.copy()
    viewer.layers.clear()
    until(lambda: references.layer in viewer.layers and image in viewer.layers)
    assert [layer.name for layer in viewer.layers] == ["cone", "References"]
    assert np.array_equal(viewer.layers["References"].data, ink)
    paint(references.layer, 4, panel.truth[4] == 1, 1)
    panel.volume.leave.click()
    until(lambda: panel.session is None)
    viewer.layers.clear()
    until(lambda: True)
    assert not len(viewer.layers)


def test_closing_the_project_does_not_put_references_back(started, until):
    viewer, panel = started
    panel.close_session()
    until(lambda: panel.session is None)
    until(lambda: "References" not in viewer.layers)
    assert "cone" in viewer.layers


def test_a_deleted_proposal_keeps_its_corrections_for_the_next_version(with_proposal, paint, until):
    viewer, panel = with_proposal
    session = panel.session
    where = np.zeros((40, 44), bool)
    where[20, 20] = True
    paint(session.proposals["semsim"].layer, 4, where, 0)
    viewer.layers.remove("SemSim")
    assert session.proposals == {}
    assert not panel.review.accept.isEnabled()
    put_proposal(session, panel.truth, until)
    assert viewer.layers["SemSim"].data[4, 20, 20] == 0


def test_the_recommended_proposal_is_shown_once_it_has_been_read(with_proposal, until):
    from napari_sslseg.training.events import Finished

    _, panel = with_proposal
    session = panel.session
    session.rounds.follow(Finished(1.0, "reference-guided"))
    assert session.active == "semsim"
    put_proposal(session, 1 - panel.truth, until, name="Reference-guided")
    assert session.active == "reference-guided"


def test_copies_that_the_user_has_made_stay_when_the_project_is_closed(with_proposal, until):
    viewer, panel = with_proposal
    for name in ("References", "SemSim"):
        viewer.layers.selection.active = viewer.layers[name]
        _duplicate_layer(viewer.layers)
    panel.close_session()
    until(lambda: panel.session is None)
    assert [layer.name for layer in viewer.layers] == ["cone", "SemSim copy", "References copy"]


@pytest.mark.parametrize(("axis", "index"), [(0, 4), (2, 20)])
def test_layers_that_are_put_back_show_the_slice_of_before(with_proposal, until, axis, index):
    viewer, panel = with_proposal
    session = panel.session
    session.set_axis(axis)
    session.go_to(index)
    viewer.layers.select_all()
    viewer.layers.remove_selected()
    assert session.references.current_slice() == index
    until(lambda: session.references.layer in viewer.layers)
    assert session.references.current_slice() == index
    assert viewer.dims.order[0] == axis
    assert viewer.dims.current_step[axis] == index


def test_the_button_of_a_deleted_proposal_shows_it_again(with_proposal, paint, until):
    viewer, panel = with_proposal
    session = panel.session
    where = np.zeros((40, 44), bool)
    where[20, 20] = True
    layer = session.proposals["semsim"].layer
    paint(layer, 4, where, 0)
    viewer.layers.selection.active = layer
    viewer.layers.remove_selected()
    until(lambda: viewer.layers.selection.active is session.references.layer)
    assert "Confidence" not in viewer.layers  # it spoke of what is not there any more
    assert not panel.review.quality.text()
    assert "deleted" in panel.review.hint.text()
    panel.review.buttons["semsim"].click()
    assert session.active == "semsim"
    assert layer.visible
    assert layer.data[4, 20, 20] == 0
    assert [one.name for one in viewer.layers] == ["cone", "Confidence", "SemSim", "References"]
    assert viewer.layers.selection.active is layer
    assert panel.review.accept.isEnabled()
    assert not panel.review.hint.text()
    paint(layer, 5, where, 0)
    panel.top.undo.click()
    assert layer.data[5, 20, 20] == panel.truth[5, 20, 20]


def test_the_other_proposal_is_selected_when_one_is_deleted(with_proposal, until):
    viewer, panel = with_proposal
    session = panel.session
    put_proposal(session, 1 - panel.truth, until, name="Reference-guided")
    session.activate("semsim")
    viewer.layers.remove_selected()
    until(lambda: session.active == "reference-guided")
    other = session.proposals["reference-guided"].layer
    assert list(viewer.layers.selection) == [other]
    assert panel.review.buttons["reference-guided"].isChecked()
