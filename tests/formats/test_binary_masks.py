"""In a mask of 0 and 255 alone, 255 is the object, in whatever file it comes."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sslseg.formats import FormatError, read_labels, write_labels
from napari_sslseg.formats.binary_masks import REMARK
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.volume.annotation import stated
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

SHAPE = (6, 7, 8)
OBJECT = np.zeros(SHAPE, bool)
OBJECT[2:4, 3:6, 1:5] = True


def stack(shape=SHAPE):
    return Volume(np.zeros(shape), Geometry.from_spacing((1.0,) * len(shape), shape))


def straight(shape=SHAPE):
    return Volume(np.zeros(shape), Geometry(np.eye(4), shape))


def save(path, values):
    if path.suffix == ".nii":
        nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values, imagej=True, metadata={"axes": "ZYX"})
    else:
        np.save(path, values)
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.tif", "a.npy"])
def test_object_of_255_is_class_1_and_that_is_said(tmp_path, name):
    like = straight() if name == "a.nii" else stack()
    found = import_labels(save(tmp_path / name, OBJECT.astype(np.uint8) * 255), like)
    assert np.array_equal(found.labels, OBJECT)
    assert found.remarks == (REMARK,)
    ink = stated(found.labels, 0)
    assert np.array_equal(ink[2:4], OBJECT[2:4])
    assert (ink[:2] == 255).all()


@pytest.mark.parametrize("bits", [1, 8])
@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_pictures_of_two_values(tmp_path, suffix, bits):
    plane = OBJECT[2]
    values = plane if bits == 1 else plane.astype(np.uint8) * 255
    Image.fromarray(values).save(tmp_path / f"a{suffix}")
    like = stack(plane.shape)
    found = import_labels(tmp_path / f"a{suffix}", like)
    assert np.array_equal(found.labels, plane)
    assert found.remarks == (() if bits == 1 else (REMARK,))
    assert read_labels(tmp_path / f"a{suffix}").array.max() == (1 if bits == 1 else 255)


def test_part_of_the_image_holds_the_object_and_the_rest_is_not_annotated(tmp_path):
    for values in (OBJECT[:4], OBJECT[2:4, 3:6, 1:5]):  # the second is all object
        affine = np.eye(4)
        affine[:3, 3] = (0, 0, 0) if values.shape[0] == 4 else (2, 3, 1)
        nib.save(nib.Nifti1Image(values.astype(np.uint8) * 255, affine), tmp_path / "a.nii")
        found = import_labels(tmp_path / "a.nii", straight())
        assert np.array_equal(found.labels == 1, OBJECT)
        assert (found.labels == 255).any()
        assert found.remarks == (REMARK,)


def test_object_is_resampled(tmp_path):
    fine = np.eye(4)
    fine[:3, :3] /= 2
    fine[:3, 3] = -0.25
    values = OBJECT.repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.uint8) * 255
    nib.save(nib.Nifti1Image(values, fine), tmp_path / "a.nii")
    found = import_labels(tmp_path / "a.nii", straight(), resample=True)
    assert np.array_equal(found.labels == 1, OBJECT)


def test_classes_beside_255_keep_it_as_not_annotated(tmp_path):
    values = np.where(OBJECT, np.uint8(1), np.uint8(255))
    values[0] = 0
    found = import_labels(save(tmp_path / "a.nii", values), straight())
    assert np.array_equal(found.labels, values)
    assert found.remarks == ()


def test_nothing_but_255_on_all_of_the_image_is_no_object(tmp_path):
    path = save(tmp_path / "a.nii", np.full(SHAPE, 255, np.uint8))
    with pytest.raises(FormatError, match=r"255 stands for not annotated.*write 1"):
        import_labels(path, straight())


def test_a_file_that_says_what_255_is_keeps_its_word(tmp_path):
    pytest.importorskip("zarr")
    ink = np.where(OBJECT, np.uint8(0), np.uint8(255))  # references with background ink alone
    write_labels(tmp_path / "a.ome.zarr", ink, stack())
    found = import_labels(tmp_path / "a.ome.zarr", stack())
    assert np.array_equal(found.labels, ink)
    assert found.remarks == ()
