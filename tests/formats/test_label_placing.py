"""Labels that say less of space than their image lie where they were made, or are refused."""

from __future__ import annotations

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import tifffile

from napari_sslseg.formats import FormatError, export, read
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.formats.label_placing import GridDiffersError
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import DIRECTIONS

CUBE = (5, 5, 5)
LABELS = np.random.default_rng(3).integers(0, 3, CUBE).astype(np.uint8)
CLASSES = ClassTable.from_ids([1, 2])
ALONE = "Placed by its shape alone"


def image(folder, name="yZX", shape=CUBE, codes=True):
    """Write an image as NIfTI and read it."""
    affine = np.eye(4)
    affine[:3, :3] = DIRECTIONS[name] * (0.7, 1.3, 5.0)
    affine[:3, 3] = (10.0, -20.0, 30.0)
    file = nib.Nifti1Image(np.zeros(shape, np.int16), affine if codes else None)
    nib.save(file, folder / "image.nii")
    return read(folder / "image.nii")


@pytest.mark.parametrize("kind", ["xyz", "yZX", "ZxY-oblique", "stack", "no codes"])
def test_exports_come_back_on_a_cube_whatever_they_say_of_space(tmp_path, kind):
    if kind == "stack":
        geometry = Geometry.from_spacing((2.0, 0.5, 0.5), CUBE, units="um")
        like = Volume(np.zeros(CUBE), geometry)
    else:
        like = image(tmp_path, "yZX" if kind == "no codes" else kind, codes=kind != "no codes")
    names = ["a.nii.gz", "a.nrrd", "a.mha", "a.tif", "a.ome.tif", "a.npy", "a.ome.zarr"]
    for name in names:
        if name == "a.ome.zarr":
            pytest.importorskip("zarr")
        export(tmp_path / name, LABELS, like, CLASSES)
        found = import_labels(tmp_path / name, like)
        assert np.array_equal(found.labels, LABELS), name
        said = [remark for remark in found.remarks if ALONE in remark]
        assert bool(said) == (kind != "stack" and name[2:] in BARE), name


#: Formats that hold voxels and their size at most.
BARE = ("tif", "ome.tif", "npy")


def test_the_order_is_said_where_two_fit(tmp_path):
    like = image(tmp_path)
    np.save(tmp_path / "a.npy", LABELS)
    tifffile.imwrite(tmp_path / "a.tif", like.geometry.canonical().apply(LABELS).copy())
    for name, order in (
        ("a.npy", "in the order of the image's file"),
        ("a.tif", "as the image is"),
    ):
        (said,) = import_labels(tmp_path / name, like).remarks
        assert said.startswith(f"{ALONE}, {order}")
        assert said.endswith(
            "the file does not say where it lies: check left and right, front and back."
        )


def test_shape_alone_is_said_unless_nobody_says_where_it_lies(tmp_path):
    labels = np.ones((4, 5, 6), np.uint8)
    like = image(tmp_path, shape=labels.shape)
    head = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 5 6\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(head + labels.tobytes())
    nib.save(nib.Nifti1Image(labels, None), tmp_path / "a.nii")
    np.save(tmp_path / "a.npy", labels)
    for name in ("a.nrrd", "a.nii", "a.npy"):
        found = import_labels(tmp_path / name, like)
        assert np.array_equal(found.labels, labels)
        assert found.remarks[-1].startswith(f"{ALONE}, as the file does not"), name
    # The other way round, and with neither.
    nib.save(nib.Nifti1Image(labels, like.geometry.affine), tmp_path / "b.nii")
    stack = read(tmp_path / "a.npy")
    (said,) = import_labels(tmp_path / "b.nii", stack).remarks
    assert "as the image does not say" in said
    tifffile.imwrite(tmp_path / "a.tif", labels, photometric="minisblack")
    for name in ("a.npy", "a.tif"):
        assert import_labels(tmp_path / name, stack).remarks == ()


def test_an_image_without_a_place_keeps_labels_in_the_order_of_its_file(tmp_path):
    like = image(tmp_path, codes=False)
    nib.save(nib.Nifti1Image(LABELS, image(tmp_path).geometry.affine), tmp_path / "a.nii")
    assert np.array_equal(import_labels(tmp_path / "a.nii", like).labels, LABELS)


def moved(path, voxels):
    """Move OME-Zarr labels along their last axis."""
    file = path / ".zattrs"
    attributes = json.loads(file.read_text())
    for dataset in attributes["multiscales"][0]["datasets"]:
        scale, translation = dataset["coordinateTransformations"]
        translation["translation"][2] += voxels * scale["scale"][2]
    file.write_text(json.dumps(attributes))
    return path


@pytest.mark.parametrize("voxels", [0.3, 1.0, 1.5, 40.0, 40.5])
@pytest.mark.parametrize("name", ["yZX", "yZX-oblique"])
def test_ome_zarr_elsewhere_is_another_grid(tmp_path, name, voxels):
    pytest.importorskip("zarr")
    like = image(tmp_path, name)
    path = tmp_path / "a.ome.zarr"
    export(path, LABELS, like, CLASSES)
    size = like.geometry.canonical().scale[2]
    with pytest.raises(GridDiffersError) as told:
        import_labels(moved(path, voxels), like)
    if name == "yZX":
        assert f"its centre lies {voxels * size:.3g} mm off" in str(told.value)
    else:
        assert "turned by" in str(told.value)
    assert "between" not in str(told.value)


def test_ome_zarr_elsewhere_lies_where_it_says(tmp_path):
    pytest.importorskip("zarr")
    like = image(tmp_path)
    path = tmp_path / "a.ome.zarr"
    inside = LABELS.copy()
    like.geometry.canonical().apply(inside)[:, :, -1] = 0
    export(path, inside, like, CLASSES)
    found = import_labels(moved(path, 1), like)
    one, other = (like.geometry.canonical().apply(a) for a in (found.labels, inside))
    assert np.array_equal(one[:, :, 1:], other[:, :, :-1])
    assert (one[:, :, 0] == 255).all()


def test_a_part_without_a_place_is_not_put_into_a_corner_of_another_stack(tmp_path):
    resolution = {"imagej": True, "resolution": (2.0, 2.0)}
    shape = (4, 6, 7)
    like = Volume(np.zeros(shape), Geometry.from_spacing((1.0, 0.5, 0.5), shape, units="um"))
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 1.0}
    part = np.ones((3, 5, 6), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", part, metadata=metadata, **resolution)
    with pytest.raises(GridDiffersError, match="its shape is 3 × 5 × 6, the image's 4 × 6 × 7"):
        import_labels(tmp_path / "a.tif", like)


def test_shapes_that_do_not_fit_are_said_as_files_have_them(tmp_path):
    like = image(tmp_path, "xyz", (4, 5, 6))
    np.save(tmp_path / "a.npy", np.ones((4, 5, 7), np.uint8))
    with pytest.raises(FormatError) as told:
        import_labels(tmp_path / "a.npy", like)
    wanted = "its shape is 4 × 5 × 7, the image's 4 × 5 × 6, or 6 × 5 × 4 as it is shown;"
    assert wanted in str(told.value)


def test_remarks_on_the_file_of_labels_are_told(tmp_path):
    like = image(tmp_path, codes=False)
    nib.save(nib.Nifti1Image(LABELS, None), tmp_path / "a.nii")
    (said,) = import_labels(tmp_path / "a.nii", replace(like, header=None)).remarks
    assert "does not say how it lies in the patient" in said
