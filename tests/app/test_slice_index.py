"""The index of slices agrees with the ink, along every axis."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app.slice_index import index_slices
from napari_sslseg.volume.annotation import NOT_ANNOTATED, SliceState, slice_states


def some_ink() -> np.ndarray:
    ink = np.full((5, 6, 7), NOT_ANNOTATED, dtype=np.uint8)
    ink[1] = 0
    ink[1, 2:4, 3] = 2
    ink[3, 0, 0] = 9
    ink[:, 5] = 1
    return ink


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_states_and_values_are_those_of_each_slice(axis):
    ink = some_ink()
    index = index_slices(ink, axis)
    assert np.array_equal(index.states, slice_states(ink, axis))
    for z, values in enumerate(np.moveaxis(ink, axis, 0)):
        assert set(np.flatnonzero(index.present[z])) == set(np.unique(values))
    assert index.painted().tolist() == [0, 1, 2, 9]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_updating_a_slice_equals_looking_at_everything(axis):
    ink = some_ink()
    index = index_slices(ink, axis)
    stack = np.moveaxis(ink, axis, 0)
    stack[2] = 0
    stack[3] = NOT_ANNOTATED
    for z in (2, 3):
        index.update(z, stack[z])
    assert index.states[2] == SliceState.WHOLE
    assert index.states[3] == SliceState.EMPTY
    assert index.same_as(index_slices(ink, axis))
