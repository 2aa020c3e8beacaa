"""Outlines of masks."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import points_in_poly

from napari_sslseg.formats.contours import outlines


def filled(polygons, shape):
    """Count in how many polygons each pixel's centre lies, by the even-odd rule for each."""
    centres = np.argwhere(np.ones(shape)).astype(float)
    inside = sum((points_in_poly(centres, p).astype(int) for p in polygons), np.zeros(len(centres)))
    return inside.reshape(shape)


@pytest.mark.parametrize("share", [0.05, 0.4, 0.6, 0.9, 1.0])
def test_polygons_hold_just_the_pixels_of_the_mask_once(share):
    generator = np.random.default_rng(0)
    for _ in range(25):
        mask = generator.random((9, 12)) < share
        assert np.array_equal(filled(outlines(mask), mask.shape), mask)


def test_rings_in_rings_are_filled_rightly():
    row, column = np.mgrid[:41, :41]
    ring = (np.hypot(row - 20, column - 20) // 4).astype(int) % 2 == 0
    polygons = outlines(ring)
    assert len(polygons) > 2
    assert np.array_equal(filled(polygons, ring.shape), ring)


def test_a_part_with_many_holes_is_one_polygon():
    mask = np.ones((20, 30), bool)
    mask[2:18:4, 2:28:4] = False
    (polygon,) = outlines(mask)
    assert np.array_equal(filled([polygon], mask.shape), mask)


def test_corners_lie_half_way_to_the_neighbours_and_none_on_straight_lines():
    mask = np.zeros((8, 9), bool)
    mask[2:5, 3:7] = True
    (polygon,) = outlines(mask)
    assert polygon.min(axis=0).tolist() == [1.5, 2.5]
    assert polygon.max(axis=0).tolist() == [4.5, 6.5]
    assert len(polygon) == 8  # the corners are cut


def test_nothing_has_no_outline():
    assert outlines(np.zeros((4, 5), bool)) == []
