"""Smoothing takes notches away and leaves the rest."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.editing.smoothing import smooth


def disc(shape=(40, 44), centre=(20, 22), radius=10) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside = np.hypot(rows - centre[0], columns - centre[1]) <= radius
    return inside.astype(np.uint8)


def test_a_notch_and_a_spur_go():
    labels = disc()
    rough = labels.copy()
    rough[20, 30:33] = 0
    rough[5:10, 22] = 1
    after = smooth(rough, [1])
    assert after[20, 30] == 1
    assert not after[5:8, 22].any()
    assert (after[12:28, 14:30] == labels[12:28, 14:30]).all()


def test_two_organs_that_touch_still_touch():
    labels = np.zeros((20, 20), np.uint8)
    labels[4:16, 2:10], labels[4:16, 10:18] = 1, 2
    after = smooth(labels, [1, 2])
    assert (after[6:14, 9] == 1).all()
    assert (after[6:14, 10] == 2).all()


@pytest.mark.parametrize("seed", range(5))
def test_only_the_chosen_class_gains_or_loses(seed):
    labels = np.random.default_rng(seed).integers(0, 4, size=(18, 20)).astype(np.uint8)
    after = smooth(labels, [2])
    changed = after != labels
    assert ((labels[changed] == 2) | (after[changed] == 2)).all()
    assert set(np.unique(after)) <= set(np.unique(labels))


def test_a_volume_is_smoothed_less_across_thick_slices():
    labels = np.zeros((5, 20, 20), np.uint8)
    labels[2, 5:15, 5:15] = 1
    assert (smooth(labels, [1], (8.0, 1.0, 1.0))[2, 8:12, 8:12] == 1).all()
    assert not smooth(labels, [1], (1.0, 1.0, 1.0), sigma=2.5).any()


def test_nothing_to_smooth_is_left_alone():
    labels = disc()
    assert np.array_equal(smooth(labels, [7]), labels)
