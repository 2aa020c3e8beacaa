"""Where layers lie, whatever made them."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Labels

from napari_sslseg.app.export_target import world_geometry
from napari_sslseg.formats import FormatError

SHAPE = (4, 5, 6)
WORLD_TO_RAS = np.array([[0, 0, -1], [0, -1, 0], [1, 0, 0.0]])  # (S, P, L) -> (R, A, S)


def layer(**options):
    return Labels(np.zeros(SHAPE, np.uint8), **options)


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")
@pytest.mark.parametrize(
    "options",
    [
        {"scale": (3, 2, 1), "translate": (10, -20, 30)},
        {"scale": (3, -2, 1), "translate": (0.5, 0, 0)},
        {"rotate": (10, 20, 30), "scale": (3, 2, 1)},
        {"shear": (0.1, 0.2, 0.3), "translate": (1, 2, 3)},
        {
            "scale": (3, 2, 1),
            "rotate": (0, 45, 10),
            "affine": np.array(
                [[1.1, 0, 0.2, 4], [0, 0.9, 0.1, 5], [0.3, 0, 1.2, 6], [0, 0, 0, 1]]
            ),
        },
    ],
)
def test_every_transform_of_a_layer_counts(options):
    shown = layer(**options)
    _, meta, _ = shown.as_layer_data_tuple()
    geometry = world_geometry(SHAPE, meta)
    index = np.argwhere(np.ones(SHAPE))
    wanted = np.array([shown.data_to_world(i) for i in index]) @ WORLD_TO_RAS.T
    np.testing.assert_allclose(geometry.position(index), wanted, atol=1e-9)
    assert geometry.canonical().is_identity


def test_units_are_taken_over_when_they_agree():
    for units, wanted in ((("mm",) * 3, "mm"), (("um",) * 3, "um"), (("mm", "um", "um"), "pixel")):
        _, meta, _ = layer(units=units).as_layer_data_tuple()
        assert world_geometry(SHAPE, meta).units == wanted


def test_planes_and_bare_arrays_have_a_place():
    geometry = world_geometry((4, 5), {"scale": (2.0, 3.0)})
    assert geometry.spacing == (2.0, 3.0)
    assert world_geometry(SHAPE, {}).spacing == (1.0, 1.0, 1.0)
    with pytest.raises(FormatError, match="4 dimensions"):
        world_geometry((2, 3, 4, 5), {})
    with pytest.raises(FormatError, match="correct its scale"):
        world_geometry(SHAPE, {"scale": (1.0, 0.0, 1.0)})
