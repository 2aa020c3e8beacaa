"""Dice, and slices that differ."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.editing.agreement import dice_by_class, differing


def test_dice_of_each_class():
    one = np.array([[1, 1, 2, 0]], np.uint8)
    two = np.array([[1, 0, 2, 3]], np.uint8)
    assert dice_by_class(one, two) == pytest.approx({1: 2 / 3, 2: 1.0, 3: 0.0})
    assert dice_by_class(one, one) == {1: 1.0, 2: 1.0}
    assert dice_by_class(np.zeros(3, np.uint8), np.zeros(3, np.uint8)) == {}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_differing_voxels_of_each_slice(axis):
    rng = np.random.default_rng(axis)
    one, two = rng.integers(0, 2, size=(2, 4, 5, 6)).astype(np.uint8)
    other = tuple(i for i in range(3) if i != axis)
    assert np.array_equal(differing(one, two, axis), (one != two).sum(axis=other))
