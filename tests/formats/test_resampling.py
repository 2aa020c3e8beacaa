"""Arrays on other grids."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.formats.resampling import resampled
from napari_sslseg.volume.geometry import Geometry


def test_values_are_taken_where_they_lie_and_outside_is_what_was_said():
    source = Geometry.from_spacing((2.0, 2.0), (3, 2))
    onto = Geometry.from_spacing((1.0, 2.0), (7, 2))
    array = np.array([[0, 0], [10, 20], [20, 40]], np.uint8)
    linear = resampled(array, source, onto, 99, "linear")
    assert linear.dtype == np.uint8
    assert linear[:, 1].tolist() == [0, 10, 20, 30, 40, 99, 99]
    nearest = resampled(array, source, onto, 99, "nearest")
    assert set(nearest[:5].ravel().tolist()) <= set(array.ravel().tolist())
    with pytest.raises(ValueError, match="dimensions"):
        resampled(array, source, Geometry.from_spacing((1.0,) * 3, (2, 2, 2)), 0, "nearest")
