"""Planes of a volume as pictures."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_sslseg.app.cross_section import (
    GreyLook,
    LabelsLook,
    borders,
    draw_image,
    draw_labels,
    plane,
)
from napari_sslseg.app.layer_roles import METADATA
from napari_sslseg.app.plane_drawing import Frame


class Recorded:
    """An array that remembers what was read of it."""

    def __init__(self, array) -> None:
        self.array, self.keys = array, []

    def __getitem__(self, key):
        self.keys.append(key)
        return self.array[key]


@pytest.mark.parametrize("axis", range(3))
def test_only_the_plane_is_read(axis):
    array = np.arange(60).reshape(3, 4, 5)
    recorded = Recorded(array)
    assert np.array_equal(plane(recorded, axis, 2), np.take(array, 2, axis))
    assert recorded.keys == [(slice(None),) * axis + (2,)]


def test_grey_values_get_the_colours_of_the_layer():
    data = np.array([[0, 50, 100, 150, 200]], dtype=np.int16)
    layer = Image(data, contrast_limits=(50, 150), opacity=0.5)
    drawn = draw_image(data, [GreyLook.of(layer)])
    assert drawn[0, :, 0].tolist() == [0, 0, 63, 127, 127]
    layer.gamma = 2.0
    assert draw_image(data, [GreyLook.of(layer)])[0, 2, 1] == pytest.approx(32, abs=1)


def test_channels_add_up_and_values_that_are_not_numbers_are_dark():
    data = np.array([[[1.0, 0.0], [1.0, 1.0], [np.nan, 1.0]]])
    red = Image(data[..., 0], colormap="red", contrast_limits=(0, 1))
    green = Image(data[..., 1], colormap="green", contrast_limits=(0, 1))
    drawn = draw_image(data, [GreyLook.of(red, 0), GreyLook.of(green, 1)])
    assert drawn[0].tolist() == [[255, 0, 0], [255, 255, 0], [0, 255, 0]]
    rgb = np.array([[[1, 2, 3]]], dtype=np.uint8)
    assert draw_image(rgb, [])[0, 0].tolist() == [1, 2, 3]


def test_labels_lie_over_each_other_as_in_the_viewer():
    colors = np.zeros((256, 4), np.float32)
    colors[1], colors[2] = (1, 0, 0, 1), (0, 0, 1, 0.5)
    below, above = np.array([[1, 1, 0]], np.uint8), np.array([[0, 2, 2]], np.uint8)
    looks = [LabelsLook(None, colors), LabelsLook(None, colors)]
    drawn = draw_labels([below, above], looks)
    assert drawn[0].tolist() == [[255, 0, 0, 255], [128, 0, 128, 255], [0, 0, 255, 128]]
    layer = Labels(below, opacity=0.5)
    layer.contour = 1
    assert LabelsLook.of(layer).outline
    assert LabelsLook.of(layer).colors[1, 3] == pytest.approx(0.5)


def test_outlines_leave_the_inside_free():
    labels = np.zeros((5, 5), np.uint8)
    labels[1:4, 1:4] = 1
    colors = np.ones((256, 4), np.float32)
    colors[0] = 0
    drawn = draw_labels([labels], [LabelsLook(None, colors, outline=True)])
    assert drawn[..., 3].astype(bool).sum() == 8
    assert borders(labels)[0, 2]
    assert not borders(labels)[2, 2]


def test_outlines_beside_thick_slices_leave_the_inside_free_too():
    labels = np.zeros((3, 6), np.uint8)
    labels[1, 1:5] = 1
    colors = np.ones((256, 4), np.float32)
    colors[0] = 0
    looks = [LabelsLook(None, colors, outline=True)]
    assert not (draw_labels([labels], looks)[1, 1:5, 3] == 0).any()
    drawn = draw_labels([labels], looks, (4, 1))[..., 3] > 0
    assert drawn.shape == (12, 6)
    assert drawn[4:8, 1:5].tolist() == [[True] * 4, *[[True, False, False, True]] * 2, [True] * 4]
    areas = [LabelsLook(None, colors)]
    assert draw_labels([labels], areas, (4, 1)).shape == (3, 6, 4)  # need no more pixels


@pytest.mark.parametrize(
    ("scale", "finer"),
    [((5, 1, 1), (5, 1)), ((-40, 1, 1), (8, 1)), ((1, 1, 3), (1, 3)), ((1.2, 1, 1), (1, 1))],
)
def test_outlines_are_drawn_on_about_square_pixels(scale, finer):
    image = Image(np.zeros((2, 3, 4)), scale=scale)
    assert Frame.of(image, 1).finer == finer


@pytest.mark.parametrize("across", range(3))
@pytest.mark.parametrize("scale", [(1, 1, 1), (2, -1, 1), (-1, 1, -1)])
@pytest.mark.parametrize("oriented", [True, False])
def test_places_on_the_screen_and_in_the_array_are_the_same(across, scale, oriented):
    order = {"oriented": oriented, "permutation": [0, 1, 2]}
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    image = Image(array, scale=scale, metadata={METADATA: {"order": order}})
    frame = Frame.of(image, across)
    drawn = frame.section(array, 1)
    for row in range(array.shape[frame.row]):
        for column in range(array.shape[frame.column]):
            point = np.insert(np.array([row, column]), across, 1)
            place = frame.place(row, column, array.shape)
            assert drawn[place] == array[tuple(point)]
            assert frame.place(*place, array.shape) == (row, column)
    upwards = (oriented and across > 0) != (scale[frame.row] < 0)
    assert frame.flips == (upwards, scale[frame.column] < 0)
