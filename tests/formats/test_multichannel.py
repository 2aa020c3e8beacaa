"""Several sequences of one patient as one volume."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.formats import FormatError
from napari_sslseg.formats.multichannel import GridsDifferError, combine, read_channels
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

AFFINE = np.diag([-2.0, 3.0, 4.0, 1.0])
ARRAY = np.arange(120, dtype=np.int16).reshape(4, 5, 6)


def volume(name, array=ARRAY, affine=AFFINE):
    return Volume(array, Geometry(affine, array.shape[:3]), name=name)


def test_files_on_one_grid_become_channels(tmp_path):
    for name, array in (("flair", ARRAY), ("t1", ARRAY.astype(np.float32) / 2)):
        nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / f"{name}.nii")
    both = read_channels([tmp_path / "flair.nii", tmp_path / "t1.nii"])
    assert both.array.dtype == np.float32
    assert np.array_equal(both.array, np.stack([ARRAY, ARRAY / 2], axis=-1))
    assert both.channel_names == ("flair", "t1")
    assert both.source == str(tmp_path / "flair.nii")
    both.validate()


def test_other_order_of_axes_is_the_same_grid():
    turned = ARRAY.transpose(2, 0, 1)[::-1]
    affine = AFFINE[:, [2, 0, 1, 3]].copy()
    affine[:, 3] += affine[:, 0] * 5
    affine[:, 0] *= -1
    both = combine([volume("a"), volume("b", turned, affine)])
    assert np.array_equal(both.array[..., 1], ARRAY)


def test_other_grid_is_said_and_resampled_if_agreed():
    far = AFFINE.copy()
    far[0, 3] = 1.0
    ramp = np.broadcast_to(np.arange(4, dtype=np.float32)[:, None, None], (4, 5, 6))
    pair = [volume("a"), volume("b", ramp, far)]
    with pytest.raises(
        GridsDifferError, match=r"grid of a \(b: its centre lies 1 mm off"
    ) as caught:
        combine(pair)
    assert caught.value.names == ("b",)
    both = combine(pair, resample=True)
    # Half a voxel along i; what lies outside gets the lowest value.
    np.testing.assert_allclose(both.array[:3, 0, 0, 1], [0.5, 1.5, 2.5])
    assert both.array[3, 0, 0, 1] == 0
    assert both.warnings == ("b was resampled to the grid of a.",)
    assert both.geometry == pair[0].geometry


def test_cropped_image_is_on_another_grid():
    with pytest.raises(GridsDifferError, match="shape"):
        combine([volume("a"), volume("b", ARRAY[:3])])
    plane = Volume(ARRAY[0], Geometry.from_spacing((1, 1), (5, 6)), name="b")
    with pytest.raises(FormatError, match="2 dimensions"):
        combine([volume("a"), plane], resample=True)


def test_channels_of_one_image_stay_channels():
    colours = Volume(
        np.stack([ARRAY] * 3, -1),
        Geometry(AFFINE, ARRAY.shape),
        name="c",
        channel_names=("r", "g", "b"),
    )
    both = combine([colours, volume("a")])
    assert both.channels == 4
    assert both.channel_names == ("c r", "c g", "c b", "a")


def test_lazy_images_stay_lazy():
    import dask.array as da

    lazy = replace(volume("b"), array=da.from_array(ARRAY, chunks=2))
    both = combine([volume("a"), lazy])
    assert both.is_lazy
    assert np.array_equal(np.asarray(both.array), np.stack([ARRAY, ARRAY], -1))
