"""A fourth axis that is taken for channels by its length alone is told."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_sslseg.formats import read

ARRAY = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.npy"])
def test_channels_that_may_be_times_are_told(tmp_path, name):
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, ARRAY)
    elif name == "a.nrrd":
        sitk.WriteImage(sitk.GetImageFromArray(ARRAY.T, isVector=False), str(path))
    else:
        nib.save(nib.Nifti1Image(ARRAY, np.eye(4)), path)
    volume = read(path)
    assert volume.channels == 5
    assert sum("fourth axis of the file, of 5, is taken" in text for text in volume.warnings) == 1
    assert not any("fourth axis" in text for text in read(path, "all").warnings)
    assert not any("fourth axis" in text for text in read(path, "2").warnings)


def test_channels_for_sure_are_not_told(tmp_path):
    vectors = sitk.GetImageFromArray(ARRAY.transpose(2, 1, 0, 3), isVector=True)
    sitk.WriteImage(vectors, str(tmp_path / "a.mha"))
    volume = read(tmp_path / "a.mha")
    assert (volume.channels, volume.warnings) == (5, ())
