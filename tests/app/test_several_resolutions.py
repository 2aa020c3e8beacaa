"""A volume of several resolutions: the finest one is what is labelled."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.acquisition.content import look_at
from napari_sslseg.acquisition.registry import create
from napari_sslseg.app.sections.references_section import FIRST_REFERENCES

from .conftest import make_volume

pytestmark = pytest.mark.usefixtures("without_window")


def begin(make_panel, until, adopted: bool):
    """Start on a volume of three resolutions, perhaps with ink that is there already."""
    viewer, panel = make_panel()
    image, truth = make_volume()
    levels = [image, image[::2, ::2, ::2], image[::4, ::4, ::4]]
    viewer.add_image(levels, multiscale=True, name="cone", scale=(2, 1, 1))
    if adopted:
        ink = np.full(image.shape, 255, np.uint8)
        ink[9] = truth[9]
        viewer.add_labels(ink, name="References", scale=(2, 1, 1))
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    return panel, image


def test_a_slice_beyond_the_coarse_ones_gets_its_thumbnail(make_panel, until):
    panel, _ = begin(make_panel, until, adopted=False)
    panel.session.go_to(9)
    panel.references.mark.click()
    until(lambda: panel.references.list.count() == 1)
    until(lambda: not panel.references.list.item(0).icon().isNull())
    assert panel.references.list.item(0).text() == "● 9"


def test_ink_that_is_there_already_is_adopted_with_its_thumbnail(make_panel, until):
    panel, _ = begin(make_panel, until, adopted=True)
    until(lambda: not panel.references.list.item(0).icon().isNull())
    assert panel.session.references.references() == [9]


def test_slices_are_suggested_at_the_finest_resolution(make_panel, until):
    panel, image = begin(make_panel, until, adopted=False)
    session = panel.session
    first = create().first(look_at(image, 0), FIRST_REFERENCES)[0]
    session.go_to(0 if first else 1)
    panel.references.suggest.click()
    until(lambda: session.references.current_slice() == first, 10)
