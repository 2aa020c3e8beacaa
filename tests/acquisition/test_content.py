"""What slices show, before anything is labelled."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.acquisition.content import Content, _grid_means, look_at, scaled


def test_content_is_looked_at_along_any_axis_and_survives_what_is_not_a_number():
    image = np.random.default_rng(0).normal(size=(20, 30, 7)).astype(np.float32)
    image[3, 4, 5] = np.nan
    for axis in range(3):
        content = look_at(image, axis)
        assert content.depth == image.shape[axis]
        assert np.isfinite(content.descriptors).all()
    channels = np.stack([image, image], axis=-1)
    assert np.array_equal(look_at(channels, 2).amount, look_at(image, 2).amount)
    assert look_at(np.zeros((5, 4, 4)), 0).shown() == (0, 4)


def test_voxels_without_a_number_count_as_the_lowest_value():
    image = np.random.default_rng(1).normal(-500, 20, size=(6, 30, 30)).astype(np.float32)
    gaps = np.zeros(image.shape, bool)
    gaps[2], gaps[4, :, :10] = True, True
    filled = np.where(gaps, image[~gaps].min(), image)
    found, expected = look_at(np.where(gaps, np.nan, image), 0), look_at(filled, 0)
    assert np.array_equal(found.amount, expected.amount)
    assert np.array_equal(found.descriptors, expected.descriptors)


def test_what_shows_little_is_shown_and_what_shows_nothing_is_not():
    content = Content(np.array([0.05, 0.2, 1.0, 0.2, 0.05]), np.zeros((5, 1)))
    assert content.shown() == (1, 3)


def test_cells_of_unequal_size_are_means():
    assert (_grid_means(np.ones((13, 20), np.float32)) == 1).all()


def test_descriptors_are_one_apart_on_average():
    found = scaled(np.random.default_rng(0).normal(size=(6, 3)))
    apart = ((found[:, None] - found[None]) ** 2).sum(axis=2)
    assert apart.mean() == pytest.approx(1)
