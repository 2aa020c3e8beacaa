"""What labels hold, and along which axis they are whole slices."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.formats.label_survey import describe_slices, survey

SHAPE = (20, 24, 28)


def ball():
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return ((z - 10) ** 2 + (y - 12) ** 2 + (x - 14) ** 2 < 64).astype(np.uint8)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_each_label_is_counted_and_placed(axis):
    labels = np.full(SHAPE, 255, np.uint8)
    labels[4] = 0
    labels[4, 2, 3], labels[4, 5, 6:8] = 9, 2
    found = {row.value: row for row in survey(labels, axis, turns=False).labels}
    assert set(found) == {2, 9}
    assert (found[2].voxels, found[9].voxels) == (2, 1)
    assert found[9].slices == ((4, 2, 3)[axis],)
    assert found[2].slices == ((4,), (5,), (6, 7))[axis]
    assert found[9].describe() == f"1 voxel in 1 slice ({(4, 2, 3)[axis]})"


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("along", [0, 1, 2])
@pytest.mark.parametrize("rest", [0, 255])
def test_whole_slices_along_another_axis_are_seen(axis, along, rest):
    labels = np.full(SHAPE, rest, np.uint8)
    for index in (9, 14):
        np.moveaxis(labels, along, 0)[index] = np.moveaxis(ball(), along, 0)[index]
    found = survey(labels, axis)
    assert found.axis == along
    assert found.planes == (() if axis == along else (9, 14))
    assert found.labels[0].slices == (9, 14)
    assert survey(labels, axis, turns=False).axis == axis


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_whole_object_lies_along_any_axis(axis):
    assert survey(ball(), axis).planes == ()
    assert survey(np.zeros(SHAPE, np.uint8), axis).planes == ()
    strokes = np.where(ball() == 1, ball(), np.uint8(255))
    assert survey(strokes, axis).planes == ()


def test_slices_are_named_briefly():
    assert describe_slices((0, 9)) == "2 slices (0, 9)"
    assert describe_slices((3,)) == "1 slice (3)"
    assert describe_slices(tuple(range(35))) == "35 slices (0–34)"
    assert describe_slices((1, 2, 4, 6, 8, 9, 11)) == "7 slices (1–2, 4 … 11)"
