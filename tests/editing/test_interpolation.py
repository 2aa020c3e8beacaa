"""Slices between two known ones."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.editing.interpolation import interpolate

from .test_smoothing import disc


def test_a_disc_that_moves_is_found_half_way():
    between = interpolate(disc(centre=(20, 14)), disc(centre=(20, 26)), 3, (1.0, 1.0))
    truth = disc(centre=(20, 20))
    assert between.shape == (3, 40, 44)
    overlap = 2 * (between[1] & truth).sum() / (between[1].sum() + truth.sum())
    assert overlap > 0.85


def test_a_disc_that_grows_has_radii_in_between():
    areas = [s.sum() for s in interpolate(disc(radius=5), disc(radius=11), 5, (1.0, 1.0))]
    assert areas == sorted(areas)
    assert disc(radius=5).sum() < areas[0]
    assert areas[-1] < disc(radius=11).sum()


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 3.0)])
def test_an_outline_is_half_way_whatever_the_pixel_size(spacing):
    lower, upper = np.zeros((2, 30, 40), np.uint8)
    lower[:, :10], upper[:, :14] = 1, 1
    assert (interpolate(lower, upper, 1, spacing)[0].sum(axis=1) == 12).all()


def test_equal_ends_give_the_same_slice():
    end = disc()
    end[18:22, 20:24] = 2
    between = interpolate(end, end, 2, (1.0, 2.0))
    assert np.array_equal(between[0], end)
    assert np.array_equal(between[1], end)


def test_a_class_that_ends_shrinks_away_and_nothing_else_appears():
    between = interpolate(disc(), np.zeros((40, 44), np.uint8), 6, (1.0, 1.0))
    areas = [int(s.sum()) for s in between]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > 0
    assert areas[-1] == 0
    assert (between <= disc()).all()


def test_a_class_that_ends_is_gone_half_way_where_it_is_a_quarter_of_the_picture_deep():
    lower = np.zeros((30, 40), np.uint8)
    lower[:, :20] = 1
    # Diagonal 50, so -12.5 at the other end: what lies more than 12.5 deep is left half-way.
    assert (interpolate(lower, np.zeros_like(lower), 1, (1.0, 1.0))[0].sum(axis=1) == 8).all()


def test_a_class_that_fills_one_end_has_no_outline_there():
    half = np.zeros((30, 40), np.uint8)
    half[:, :20] = 1
    assert (interpolate(np.ones_like(half), half, 1, (1.0, 1.0)) == 1).all()
