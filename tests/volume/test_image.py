"""Volume: shapes, channels and values are checked."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume, lowest_value

SHAPE = (3, 4, 5)
GEOMETRY = Geometry(np.eye(4), SHAPE)


def test_channels_are_counted():
    plain = Volume(np.zeros(SHAPE, np.int16), GEOMETRY).validate()
    colour = Volume(np.zeros((*SHAPE, 3), np.uint8), GEOMETRY).validate()
    assert (plain.channels, plain.has_channel_axis) == (1, False)
    assert (colour.channels, colour.has_channel_axis) == (3, True)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 6), (4, 3, 5), (3, 4, 5, 1, 1)])
def test_shape_must_be_that_of_the_geometry(shape):
    with pytest.raises(ValueError, match="shape"):
        Volume(np.zeros(shape), GEOMETRY).validate()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("order", ["C", "F"])
def test_some_value_must_be_finite(value, order):
    array = np.full(SHAPE, value, np.float32, order=order)
    with pytest.raises(ValueError, match="no voxel holds a number"):
        Volume(array, GEOMETRY).validate()
    array[-1, 0, -1] = 3
    volume = Volume(array, GEOMETRY).validate()
    assert volume.voxels_without_number == array.size - 1
    assert lowest_value(array) == 3


def test_the_lowest_value_of_nothing_is_0():
    assert lowest_value(np.full(SHAPE, np.nan)) == 0
    assert lowest_value(np.full(SHAPE, -5, np.int16)) == -5


def test_large_arrays_are_checked_piece_by_piece(monkeypatch):
    monkeypatch.setattr("napari_sslseg.volume.image._CHUNK", 7)
    array = np.zeros(SHAPE, np.float32)
    assert Volume(array, GEOMETRY).validate().array is array
    array[1, 2, 3] = np.nan
    assert Volume(array, GEOMETRY).voxels_without_number == 1


@pytest.mark.parametrize("dtype", [complex, object, "U3"])
def test_values_must_be_real_numbers(dtype):
    with pytest.raises(ValueError, match="real numbers"):
        Volume(np.zeros(SHAPE, dtype), GEOMETRY).validate()


def test_empty_channel_axis_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Volume(np.zeros((*SHAPE, 0)), GEOMETRY).validate()
