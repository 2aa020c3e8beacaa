"""Existing labels come in on the image's grid, or a sentence says why not."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from napari_sslseg.formats import FormatError, write_labels
from napari_sslseg.formats.label_import import (
    GridDiffersError,
    import_labels,
)
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import DIRECTIONS

CLASSES = ClassTable([SegmentClass(1, "One", "#ff0000"), SegmentClass(2, "Two", "#00ff00")])
SHAPE = (8, 9, 7)


def image(spacing=(0.7, 1.3, 5.0), name="yZX-oblique", shape=SHAPE, origin=(10.0, 20.0, 30.0)):
    affine = np.eye(4)
    affine[:3, :3] = DIRECTIONS[name] * np.array(spacing)
    affine[:3, 3] = origin
    return Volume(np.zeros(shape, np.int16), Geometry(affine, shape))


def blob(shape=SHAPE):
    labels = np.zeros(shape, np.uint8)
    labels[2:5, 3:7, 1:6] = 1
    labels[4:6, 1:3, 2:4] = 2
    return labels


def is_one_sentence(error):
    text = str(error.value)
    return text.count(". ") == 0 and text.endswith(".") and "\n" not in text


def test_axes_in_another_order_are_put_right_without_interpolation(tmp_path):
    like = image()
    labels = blob()
    stored = nib.Nifti1Image(labels, like.geometry.affine)
    for code in ("RAS", "LPS", "PIR", "SAL"):
        ornt = nib.orientations.ornt_transform(
            nib.io_orientation(stored.affine), nib.orientations.axcodes2ornt(code)
        )
        nib.save(stored.as_reoriented(ornt), tmp_path / "a.nii")
        found = import_labels(tmp_path / "a.nii", like, classes=CLASSES)
        assert np.array_equal(found.labels, labels)
        assert not found.resampled


def test_part_of_the_image_leaves_the_rest_not_annotated(tmp_path):
    like = image()
    labels = blob()
    affine = like.geometry.affine.copy()
    affine[:3, 3] = like.geometry.position((2, 1, 1))
    nib.save(nib.Nifti1Image(labels[2:6, 1:7, 1:6], affine), tmp_path / "a.nii.gz")
    found = import_labels(tmp_path / "a.nii.gz", like)
    inside = np.zeros(SHAPE, bool)
    inside[2:6, 1:7, 1:6] = True
    assert np.array_equal(found.labels[inside], labels[inside])
    assert (found.labels[~inside] == 255).all()


def test_another_grid_is_named_and_resampled_only_when_agreed(tmp_path):
    like = image(spacing=(1.0, 1.0, 2.0), name="xyz", shape=(20, 20, 10))
    coarse = image(spacing=(2.0, 2.0, 2.0), name="xyz", shape=(10, 10, 10))
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[3:6, 4:8, 2:5] = 2
    write_labels(tmp_path / "a.nrrd", labels, coarse)
    with pytest.raises(GridDiffersError) as caught:
        import_labels(tmp_path / "a.nrrd", like, classes=CLASSES)
    assert is_one_sentence(caught)
    assert "2 × 2 × 2 mm, the image's 1 × 1 × 2 mm" in str(caught.value)
    found = import_labels(tmp_path / "a.nrrd", like, classes=CLASSES, resample=True)
    assert found.resampled
    # Each voxel takes the label whose centre is closest to its own.
    index = like.geometry.position(np.argwhere(np.ones(like.geometry.shape)))
    back = (index - coarse.geometry.affine[:3, 3]) @ np.linalg.inv(coarse.geometry.affine[:3, :3]).T
    away = np.abs(back - np.round(back)).max(axis=1)
    clear = (away < 0.4) & (back > -0.4).all(axis=1) & (back < 9.4).all(axis=1)
    nearest = labels[tuple(np.round(back[clear]).astype(int).T)]
    assert np.array_equal(found.labels.reshape(-1)[clear], nearest)
    assert clear.any()
    assert set(np.unique(found.labels)) <= {0, 2, 255}


def test_oblique_labels_are_resampled_onto_a_straight_image(tmp_path):
    like = image(spacing=(1.0, 1.0, 1.0), name="xyz", shape=(30, 30, 30), origin=(0, 0, 0))
    turned = image(
        spacing=(1.0, 1.0, 1.0), name="xyz-oblique", shape=(30, 30, 30), origin=(0, 0, 0)
    )
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[10:20, 10:20, 10:20] = 1
    write_labels(tmp_path / "a.mha", labels, turned)
    found = import_labels(tmp_path / "a.mha", like, resample=True)
    middle = turned.geometry.position((14.5, 14.5, 14.5))
    centre = like.geometry.position(np.argwhere(found.labels == 1).mean(axis=0))
    np.testing.assert_allclose(centre, middle, atol=0.2)
    assert 900 < (found.labels == 1).sum() < 1100


def test_labels_beyond_the_image_are_not_cut_off_silently(tmp_path):
    like = image(name="xyz")
    far = image(name="xyz", origin=(12.1, 20.0, 30.0))  # three voxels further
    write_labels(tmp_path / "a.nii", np.ones(SHAPE, np.uint8), far)
    with pytest.raises(GridDiffersError, match="mm off"):
        import_labels(tmp_path / "a.nii", like)
    off = image(name="xyz", origin=(1000.0, 20.0, 30.0))
    write_labels(tmp_path / "b.nii", np.ones(SHAPE, np.uint8), off)
    with pytest.raises(FormatError, match="no label within the image"):
        import_labels(tmp_path / "b.nii", like, resample=True)


def test_stacks_without_directions_are_taken_as_they_are_shown(tmp_path):
    for name in ("xyz", "yZX", "ZxY-oblique"):
        like = image(name=name)
        write_labels(tmp_path / "a.tif", blob(), like)
        assert np.array_equal(import_labels(tmp_path / "a.tif", like).labels, blob())
        np.save(tmp_path / "a.npy", blob())
        if like.geometry.canonical().shape != SHAPE:
            assert np.array_equal(import_labels(tmp_path / "a.npy", like).labels, blob())


@pytest.mark.parametrize("inside", [False, True], ids=["anywhere", "in the overlap"])
@pytest.mark.parametrize("origin", [(0, 0, 0), (-3, -4, 2)], ids=str)
@pytest.mark.parametrize("name", ["xyz", "yZX"])
def test_stack_of_the_images_shape_lies_on_it_wherever_that_is(tmp_path, name, origin, inside):
    # A whole number of voxels away from where a file without an origin would lie.
    like = image(spacing=(1.0, 1.0, 1.0), name=name, origin=origin)
    labels = blob()
    if inside:
        labels[:] = 0
        labels[:2, :2, :3] = 1
    shown = np.ascontiguousarray(like.geometry.canonical().apply(labels))
    np.save(tmp_path / "a.npy", shown)
    tifffile.imwrite(tmp_path / "a.tif", shown, photometric="minisblack")
    write_labels(tmp_path / "b.tif", labels, like)
    for file in ("a.npy", "a.tif", "b.tif"):
        found = import_labels(tmp_path / file, like)
        assert np.array_equal(found.labels, labels), file
        assert not found.resampled


def test_labels_with_a_place_lie_on_a_stack_of_their_shape(tmp_path):
    stack = Volume(np.zeros(SHAPE), Geometry.from_spacing((1.0,) * 3, SHAPE, units="pixel"))
    like = image(spacing=(1.0, 1.0, 1.0), name="xyz", shape=SHAPE[::-1], origin=(-20, -30, 4))
    shown = np.zeros(SHAPE, np.uint8)
    shown[:2, :2, :3] = 1
    write_labels(tmp_path / "a.nii", like.geometry.canonical().invert(shown), like)
    assert np.array_equal(import_labels(tmp_path / "a.nii", stack).labels, shown)


def test_a_smaller_stack_without_a_place_is_not_put_into_a_corner(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((3, 4, 5), np.uint8))
    affine = np.array([[0, 0, -1, 0], [0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]], float)
    like = Volume(np.zeros(SHAPE), Geometry(affine, SHAPE))  # in display order, from 0 on
    with pytest.raises(FormatError, match="does not say where it lies") as caught:
        import_labels(tmp_path / "a.npy", like, resample=True)
    assert is_one_sentence(caught)


def test_stack_of_another_shape_cannot_be_placed(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((3, 4, 5), np.uint8), photometric="minisblack")
    with pytest.raises(FormatError, match="does not say where it lies") as caught:
        import_labels(tmp_path / "a.tif", image(), resample=True)
    assert is_one_sentence(caught)


def test_labels_of_a_stack_saved_as_nifti_come_back(tmp_path):
    stack = Volume(np.zeros((4, 5, 6)), Geometry.from_spacing((3.0, 1.0, 2.0), (4, 5, 6)))
    labels = blob((4, 5, 6))
    labels[1, 2, 3] = 2
    write_labels(tmp_path / "a.nii.gz", labels, stack)
    assert np.array_equal(import_labels(tmp_path / "a.nii.gz", stack).labels, labels)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.float32([0.0, 0.5]), "not whole numbers"),
        (np.float32([0.0, np.nan]), "NaN"),
        (np.int16([0, -3]), "-3"),
        (np.int16([0, 300]), "300"),
    ],
)
def test_what_is_no_mask_is_refused_with_a_sentence(tmp_path, values, words):
    like = image()
    array = np.zeros(SHAPE, values.dtype)
    array[0, 0, :2] = values
    stored = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    sitk.WriteImage(stored, str(tmp_path / "a.mha"))
    with pytest.raises(FormatError, match=words) as caught:
        import_labels(tmp_path / "a.mha", like)
    assert is_one_sentence(caught)


def test_whole_numbers_stored_as_floats_are_labels(tmp_path):
    like = image()
    nib.save(nib.Nifti1Image(blob().astype(np.float64), like.geometry.affine), tmp_path / "a.nii")
    assert np.array_equal(import_labels(tmp_path / "a.nii", like).labels, blob())


def test_ids_may_be_without_a_class(tmp_path):
    like = image()
    labels = blob()
    labels[0, 0, :2] = (7, 254)
    write_labels(tmp_path / "a.nii", labels, like)
    found = import_labels(tmp_path / "a.nii", like, classes=CLASSES)
    assert np.array_equal(found.labels, labels)


def test_not_annotated_is_no_class(tmp_path):
    like = image()
    labels = np.where(blob() > 0, blob(), 255).astype(np.uint8)
    write_labels(tmp_path / "a.nii", labels, like)
    assert np.array_equal(import_labels(tmp_path / "a.nii", like, classes=CLASSES).labels, labels)
    write_labels(tmp_path / "b.nii", np.full(SHAPE, 255, np.uint8), like)
    with pytest.raises(FormatError, match="holds no label"):
        import_labels(tmp_path / "b.nii", like)


def test_a_plane_does_not_fit_a_volume(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((9, 7), np.uint8))
    with pytest.raises(FormatError, match="2 dimensions, the image has 3"):
        import_labels(tmp_path / "a.tif", image(), resample=True)


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_a_slice_of_a_patient_keeps_its_place_whether_plane_or_volume(tmp_path, oblique, suffix):
    stack = Geometry(oblique.affine, (*oblique.array.shape[:2], 1))
    plane = Volume(oblique.array[..., 0], Geometry(stack.affine, stack.shape[:2]))
    labels = oblique.labels[..., 0] % 3
    write_labels(tmp_path / f"a{suffix}", labels, plane)
    assert np.array_equal(import_labels(tmp_path / f"a{suffix}", plane).labels, labels)
    whole = Geometry(stack.affine, oblique.array.shape)
    found = import_labels(tmp_path / f"a{suffix}", Volume(oblique.array, whole)).labels
    assert np.array_equal(found[..., 0], labels)
    assert (found[..., 1:] == 255).all()
    # As most programs write it, and at another thickness than the image's, which says none.
    thick = stack.affine @ np.diag([1, 1, 3, 1])
    nib.save(nib.Nifti1Image(labels[..., None], thick), tmp_path / "b.nii")
    assert np.array_equal(import_labels(tmp_path / "b.nii", plane).labels, labels)
    moved = thick.copy()
    moved[:3, 3] += 5 * moved[:3, 2] / np.linalg.norm(moved[:3, 2])
    nib.save(nib.Nifti1Image(labels[..., None], moved), tmp_path / "c.nii")
    with pytest.raises(GridDiffersError):
        import_labels(tmp_path / "c.nii", plane)


def test_dicom_segments_get_the_ids_of_classes_of_their_name(tmp_path):
    pytest.importorskip("highdicom")
    from napari_sslseg.formats import dicom, dicom_seg

    from .dicom_files import write_series

    write_series(tmp_path / "in", np.zeros((6, 5, 4), np.int16), step=(0, 0, 2.5))
    volume = dicom.read(tmp_path / "in")
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1, 2, 0], labels[2:, 3, 2:5] = 1, 2  # slice 1 and the last one are left out
    dicom_seg.write(tmp_path / "a.dcm", labels, volume, CLASSES, False)
    table = ClassTable([SegmentClass(9, "two", "#000000"), SegmentClass(2, "Other", "#000000")])
    found = import_labels(tmp_path / "a.dcm", volume, classes=table)
    assert found.names == {1: "One", 9: "Two"}
    assert np.array_equal(found.labels, np.where(labels == 2, 9, labels))
    (free,) = [import_labels(tmp_path / "a.dcm", volume)]
    assert np.array_equal(free.labels, labels)


def test_dicom_segments_on_another_grid_are_resampled_when_agreed(tmp_path):
    pytest.importorskip("highdicom")
    from napari_sslseg.formats import dicom, dicom_seg

    from .dicom_files import write_series

    write_series(tmp_path / "in", np.zeros((6, 12, 10), np.int16), step=(0, 0, 2))
    volume = dicom.read(tmp_path / "in")
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[2:8, 3:9, 1:5] = 1
    dicom_seg.write(tmp_path / "a.dcm", labels, volume, CLASSES, False)
    fine = Geometry.from_lps(np.eye(3), (0.5, 0.5, 1.0), (-0.25, -0.25, -0.5), (20, 24, 12))
    like = Volume(np.zeros(fine.shape), fine)
    with pytest.raises(GridDiffersError):
        import_labels(tmp_path / "a.dcm", like, classes=CLASSES)
    found = import_labels(tmp_path / "a.dcm", like, classes=CLASSES, resample=True)
    assert np.array_equal(found.labels, labels.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_damaged_segmentation_is_one_sentence(tmp_path):
    pytest.importorskip("highdicom")
    from napari_sslseg.formats import dicom, dicom_seg

    from .dicom_files import write_series

    write_series(tmp_path / "in", np.zeros((3, 5, 4), np.int16))
    volume = dicom.read(tmp_path / "in")
    labels = np.ones(volume.geometry.shape, np.uint8)
    dicom_seg.write(tmp_path / "a.dcm", labels, volume, CLASSES, False)
    content = (tmp_path / "a.dcm").read_bytes()
    for length in range(1000, len(content), 211):
        (tmp_path / "b.dcm").write_bytes(content[:length])
        with pytest.raises(FormatError) as caught:
            import_labels(tmp_path / "b.dcm", volume)
        assert is_one_sentence(caught)
