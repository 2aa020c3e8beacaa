"""Where the object lies, as the user says."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.volume.annotation import Corrections, blank_ink
from napari_sslseg.volume.extent import Extent, object_slices


@pytest.mark.parametrize(
    ("said", "outside"),
    [
        (Extent(), []),
        (Extent(2, 4), [0, 1, 5, 6]),
        (Extent(2), [0, 1]),
        (Extent(None, 4), [5, 6]),
        (Extent(0, 6), []),
    ],
)
def test_what_lies_outside(said, outside):
    objects = np.zeros(7, bool)
    assert np.flatnonzero(said.outside(objects)).tolist() == outside
    objects[[1, 3]] = True  # ink that shows the object stands above what was said
    left = [z for z in outside if z != 1]
    assert np.flatnonzero(said.outside(objects)).tolist() == left


@pytest.mark.parametrize("ends", [(-1, 2), (5, 4), (1.5, 2), ("1", None), (True, None)])
def test_what_cannot_be_is_refused_with_a_sentence(ends):
    with pytest.raises(ValueError, match=r"slice.*object|object.*slice") as caught:
        Extent(*ends)
    assert str(caught.value).endswith(".")


def test_only_what_makes_sense_may_be_said_of_a_slice():
    said = Extent(3, 8)
    assert [z for z in range(12) if said.may_begin(z)] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert [z for z in range(12) if said.may_end(z)] == [3, 4, 5, 6, 7, 9, 10, 11]
    assert all(Extent().may_begin(z) and Extent().may_end(z) for z in range(12))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_with_an_inked_object_are_found_along_any_axis(axis):
    ink = blank_ink((4, 5, 6))
    ink[1, 2, 3], ink[3, 4, 5], ink[0, 0, 0] = 2, 1, 0
    expected = [[1, 3], [2, 4], [3, 5]][axis]
    assert np.flatnonzero(object_slices(ink, axis)).tolist() == expected
    edited = np.where(ink == 255, 0, ink).astype(np.uint8)
    found = object_slices(Corrections(edited, np.zeros_like(edited)), axis)
    assert np.flatnonzero(found).tolist() == expected
