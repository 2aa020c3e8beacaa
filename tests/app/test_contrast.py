"""The contrast slider goes as far as the values, the limits stand at the window."""

from __future__ import annotations

import dask.array as da
import nibabel as nib
import numpy as np
from napari.components import ViewerModel
from napari.layers import Layer

from napari_sslseg.app.contrast import RANGE, follow, value_range
from napari_sslseg.app.layer_roles import METADATA
from napari_sslseg.app.readers import get_reader

from ..formats.dicom_files import write_series

SLICES = np.random.default_rng(0).integers(-1000, 1800, (5, 6, 7)).astype(np.int16)


def opened(viewer, path):
    return [viewer.add_layer(Layer.create(*data)) for data in get_reader(str(path))(str(path))]


def test_slider_of_ct_reaches_from_air_to_bone(tmp_path):
    write_series(tmp_path, SLICES, modality="CT")
    viewer = ViewerModel()
    follow(viewer)
    follow(viewer)  # once more does no harm
    (layer,) = opened(viewer, tmp_path)
    assert tuple(layer.contrast_limits) == (-160, 240)
    assert tuple(layer.contrast_limits_range) == (SLICES.min(), SLICES.max())


def test_slider_of_mr_reaches_the_brightest_voxels(tmp_path):
    values = np.random.default_rng(0).gamma(2, 100, (20, 21, 22)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, np.eye(4)), tmp_path / "t1.nii")
    viewer = ViewerModel()
    follow(viewer)
    (layer,) = opened(viewer, tmp_path / "t1.nii")
    assert layer.contrast_limits[1] < values.max()
    np.testing.assert_allclose(layer.contrast_limits_range, (values.min(), values.max()))


def test_files_that_are_dropped_on_a_viewer_have_the_range(make_napari_viewer, tmp_path):
    write_series(tmp_path, SLICES, modality="CT")
    viewer = make_napari_viewer()
    (layer,) = viewer.open(str(tmp_path), plugin="napari-sslseg")
    assert tuple(layer.contrast_limits) == (-160, 240)
    assert tuple(layer.contrast_limits_range) == (SLICES.min(), SLICES.max())


def test_range_holds_the_window_and_finite_values_only():
    assert value_range(np.array([1.0, np.nan, 5.0, np.inf]), (0.0, 2.0)) == (0, 5)
    assert value_range(np.array([3, 3])) is None
    assert value_range(np.array([3, 3]), (0.0, 9.0)) == (0, 9)
    assert value_range(np.array([np.nan])) is None


def test_lazy_arrays_are_not_read_as_a_whole():
    seen = []

    def block(block_info=None):
        seen.append(block_info[None]["chunk-location"])
        return np.full((1, 8, 8), block_info[None]["chunk-location"][0], np.int16)

    lazy = da.map_blocks(block, chunks=((1,) * 100, (8,), (8,)), dtype=np.int16, meta=np.empty(0))
    low, high = value_range(lazy)
    assert len(set(seen)) < 12
    assert 0 <= low < high <= 99


def test_layers_of_others_are_left_alone():
    viewer = ViewerModel()
    follow(viewer)
    layer = viewer.add_image(SLICES, contrast_limits=(0, 10))
    assert tuple(layer.contrast_limits_range) == (0, 10)
    viewer.add_labels(np.zeros((3, 4), np.uint8), metadata={METADATA: {RANGE: [0, 9]}})
