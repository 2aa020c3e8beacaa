"""Trust colours: gone with a correction, back with its undo, never over ink."""

from __future__ import annotations

import numpy as np

from napari_sslseg.app.region_view import RegionArray


def test_a_corrected_voxel_loses_its_region_at_once_and_has_it_back_on_undo(with_proposal, paint):
    viewer, panel = with_proposal
    session = panel.session
    proposal = session.proposals["semsim"]
    confidence = viewer.layers["Confidence"]
    session.go_to(4)
    assert confidence.data[4, 20, 20] == 4
    where = np.zeros((40, 44), bool)
    where[20, 20] = True
    paint(proposal.layer, 4, where, 0)
    assert confidence.data[4, 20, 20] == 0
    assert np.asarray(confidence._slice.image.raw)[20, 20] == 0
    proposal.layer.undo()
    assert confidence.data[4, 20, 20] == 4
    proposal.layer.redo()
    assert confidence.data[4, 20, 20] == 0


def test_ink_has_no_region(with_proposal):
    viewer, panel = with_proposal
    confidence = viewer.layers["Confidence"]
    assert not confidence.data[6].any()
    panel.session.references.mark(4)
    assert not confidence.data[4].any()
    panel.session.references.layer.undo()
    assert confidence.data[4].any()


def test_sure_background_is_not_painted():
    shape = (1, 2, 2)
    classes = np.array([[[0, 1], [0, 1]]], dtype=np.uint8)
    regions = np.array([[[1, 1], [2, 2]]], dtype=np.uint8)
    blank = np.full(shape, 255, dtype=np.uint8)
    view = RegionArray(classes, classes, regions, None, blank)
    assert view[0].tolist() == [[0, 1], [2, 2]]
    assert np.asarray(view).shape == shape


def test_what_was_said_has_no_region_even_if_the_proposal_agrees():
    classes = np.ones((1, 1, 2), dtype=np.uint8)
    said = np.array([[[True, False]]])
    blank = np.full((1, 1, 2), 255, dtype=np.uint8)
    view = RegionArray(classes, classes, classes * 4, said, blank)
    assert view[0].tolist() == [[0, 4]]


def test_the_legend_switches_regions_on_and_off(with_proposal):
    viewer, panel = with_proposal
    confidence = viewer.layers["Confidence"]
    box = panel.review.legend.boxes[4]
    assert confidence.colormap.map(np.uint8(4))[..., 3] > 0
    box.setChecked(False)
    assert confidence.colormap.map(np.uint8(4))[..., 3] == 0
    assert confidence.colormap.map(np.uint8(2))[..., 3] > 0
    box.setChecked(True)
    assert confidence.colormap.map(np.uint8(4))[..., 3] > 0


def test_the_legend_shows_the_shares(with_proposal, until):
    _, panel = with_proposal
    until(lambda: panel.review.legend.shares[4].text().endswith("%"))
    shown = [float(panel.review.legend.shares[c].text().split()[0]) for c in (1, 2, 3, 4)]
    assert abs(sum(shown) - 100) < 0.5
    assert shown[3] > 0
