"""Trust colours: gone with a correction, back with its undo, never over ink."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from napari_sslseg.app.palette import REGION_COLORS
from napari_sslseg.app.region_view import REGION_OPACITY, RegionArray

from .conftest import put_proposal

pytestmark = pytest.mark.usefixtures("without_window")


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
    assert box.text() == "likely wrong"
    assert "(DS in MetaSSL)" in box.toolTip(), "codes are for who knows them"
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


def test_no_class_fills_the_area_of_a_region_while_regions_are_shown(with_proposal):
    viewer, panel = with_proposal
    layer, confidence = viewer.layers["SemSim"], viewer.layers["Confidence"]
    boxes = panel.review.legend.boxes
    assert (layer.contour, layer.opacity) == (1, 1.0)
    assert viewer.layers.index(confidence) < viewer.layers.index(layer)
    for code in (2, 3):
        boxes[code].setChecked(False)
    assert layer.contour == 1, "one region is shown still"
    boxes[4].setChecked(False)
    assert (layer.contour, layer.opacity) == (0, 0.5)
    boxes[4].setChecked(True)
    assert (layer.contour, layer.opacity) == (1, 1.0)
    confidence.visible = False  # napari's eye
    assert layer.contour == 0
    confidence.visible = True
    assert layer.contour == 1
    panel.review.look.contour.setChecked(True)
    wide = layer.contour
    assert wide > 1
    boxes[4].setChecked(False)
    assert layer.contour == wide, "the user's own wish is for outlines"
    panel.review.look.contour.setChecked(False)
    assert layer.contour == 0


def test_another_proposal_is_outlined_as_well(with_proposal, until):
    viewer, panel = with_proposal
    put_proposal(panel.session, 1 - panel.truth, until, name="Reference-guided")
    assert viewer.layers["Reference-guided"].contour == 1


#: Machado and others (2009), full severity; on linear light.
_SEEN_BY = {
    "anybody": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def _lab(colour: np.ndarray, eyes: str) -> np.ndarray:
    light = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    light = np.clip(np.asarray(_SEEN_BY[eyes]) @ light, 0, 1)
    seen = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return rgb2lab(seen[None, None])[0, 0]


@pytest.mark.parametrize("eyes", sorted(_SEEN_BY))
@pytest.mark.parametrize("grey", [0.1, 0.5, 0.8])
def test_regions_are_told_apart_over_an_image_by_brightness_too(eyes, grey):
    opacity = REGION_OPACITY
    pure = {
        code: np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        for code, text in REGION_COLORS.items()
    }
    seen = {c: _lab(opacity * rgb + (1 - opacity) * grey, eyes) for c, rgb in pure.items()}
    for one, other in ((2, 3), (3, 4)):
        assert np.linalg.norm(seen[one] - seen[other]) > 25
        assert seen[one][0] - seen[other][0] > 15, "brighter, whatever the hue"
    for code in pure:
        apart = {other: np.linalg.norm(seen[code] - _lab(pure[other], eyes)) for other in pure}
        assert min(apart, key=apart.get) == code, "the legend's nearest colour is its own"
