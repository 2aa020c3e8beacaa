"""Several sequences of one patient: opened, shown, added, and one project of all of them."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_sslseg.app.channels import (
    channel_from,
    channels_of,
    join,
    layer_like,
    leaders,
    leave,
    stacked,
)
from napari_sslseg.app.image_source import ImageError, read_layer, show_image
from napari_sslseg.app.readers import get_reader
from napari_sslseg.formats import read

from ..formats.dicom_files import write_series
from .conftest import make_volume

pytestmark = pytest.mark.usefixtures("without_window")

AFFINE = np.diag([-1.0, -1.0, 2.0, 1.0])  # shown as it is stored, but for the order of its axes


def write(path, shown, affine=AFFINE):
    """Write an array (Z, Y, X) so that it is shown just like that."""
    nib.save(nib.Nifti1Image(np.moveaxis(shown, (0, 1, 2), (2, 1, 0)), affine), path)
    return path


def opened(viewer, path):
    return [viewer.add_layer(Layer.create(*data)) for data in get_reader(str(path))(str(path))]


@pytest.fixture
def cone():
    image, truth = make_volume()
    return image.astype(np.int16), truth


@pytest.fixture
def with_image(make_panel, tmp_path, cone):
    """Give a panel with a volume open, and the file of another sequence on its grid."""
    viewer, panel = make_panel()
    (layer,) = opened(viewer, write(tmp_path / "t1.nii", cone[0]))
    write(tmp_path / "flair.nii", 300 - cone[0])
    return viewer, panel, layer


@pytest.fixture
def answer(monkeypatch):
    """Answer questions, and keep what was asked."""
    asked = []

    def reply(yes=True):
        button = QMessageBox.StandardButton
        monkeypatch.setattr(
            QMessageBox,
            "question",
            staticmethod(lambda *a: (asked.append(a[2]), button.Yes if yes else button.No)[1]),
        )
        return asked

    return reply


def test_channels_of_a_file_belong_together_and_the_first_is_in_view(tmp_path):
    array = np.random.default_rng(0).normal(size=(6, 7, 8, 3)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "mr.nii")
    viewer = ViewerModel()
    layers = opened(viewer, tmp_path / "mr.nii")
    other = viewer.add_image(np.zeros((4, 5, 6)))
    assert [layer.visible for layer in layers] == [True, False, False]
    assert channels_of(viewer.layers, layers[2]) == layers
    assert leaders(viewer.layers) == [layers[0], other]
    assert channels_of(viewer.layers, other) == [other]
    viewer.layers.remove(layers[1])
    assert channels_of(viewer.layers, layers[0]) == [layers[0], layers[2]]


def test_two_files_opened_twice_are_not_mixed_up(tmp_path):
    array = np.random.default_rng(0).normal(size=(6, 7, 8, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "mr.nii")
    viewer = ViewerModel()
    first, second = opened(viewer, tmp_path / "mr.nii"), opened(viewer, tmp_path / "mr.nii")
    assert channels_of(viewer.layers, first[0]) == first
    assert channels_of(viewer.layers, second[1]) == second


def test_stains_are_added_up_in_colours(tmp_path):
    stack = np.random.default_rng(0).integers(0, 999, (2, 4, 6, 7)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CZYX"})
    layers = opened(ViewerModel(), tmp_path / "a.ome.tif")
    assert [layer.colormap.name for layer in layers] == ["magenta", "green"]
    assert all(layer.visible and layer.blending == "additive" for layer in layers)


def test_stains_that_are_added_have_the_colours_of_their_file(tmp_path):
    stack = np.random.default_rng(0).integers(0, 999, (2, 4, 6, 7)).astype(np.uint16)
    stains = {"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]}
    metadata = {"axes": "CZYX", "Channel": stains}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, ome=True, metadata=metadata)
    volume = read(tmp_path / "a.ome.tif")
    image = Image(stack[0])
    layers = [
        Image(volume.array[..., n], **layer_like(channel_from(volume, image), image, n))
        for n in (0, 1)
    ]
    # Blue and green, not what napari's own grey is.
    assert layers[0].colormap.colors[-1].tolist() == [0, 0, 1, 1]
    assert layers[1].colormap.colors[-1].tolist() == [0, 1, 0, 1]
    assert {layer.blending for layer in layers} == {"additive"}


def test_channels_become_one_project_image_and_come_back(tmp_path):
    array = np.random.default_rng(0).normal(size=(6, 7, 8, 2)).astype(np.float32)
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "mr.nii")
    viewer = ViewerModel()
    layers = opened(viewer, tmp_path / "mr.nii")
    layers[1].colormap, layers[1].contrast_limits = "red", (-1, 1)
    stored, info = read_layer(layers[0], channels_of(viewer.layers, layers[0]))
    assert np.array_equal(stored, np.stack([layer.data for layer in layers], axis=-1))
    assert (info.channels, info.rgb, info.name, info.shape) == (2, False, "mr", (8, 7, 6))
    info.layer = json.loads(json.dumps(info.layer))
    assert "group" not in info.layer["metadata"]

    again = ViewerModel()
    first = show_image(again, stored, info)
    shown = channels_of(again.layers, first)
    assert [layer.name for layer in shown] == ["mr [0]", "mr [1]"]
    assert [layer.visible for layer in shown] == [True, False]
    assert shown[1].colormap.name == "red"
    assert tuple(shown[1].contrast_limits) == (-1, 1)
    assert shown[1].contrast_limits_range[1] > 1
    for old, new in zip(layers, shown, strict=True):
        assert np.array_equal(old.data, new.data)
        assert np.array_equal(old.extent.world, new.extent.world)
    assert show_image(again, stored, info) not in channels_of(again.layers, first)


def test_project_of_an_older_version_is_shown():
    viewer = ViewerModel()
    layer = Image(np.arange(60.0).reshape(3, 4, 5), scale=(3, 1, 1), name="x", units=("mm",) * 3)
    stored, info = read_layer(layer)
    del info.layer["channels"]
    shown = show_image(viewer, stored, info)
    assert (shown.name, tuple(shown.scale)) == ("x", (3, 1, 1))
    assert tuple(shown.contrast_limits) == (0, 59)


def test_channels_of_different_shapes_are_refused():
    viewer = ViewerModel()
    a, b = (viewer.add_image(np.zeros(shape), name=str(shape)) for shape in ((3, 4, 5), (3, 4, 6)))
    join(viewer.layers, a, b)
    with pytest.raises(ImageError, match="do not fit"):
        read_layer(a, channels_of(viewer.layers, a))
    leave(b)
    assert channels_of(viewer.layers, a) == [a]


def test_types_of_channels_are_joined_without_loss():
    viewer = ViewerModel()
    a = viewer.add_image(np.full((3, 4, 5), 60000, np.uint16))
    b = viewer.add_image(np.full((3, 4, 5), -5, np.int16))
    both = stacked([a, b])
    assert both.dtype == np.int32
    assert (both[0, 0, 0] == (60000, -5)).all()


def test_file_is_added_as_a_channel(with_image, until, tmp_path):
    viewer, panel, layer = with_image
    viewer.layers.selection.active = layer
    panel.volume.channels.add(tmp_path / "flair.nii")
    assert not panel.volume.start.isEnabled()
    until(lambda: len(viewer.layers) == 2)
    until(panel.volume.start.isEnabled)
    flair = viewer.layers["flair"]
    assert np.array_equal(flair.data, 300 - layer.data)
    assert np.array_equal(flair.extent.world, layer.extent.world)
    assert (layer.visible, flair.visible) == (True, False)
    assert viewer.layers.selection.active is layer
    assert panel.volume.image.count() == 1
    assert panel.volume.image.currentText() == "t1 and 1 more"
    assert panel.volume.channels.members() == [layer, flair]


def test_file_in_another_order_of_axes_is_the_same_grid(with_image, until, tmp_path, answer):
    viewer, panel, layer = with_image
    asked = answer()
    source = nib.load(tmp_path / "flair.nii")
    turned = source.as_reoriented(nib.io_orientation(np.eye(4)[[1, 2, 0, 3]] * -1))
    nib.save(turned, tmp_path / "turned.nii")
    panel.volume.channels.add(tmp_path / "turned.nii")
    until(lambda: len(viewer.layers) == 2)
    assert not asked
    assert np.array_equal(viewer.layers["turned"].data, 300 - layer.data)


def test_other_grid_is_resampled_if_the_user_agrees(with_image, until, tmp_path, answer):
    viewer, panel, layer = with_image
    half = AFFINE.copy()
    half[2, 2] = 4.0
    write(tmp_path / "t2.nii", layer.data[::2], half)
    asked = answer(yes=False)
    panel.volume.channels.add(tmp_path / "t2.nii")
    until(lambda: len(asked) == 1)
    assert "t2 is not on the grid of t1: its shape is 6 × 40 × 44" in asked[0]
    assert "Resample it" in asked[0]
    assert len(viewer.layers) == 1
    answer(yes=True)
    panel.volume.channels.add(tmp_path / "t2.nii")
    until(lambda: len(viewer.layers) == 2)
    added = viewer.layers["t2"]
    assert added.data.shape == layer.data.shape
    assert np.array_equal(added.data[::2], layer.data[::2])
    assert panel.volume.channels.hint.text() == "t2 was resampled to the grid of t1."


def test_what_cannot_be_a_channel_is_said(with_image, until, tmp_path):
    viewer, panel, _ = with_image
    (tmp_path / "a.nii").write_bytes(b"nothing")
    channels = panel.volume.channels
    channels.add(tmp_path / "a.nii")
    until(lambda: "Not added: " in channels.hint.text())
    assert "a.nii cannot be read as NIfTI" in channels.hint.text()
    np.save(tmp_path / "b.npy", np.zeros((3, 4, 5)))
    channels.add(tmp_path / "b.npy")
    until(lambda: "b cannot be brought onto t1" in channels.hint.text())
    assert "does not say how it lies" in channels.hint.text()
    np.save(tmp_path / "c.npy", np.zeros((5, 6)))
    channels.add(tmp_path / "c.npy")
    until(lambda: "c is no volume" in channels.hint.text())
    assert len(viewer.layers) == 1
    assert panel.volume.start.isEnabled()


def test_plain_array_of_the_shape_is_taken_as_shown(with_image, until, tmp_path):
    viewer, panel, layer = with_image
    np.save(tmp_path / "b.npy", np.arange(layer.data.size).reshape(layer.data.shape))
    panel.volume.channels.add(tmp_path / "b.npy")
    until(lambda: len(viewer.layers) == 2)
    assert np.array_equal(viewer.layers["b"].data.ravel(), np.arange(layer.data.size))
    assert np.array_equal(viewer.layers["b"].scale, layer.scale)
    assert "taken to lie as t1 does" in panel.volume.channels.hint.text()


def test_series_of_a_folder_is_chosen(with_image, until, tmp_path, monkeypatch, answer):
    viewer, panel, layer = with_image
    for n in (1, 2):
        slices = np.full(layer.data.shape, n, np.int16)
        write_series(
            tmp_path / "d",
            slices,
            series_number=n,
            prefix="ab"[n - 1],
            description=f"s{n}",
            step=(0, 0, 2),
        )
    monkeypatch.setattr("napari_sslseg.app.channel_list.ask", lambda error, parent: ["2"])
    answer()
    panel.volume.channels.add(tmp_path / "d")
    until(lambda: len(viewer.layers) == 2)
    assert viewer.layers[1].name == "s2"
    assert (viewer.layers[1].data == 2).all()


def test_open_images_are_offered_and_join_as_they_are(with_image, until, tmp_path):
    viewer, panel, layer = with_image
    (flair,) = opened(viewer, tmp_path / "flair.nii")
    viewer.add_image(np.zeros((4, 5, 3), np.uint8), rgb=True, name="colours")
    channels = panel.volume.channels
    panel.volume.image.setCurrentIndex(panel.volume.image.findData(layer))
    channels._fill_menu()
    texts = [action.text() for action in channels.menu.actions() if action.text()]
    assert texts == ["File…", "Folder (DICOM, OME-Zarr, pictures)…", "flair"]
    channels.menu.actions()[-1].trigger()
    until(lambda: len(channels.members()) == 2)
    assert channels.members() == [layer, flair]
    channels.list.setCurrentRow(1)
    channels.remove_button.click()
    assert channels.members() == [layer]
    assert panel.volume.image.findData(flair) >= 0


def test_ticks_and_eyes_say_the_same(with_image, until, tmp_path):
    viewer, panel, layer = with_image
    channels = panel.volume.channels
    channels.add(tmp_path / "flair.nii")
    until(lambda: len(viewer.layers) == 2)
    flair = viewer.layers["flair"]
    channels.list.item(1).setCheckState(Qt.CheckState.Checked)
    assert flair.visible
    layer.visible = False
    assert channels.list.item(0).checkState() == Qt.CheckState.Unchecked
    channels.list.itemDoubleClicked.emit(channels.list.item(0))
    assert (layer.visible, flair.visible) == (True, False)
    assert channels.list.item(1).checkState() == Qt.CheckState.Unchecked


def test_channels_are_labelled_trained_and_opened_again(
    with_window, with_image, until, tmp_path, paint, cone
):
    from napari_sslseg.training.request import TrainRequest

    viewer, panel, _ = with_image
    panel.volume.channels.add(tmp_path / "flair.nii")
    until(lambda: len(viewer.layers) == 2)
    until(panel.volume.start.isEnabled)
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    session = panel.session
    assert session.project.image().shape == (12, 40, 44, 2)
    assert panel.volume.channels.list.isVisibleTo(panel.volume)
    assert not panel.volume.channels.add_button.isVisibleTo(panel.volume)
    for index in (1, 6, 10):
        paint(session.references.layer, index, cone[1][index] == 1, 1)
        session.references.mark(index)
    session.train(TrainRequest(preset="supervised", seconds=2))
    until(lambda: bool(session.proposals) and not session.training.busy, 120)
    (proposal,) = list(session.proposals.values())[:1]
    assert proposal.layer.data.shape == (12, 40, 44)
    path = session.project.path
    panel.close_session()
    viewer.layers.clear()
    panel.open(path)
    until(lambda: panel.session is not None)
    names = [layer.name for layer in panel.volume.channels.members()]
    assert names == ["t1", "flair"]


def test_colours_come_back_as_colours():
    layer = Image(
        np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3)).astype(np.uint8),
        rgb=True,
        name="slide",
        scale=(3, 1, 1),
    )
    stored, info = read_layer(layer)
    viewer = ViewerModel()
    shown = show_image(viewer, stored, info)
    assert shown.rgb
    assert len(viewer.layers) == 1
    assert np.array_equal(shown.data, layer.data)
    assert tuple(shown.scale) == (3, 1, 1)
