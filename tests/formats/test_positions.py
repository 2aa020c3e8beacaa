"""From a file to the screen and back into every format: each labelled voxel stays where it was.

A real file is opened, known voxels are labelled in the array as it is shown, the labels are
exported, and other libraries say where the labelled voxels are. All 48 axis orders and flips,
straight and oblique by turns, with three different voxel sizes.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_sslseg.formats import export, read
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.volume.classes import ClassTable, SegmentClass

from .conftest import BY_TURNS, DIRECTIONS
from .conftest import _case as image_case

CLASSES = ClassTable([SegmentClass(1, "One", "#ff0000"), SegmentClass(2, "Two", "#00ff00")])


def write_source(case, path):
    """Write an image by a library that is not ours."""
    if path.suffix == ".nii":
        nib.save(nib.Nifti1Image(case.array, case.affine), path)
        return
    image = sitk.GetImageFromArray(np.ascontiguousarray(case.array.T))
    lps = np.diag([-1.0, -1.0, 1.0])
    image.SetSpacing([float(v) for v in case.spacing])
    image.SetDirection((lps @ case.direction).ravel().tolist())
    image.SetOrigin((lps @ np.array(case.origin)).tolist())
    sitk.WriteImage(image, str(path))


def labelled(case, path):
    """Open an image, label voxels where it is shown; return labels, their places, and the volume.

    The places are found by the values of the image: a voxel's value says which one it is.
    """
    volume = read(path)
    order = volume.geometry.canonical()
    shown = order.apply(volume.array)
    labels = np.zeros(order.shape, np.uint8)
    generator = np.random.default_rng(5)
    index = tuple(generator.integers(0, n, 9) for n in order.shape)
    labels[index] = 1 + np.arange(9) % 2
    places = {}
    for value in (1, 2):
        greys = shown[labels == value]
        voxels = np.argwhere(np.isin(case.array, greys))
        places[value] = voxels @ case.affine[:3, :3].T + case.affine[:3, 3]
    return order.invert(labels), places, volume


def same(found, places, name):
    for value, wanted in places.items():
        points = found(value)
        assert len(points) == len(wanted), name
        apart = np.linalg.norm(points[:, None] - wanted[None], axis=-1).min(axis=1)
        assert apart.max() < 1e-4, name


def by_itk(path):
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image).T
    to_point = image.TransformIndexToPhysicalPoint

    def points(value):
        lps = [to_point([int(v) for v in index]) for index in np.argwhere(array == value)]
        return np.array(lps) * (-1, -1, 1)

    return points


def by_nibabel(path):
    image = nib.load(path)
    array = np.asanyarray(image.dataobj)
    return lambda value: nib.affines.apply_affine(image.affine, np.argwhere(array == value))


@pytest.mark.parametrize("source", [".nii", ".nrrd", ".mha"])
def test_voxels_stay_in_place(tmp_path, source):
    for name in BY_TURNS:
        case = image_case(name)
        every = np.random.default_rng(2).permutation(case.array.size).astype(np.int16)
        case.array = every.reshape(case.labels.shape)  # every value once
        write_source(case, tmp_path / f"scan{source}")
        labels, places, volume = labelled(case, tmp_path / f"scan{source}")
        for suffix in (".nii.gz", ".nrrd", ".mha"):
            (path,) = export(tmp_path / f"seg{suffix}", labels, volume, CLASSES)
            same(by_itk(path), places, name)
            if suffix == ".nii.gz":
                same(by_nibabel(path), places, name)
            again = import_labels(path, volume, classes=CLASSES)
            assert not again.resampled, name
            assert np.array_equal(again.labels, labels), name


def test_grid_of_a_nifti_file_is_copied_bit_for_bit(tmp_path):
    for name in DIRECTIONS:
        case = image_case(name)
        image = nib.Nifti1Image(case.array, case.affine)
        image.set_sform(case.affine, 1)
        image.set_qform(case.affine, 2)
        nib.save(image, tmp_path / "a.nii")
        volume = read(tmp_path / "a.nii")
        (path,) = export(tmp_path / "b.nii", case.labels, volume, CLASSES)
        one, two = nib.load(tmp_path / "a.nii").header, nib.load(path).header
        for field in (
            *("sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c"),
            *("quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "pixdim", "dim", "xyzt_units"),
        ):
            assert one[field].tobytes() == two[field].tobytes(), (name, field)


def test_texts_of_a_nifti_header_are_not_copied(tmp_path, oblique):
    for kind in (nib.Nifti1Image, nib.Nifti2Image):
        image = kind(oblique.array, oblique.affine)
        image.header["descrip"] = b"Doe, Jane, born 1970"
        image.header["aux_file"] = b"janes file"
        image.header["intent_name"] = b"Jane"
        if kind is nib.Nifti1Image:
            image.header["db_name"] = b"Jane Doe"
        image.header.extensions.append(nib.nifti1.Nifti1Extension(6, b"Jane"))
        nib.save(image, tmp_path / "a.nii")
        volume = read(tmp_path / "a.nii")
        (path,) = export(tmp_path / "b.nii", oblique.labels, volume, CLASSES)
        assert b"ane" in (tmp_path / "a.nii").read_bytes()
        assert b"ane" not in path.read_bytes()
        assert np.array_equal(np.asanyarray(nib.load(path).dataobj), oblique.labels)
