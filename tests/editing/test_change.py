"""A change can be applied and taken back exactly, and knows when it no longer fits."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.editing.change import Change, slice_places


@pytest.mark.parametrize("seed", range(20))
def test_applying_and_reverting_are_inverse(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, size=3))
    before = rng.integers(0, 4, size=shape).astype(np.uint8)
    after = np.where(rng.random(shape) < 0.3, rng.integers(0, 4, size=shape), before)
    after = after.astype(np.uint8)
    change = Change.of_volume(before, after)
    assert len(change) == np.count_nonzero(before != after)
    array = before.copy()
    assert change.fits(array)
    change.apply(array)
    assert np.array_equal(array, after)
    change.revert(array)
    assert np.array_equal(array, before)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_change_of_a_slice_is_that_of_the_volume(axis):
    rng = np.random.default_rng(axis)
    before = rng.integers(0, 3, size=(4, 5, 6)).astype(np.uint8)
    after = before.copy()
    part = np.moveaxis(after, axis, 0)[2]
    part[...] = rng.integers(0, 3, size=part.shape)
    whole = Change.of_volume(before, after)
    sliced = Change.of_slice(
        before.shape, axis, 2, np.moveaxis(before, axis, 0)[2], np.moveaxis(after, axis, 0)[2]
    )
    for name in ("positions", "old", "new"):
        assert np.array_equal(getattr(whole, name), getattr(sliced, name))


def test_a_change_does_not_fit_what_was_painted_meanwhile():
    before = np.zeros((2, 3, 3), np.uint8)
    after = before.copy()
    after[1, 1, 1] = 1
    change = Change.of_volume(before, after)
    before[1, 1, 1] = 2
    assert not change.fits(before)
    assert not change.fits(np.zeros((2, 3, 4), np.uint8))


def test_an_array_in_another_order_is_refused():
    array = np.zeros((3, 4, 5), np.uint8).T
    change = Change.of_volume(array, np.ones_like(array))
    with pytest.raises(ValueError, match="C order"):
        change.apply(array)


def test_places_of_a_large_array_are_not_cut_off():
    where = np.zeros((2000, 2000), dtype=bool)
    where[-1, -1] = True
    assert slice_places((2000, 2000, 2000), 0, 1999, where).tolist() == [2000**3 - 1]
