"""Which slice of a layer is in view, and the way to another one."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from napari_sslseg.app.reference_layer import slice_in_view
from napari_sslseg.app.shown_slice import show_slice

SHAPE = (20, 24, 28)

#: A volume that is turned by 12 and 8 degrees, with slices of its own thickness, off the origin.
OBLIQUE = np.array(
    [
        [2.94, 0.14, 0.03, -40.0],
        [-0.42, 0.97, -0.21, 15.0],
        [-0.42, 0.18, 0.98, 60.0],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    "place",
    [
        {"scale": (3, 1, 0.5), "translate": (7, -5, 100)},
        {"scale": (-3, 1, 0.5)},
        {"affine": OBLIQUE},
        {"scale": (3, 1, 1), "shear": (0.1, 0.2, 0.1)},
    ],
    ids=["scaled", "mirrored", "oblique", "sheared"],
)
def test_the_slice_in_view_is_the_one_that_napari_shows(without_window, make_viewer, axis, place):
    viewer = make_viewer()
    index = np.indices(SHAPE)[axis].astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # napari's, of slices that are not orthogonal
        layer = viewer.add_labels(index + 1, **place)
        viewer.dims.order = (axis, *(i for i in range(3) if i != axis))
        low, high, _ = viewer.dims.range[axis]
        met = set()
        for world in np.linspace(low, high, 40):
            viewer.dims.set_point(axis, world)
            seen = np.unique(layer._slice.image.raw)
            if seen.size == 1 and seen[0]:  # else beyond the volume
                assert slice_in_view(viewer, layer, axis) == seen[0] - 1
                met.add(int(seen[0]) - 1)
        assert len(met) > 5
        for wanted in met:
            show_slice(viewer, layer, axis, wanted)
            assert slice_in_view(viewer, layer, axis) == wanted
            assert np.unique(layer._slice.image.raw).tolist() == [wanted + 1]
