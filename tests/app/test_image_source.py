"""From layers to projects and back to files."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_sslseg.app.image_source import (
    ImageError,
    adopt_ink,
    default_axis,
    new_project_path,
    read_layer,
    suitable,
)


def test_ink_with_statements_is_adopted_as_it_is():
    data = np.full((3, 4, 5), 255, dtype=np.uint8)
    data[1] = 0
    data[1, 2, 2] = 7
    assert np.array_equal(adopt_ink(Labels(data.astype(np.int32))), data)


def test_zero_in_an_ordinary_labels_layer_is_no_statement():
    data = np.zeros((3, 4, 5), dtype=np.uint16)
    data[1, 2, 2] = 7
    ink = adopt_ink(Labels(data))
    assert ink[1, 2, 2] == 7
    assert (np.delete(ink.ravel(), np.ravel_multi_index((1, 2, 2), ink.shape)) == 255).all()


@pytest.mark.parametrize("value", [256, 70000, -1])
def test_labels_that_do_not_fit_are_refused_not_wrapped(value):
    data = np.zeros((3, 4, 5), dtype=np.int32)
    data[0, 0, 0] = value
    with pytest.raises(ImageError, match="class ids are 0 to"):
        adopt_ink(Labels(data))


def test_what_is_no_volume_is_said():
    assert "2 dimensions" in suitable(Image(np.zeros((4, 5))))
    assert "flat" in suitable(Image(np.zeros((1, 4, 5))))
    assert suitable(Image(np.zeros((3, 4, 5)))) == ""
    assert suitable(Image(np.zeros((3, 4, 5, 3), dtype=np.uint8), rgb=True)) == ""
    with pytest.raises(ImageError, match="not finite"):
        read_layer(Image(np.full((3, 4, 5), np.nan), contrast_limits=(0, 1)))


def test_colours_become_channels_and_the_place_is_kept():
    layer = Image(np.zeros((3, 4, 5, 3), dtype=np.uint8), rgb=True, scale=(3, 1, 1), name="x")
    array, info = read_layer(layer)
    assert array.shape == (3, 4, 5, 3)
    assert (info.channels, info.rgb, info.shape) == (3, True, (3, 4, 5))
    assert info.spacing == (3, 1, 1)


def test_thick_slices_are_the_slicing_axis():
    assert default_axis((1.0, 1.0, 5.0)) == 2
    assert default_axis((1.0, 1.0, 1.0)) == 0
    assert default_axis((0.9, 1.0, 1.0)) == 0


def test_projects_never_share_a_folder(home):
    first = new_project_path("A scan: No. 1")
    first.mkdir(parents=True)
    second = new_project_path("A scan: No. 1")
    assert first != second
    assert first.parent == second.parent == home
    assert first.name.startswith("A-scan-No-1-")
