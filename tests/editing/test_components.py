"""Largest parts, holes, and one part at a point."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sslseg.editing.components import (
    bounding_box,
    component_at,
    fill_holes,
    keep_largest,
    label,
    surrounding_class,
)


def blobs(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.3)
    return np.digitize(noise, np.quantile(noise, [0.6, 0.8])).astype(np.uint8)


@pytest.mark.parametrize("shape", [(30, 34), (12, 20, 18)])
@pytest.mark.parametrize("seed", range(4))
def test_one_part_of_each_class_is_left_and_it_is_the_largest(seed, shape):
    labels = blobs(seed, shape)
    touching = np.ones((3,) * len(shape))
    before, _ = ndimage.label(labels == 2, structure=touching)
    largest = int(np.bincount(before.ravel())[1:].argmax()) + 1
    after = keep_largest(labels, [2])
    _, count = ndimage.label(after == 2, structure=touching)
    assert count == 1
    assert np.array_equal(after == 2, before == largest)
    assert np.array_equal(keep_largest(after, [2]), after)


@pytest.mark.parametrize("seed", range(4))
def test_filling_only_adds_where_there_was_background_and_leaves_no_hole(seed):
    labels = blobs(seed, (30, 34))
    after = fill_holes(labels, [1])
    changed = after != labels
    assert (labels[changed] == 0).all()
    assert (after[changed] == 1).all()
    holes = ndimage.binary_fill_holes(after == 1) & (after == 0)
    assert not holes.any()


def test_a_hole_keeps_another_class_inside_of_it():
    labels = np.zeros((9, 9), np.uint8)
    labels[1:8, 1:8] = 1
    labels[3:6, 3:6] = 0
    labels[4, 4] = 2
    filled = fill_holes(labels, [1])
    assert filled[4, 4] == 2
    assert (filled[3:6, 3:6] != 0).all()


def test_a_speck_inside_an_organ_becomes_that_organ_and_an_island_background():
    labels = np.zeros((12, 24), np.uint8)
    labels[1:11, 1:11] = 1
    labels[5, 5] = 2  # speck in class 1
    labels[2:10, 13:20] = 2  # the largest part
    labels[5, 23] = 2  # island
    after = keep_largest(labels, [2])
    assert after[5, 5] == 1
    assert after[5, 23] == 0
    assert (after[2:10, 13:20] == 2).all()


def test_an_island_at_the_edge_of_the_box_of_its_class_asks_all_around_it():
    labels = np.zeros((8, 12), np.uint8)
    labels[0:4, 0:4] = 1
    labels[2:5, 9], labels[4, 7:9] = 2, 2  # five of the eight neighbours of the island
    labels[3, 8] = 1
    assert keep_largest(labels, [1])[3, 8] == 2


def test_the_component_at_a_point():
    mask = np.zeros((5, 9), bool)
    mask[1:3, 1:3] = mask[3, 3] = mask[1:4, 6:8] = True
    part = component_at(mask, (1, 1))
    assert part.sum() == 5  # corners touch
    assert part[3, 3]
    assert not component_at(mask, (0, 0)).any()


def test_the_box_around_a_mask():
    mask = np.zeros((6, 7), bool)
    assert bounding_box(mask) is None
    mask[2, 3] = mask[4, 5] = True
    assert bounding_box(mask) == (slice(2, 5), slice(3, 6))
    assert bounding_box(mask, margin=9) == (slice(0, 6), slice(0, 7))


def test_what_is_around_a_part():
    labels = np.zeros((5, 5), np.uint8)
    labels[:, 3:] = 2
    part = np.zeros((5, 5), bool)
    part[2, 3] = True
    assert surrounding_class(labels, part, 2) == 0
    assert surrounding_class(labels, part, 0) == 2


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_numbering_in_slabs_finds_the_parts_of_the_whole(seed, corners, monkeypatch):
    mask = np.random.default_rng(seed).random((13, 9, 11)) < (0.12 if corners else 0.3)
    whole, expected = ndimage.label(mask, ndimage.generate_binary_structure(3, 1 + 2 * corners))
    monkeypatch.setattr("napari_sslseg.editing.components._AT_ONCE", 250)
    found, count = label(mask, corners)
    assert count == expected
    pairs = {(int(a), int(b)) for a, b in zip(whole.ravel(), found.ravel(), strict=True)}
    assert len(pairs) == expected + 1, "one number for each part"
    assert (0, 0) in pairs


@pytest.mark.parametrize("shape", [(30, 34), (12, 20, 18)])
@pytest.mark.parametrize("seed", range(4))
def test_filling_agrees_with_the_library(seed, shape):
    labels = blobs(seed, shape)
    expected = ndimage.binary_fill_holes(labels == 1) & (labels == 0)
    assert np.array_equal(fill_holes(labels, [1]) != labels, expected)
