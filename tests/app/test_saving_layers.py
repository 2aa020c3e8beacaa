"""napari's own *Save Selected Layer* on every layer of the plugin."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from napari.layers import Layer
from npe2 import PluginManager

from napari_sslseg.app.readers import read_layers

from .conftest import SHAPE, make_volume, put_proposal

pytestmark = pytest.mark.usefixtures("without_window")

PLUGIN = "napari-sslseg"


@pytest.fixture
def session(make_panel, tmp_path, until, paint):
    """Give a session on an oblique, anisotropic, flipped NIfTI file, with a proposal."""
    PluginManager.instance().discover()  # as napari's window does, which is not there
    image, truth = make_volume()
    turn = np.array([[0.96, -0.28, 0.0], [0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
    affine = np.eye(4)
    # Display order is S, P, L; the file is stored as (P, L, I), turned by 16 degrees.
    affine[:3, :3] = turn @ np.array([[0, -0.7, 0], [-1.3, 0, 0], [0, 0, -5.0]])
    affine[:3, 3] = (10, -20, 30)
    stored = image.transpose(1, 2, 0)[:, :, ::-1]
    nib.save(nib.Nifti1Image(stored, affine), tmp_path / "scan.nii.gz")
    viewer, panel = make_panel()
    (data,) = read_layers(str(tmp_path / "scan.nii.gz"))
    layer = viewer.add_layer(Layer.create(*data))
    assert layer.data.shape == SHAPE
    assert np.array_equal(layer.data, image)
    panel.start(layer, 0)
    until(lambda: panel.session is not None)
    references = panel.session.references
    paint(references.layer, 4, truth[4] == 1, 1)
    references.mark(4)
    panel.session.edit_class(1, name="Cone", color="#10ff20")
    panel.session.autosave.flush()
    put_proposal(panel.session, truth, until)
    viewer.layers["SemSim"].data[6, :3, :5] = 1
    return viewer, affine


def places(array, affine, value):
    return nib.affines.apply_affine(affine, np.argwhere(array == value))


@pytest.mark.parametrize("name", ["References", "SemSim", "Confidence"])
def test_saved_layers_lie_where_they_are_shown(session, tmp_path, name):
    viewer, affine = session
    shown = np.asarray(viewer.layers[name].data)
    wanted = shown[::-1].transpose(1, 2, 0)
    viewer.layers.selection = {viewer.layers[name]}
    for suffix in (".nii.gz", ".nrrd", ".mha", ".nii"):
        path = str(tmp_path / f"out{suffix}")
        assert viewer.layers.save(path, selected=True, plugin=PLUGIN) == [path]
        if suffix.startswith(".nii"):
            saved = nib.load(path)
            array, found = np.asanyarray(saved.dataobj), saved.affine
            assert np.array_equal(found, nib.load(tmp_path / "scan.nii.gz").affine)
        else:
            saved = sitk.ReadImage(path)
            array = sitk.GetArrayFromImage(saved).T
            found = np.eye(4)
            found[:3, :3] = np.reshape(saved.GetDirection(), (3, 3)) * saved.GetSpacing()
            found[:3, 3] = saved.GetOrigin()
            found = np.diag([-1, -1, 1, 1]) @ found
        assert np.array_equal(array, wanted)
        for value in np.unique(shown):
            one, other = places(array, found, value), places(wanted, affine, value)
            np.testing.assert_allclose(one, other, atol=1e-4)


def test_formats_without_directions_get_the_array_as_shown(session, tmp_path):
    viewer, _ = session
    layer = viewer.layers["SemSim"]
    viewer.layers.selection = {layer}
    viewer.layers.save(str(tmp_path / "a.tif"), selected=True, plugin=PLUGIN)
    (data,) = read_layers(str(tmp_path / "a.tif"))
    assert np.array_equal(data[0], layer.data)
    np.testing.assert_allclose(data[1]["scale"], layer.scale, rtol=1e-6)


def test_zarr_gets_the_names_and_colours_of_the_classes(session, tmp_path):
    pytest.importorskip("zarr")
    viewer, _ = session
    viewer.layers.selection = {viewer.layers["References"]}
    viewer.layers.save(str(tmp_path / "a.ome.zarr"), selected=True, plugin=PLUGIN)
    label = json.loads((tmp_path / "a.ome.zarr" / ".zattrs").read_text())["image-label"]
    assert {"label-value": 1, "name": "Cone"} in label["properties"]
    assert {"label-value": 1, "rgba": [16, 255, 32, 255]} in label["colors"]


def test_a_layer_of_another_plugin_keeps_its_rotation(make_viewer, tmp_path):
    viewer = make_viewer()
    data = np.zeros((4, 5, 6), np.uint8)
    data[1, 2, 3] = 2
    layer = viewer.add_labels(
        data, scale=(3, 2, 1), rotate=(0, 0, 30), translate=(1, 2, 3), units=("mm",) * 3
    )
    path = str(tmp_path / "a.nii.gz")
    viewer.layers.save(path, plugin=PLUGIN)
    saved = nib.load(path)
    (index,) = np.argwhere(np.asanyarray(saved.dataobj) == 2)
    s, p, l = layer.data_to_world((1, 2, 3))  # noqa: E741 - the names of the axes
    np.testing.assert_allclose(
        nib.affines.apply_affine(saved.affine, index), (-l, -p, s), atol=1e-4
    )
