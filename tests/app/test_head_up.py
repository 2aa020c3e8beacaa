"""Coronal and sagittal slices: the head at the top, positions as they were."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer

from napari_sslseg.app.head_up import HeadUp, picture_rows
from napari_sslseg.app.readers import get_reader


def opened(viewer, path):
    nib.save(nib.Nifti1Image(np.zeros((6, 7, 8), np.int16), np.eye(4)), path)
    (data,) = get_reader(str(path))(str(path))
    return viewer.add_layer(Layer.create(*data))


@pytest.fixture
def shown(tmp_path):
    viewer = ViewerModel()
    image = opened(viewer, tmp_path / "a.nii")
    head_up = HeadUp(viewer)
    head_up.show(image)
    return viewer, image, head_up


@pytest.mark.parametrize(
    ("order", "vertical"),
    [((0, 1, 2), "down"), ((1, 0, 2), "up"), ((2, 0, 1), "up"), ((2, 1, 0), "down")],
)
def test_rows_towards_the_head_run_upwards(shown, order, vertical):
    viewer, image, _ = shown
    before = image.extent.world
    viewer.dims.order = order
    assert viewer.scene.camera.orientation2d == (vertical, "right")
    assert np.array_equal(image.extent.world, before)


def test_view_of_three_dimensions_keeps_its_handedness(shown):
    viewer, _, _ = shown
    viewer.dims.order = (1, 0, 2)
    handed = ViewerModel().scene.camera.handedness
    viewer.dims.ndisplay = 3
    assert viewer.scene.camera.handedness == handed
    viewer.dims.ndisplay = 2
    assert viewer.scene.camera.orientation2d == ("up", "right")


def test_choice_of_the_user_stays_while_the_axis_does(shown):
    viewer, _, _ = shown
    viewer.scene.camera.orientation2d = ("up", "left")
    viewer.dims.order = (0, 2, 1)
    assert viewer.scene.camera.orientation2d == ("up", "left")
    viewer.dims.order = (1, 0, 2)
    viewer.dims.order = (0, 1, 2)
    assert viewer.scene.camera.orientation2d == ("down", "left")


def test_images_without_directions_are_left_as_they_are(shown):
    viewer, _, head_up = shown
    viewer.dims.order = (1, 0, 2)
    head_up.show(viewer.add_image(np.zeros((4, 5, 6))))
    assert viewer.scene.camera.orientation2d == ("down", "right")
    assert picture_rows(viewer.layers[1], 1) == slice(None, None, 1)


def test_small_pictures_lie_as_the_canvas(shown):
    _, image, _ = shown
    column = np.arange(5)
    assert column[picture_rows(image, 0)].tolist() == [0, 1, 2, 3, 4]
    assert column[picture_rows(image, 1)].tolist() == [4, 3, 2, 1, 0]


def test_removed_turns_back(shown):
    viewer, _, head_up = shown
    viewer.dims.order = (1, 0, 2)
    head_up.remove()
    assert viewer.scene.camera.orientation2d == ("down", "right")
    viewer.dims.order = (2, 0, 1)
    assert viewer.scene.camera.orientation2d == ("down", "right")
