"""Reading and writing through the registry: between formats, and when files are not right."""

from __future__ import annotations

import gzip
import os

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from napari_sslseg.formats import FormatError, read, read_labels, stem, suffix_of, write_labels
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

SUFFIXES = [".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".tif", ".tiff", ".npy"]


def volume_of(case):
    return Volume(case.array, Geometry(case.affine, case.array.shape))


def stored(suffix, labels, volume):
    """Labels in the order of a file: TIFF, which knows no directions, has that of the display."""
    return volume.geometry.canonical().apply(labels) if suffix.startswith(".tif") else labels


def is_one_sentence(text):
    return text.count(". ") == 0 and text.endswith(".") and "\n" not in text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_labels_without_a_source_file_come_back(oblique, tmp_path, suffix):
    target = tmp_path / f"x{suffix}"
    write_labels(target, oblique.labels, volume_of(oblique))
    back = read_labels(target)
    assert back.array.dtype == np.uint8
    assert np.array_equal(back.array, stored(suffix, oblique.labels, volume_of(oblique)))
    assert back.name == "x"
    assert back.source == str(target)


@pytest.mark.parametrize(
    ("source", "target"),
    [(".nii", ".nrrd"), (".nii", ".mhd"), (".nrrd", ".nii.gz"), (".mha", ".nhdr")],
)
def test_position_is_carried_between_formats(case, tmp_path, source, target):
    write_labels(tmp_path / f"a{source}", case.labels, volume_of(case))
    first = read_labels(tmp_path / f"a{source}")
    write_labels(tmp_path / f"b{target}", first.array, first)
    second = read_labels(tmp_path / f"b{target}")
    assert np.array_equal(second.array, case.labels)
    np.testing.assert_allclose(second.geometry.affine, case.affine, atol=1e-5)
    itk = sitk.ReadImage(str(tmp_path / f"b{target}"))
    np.testing.assert_allclose(itk.GetOrigin(), np.array(case.origin) * (-1, -1, 1), atol=1e-5)


@pytest.mark.parametrize("target", [".nii.gz", ".nrrd", ".mha"])
def test_stack_in_micrometres_keeps_its_size_in_millimetres(tmp_path, target):
    stack = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6) % 3
    tifffile.imwrite(
        tmp_path / "a.tif",
        stack,
        imagej=True,
        resolution=(4.0, 2.0),
        metadata={"axes": "ZYX", "spacing": 2.5, "unit": "um"},
    )
    source = read_labels(tmp_path / "a.tif")
    write_labels(tmp_path / f"b{target}", source.array, source)
    back = read_labels(tmp_path / f"b{target}")
    assert np.array_equal(back.array, stack)
    assert back.geometry.spacing == pytest.approx((2.5e-3, 5e-4, 2.5e-4))
    # Pages, rows and columns are shown as before.
    assert back.geometry.canonical().is_identity


def test_spacing_is_carried_into_tiff(oblique, tmp_path):
    write_labels(tmp_path / "a.tif", oblique.labels, volume_of(oblique))
    back = read_labels(tmp_path / "a.tif")
    assert back.geometry.units == "mm"
    shown = volume_of(oblique).geometry.canonical()
    assert back.geometry.spacing == pytest.approx(shown.scale)


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float32, np.float64, np.int8])
@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".npy"])
def test_whole_numbers_of_any_type_are_labels(oblique, tmp_path, dtype, suffix):
    values = np.minimum(oblique.labels, 2).astype(dtype)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    elif suffix == ".mha":
        sitk.WriteImage(sitk.GetImageFromArray(np.ascontiguousarray(values.T)), str(path))
    else:
        nib.save(nib.Nifti1Image(values, oblique.affine, dtype=dtype), path)
    labels = read_labels(path)
    assert labels.array.dtype == np.uint8
    assert np.array_equal(labels.array, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0, 1, 1.5], "whole numbers"),
        ([0, -1, 1], "from -1 to 1"),
        ([0, 1, 256], "to 256"),
        ([0, 1, np.nan], "NaN"),
        ([0, 1, np.inf], "NaN or infinite"),
    ],
)
def test_values_that_are_no_class_ids_are_refused(tmp_path, values, message):
    array = np.array(values, dtype=np.float32).reshape(3, 1, 1) * np.ones((3, 4, 5), np.float32)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(FormatError, match=message) as error:
        read_labels(tmp_path / "a.nii.gz")
    assert "a.nii.gz" in str(error.value)
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("damage", ["missing", "empty", "garbage", "half", "folder"])
def test_files_that_are_not_right_are_named_in_one_sentence(
    oblique, tmp_path, suffix, damage, capfd
):
    path = tmp_path / f"scan{suffix}"
    big = Volume(np.zeros((40, 50, 60), np.uint8), Geometry(np.diag([1.0, 2, 3, 1]), (40, 50, 60)))
    if damage == "folder":
        path.mkdir()
    elif damage == "empty":
        path.touch()
    elif damage == "garbage":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif damage == "half":
        noise = np.random.default_rng(0).integers(0, 256, big.array.shape).astype(np.uint8)
        write_labels(path, noise, big)
        data = (
            path
            if path.stat().st_size > 5000
            else max(tmp_path.iterdir(), key=lambda item: item.stat().st_size)
        )
        data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    with pytest.raises(FormatError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert is_one_sentence(str(error.value))
    if suffix not in (".mha", ".mhd"):  # ITK's MetaImage reader prints by itself
        assert capfd.readouterr().err == ""


def test_truncated_compressed_nifti_with_a_whole_header(tmp_path):
    image = nib.Nifti1Image(np.zeros((40, 50, 60), np.int16), np.eye(4))
    content = image.to_bytes()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content[: len(content) // 2]))
    with pytest.raises(FormatError, match="incomplete"):
        read(tmp_path / "a.nii.gz")


def test_missing_data_beside_a_header(oblique, tmp_path):
    write_labels(tmp_path / "a.mhd", oblique.labels, volume_of(oblique))
    next(item for item in tmp_path.iterdir() if item.suffix != ".mhd").unlink()
    with pytest.raises(FormatError, match=r"a\.mhd"):
        read(tmp_path / "a.mhd")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".tif", ".mha", ".npy"])
@pytest.mark.parametrize("gaps", [1, 120])
def test_voxels_without_a_number_are_told_and_an_image_of_them_refused(tmp_path, suffix, gaps):
    array = np.ones((4, 5, 6), np.float32)
    array.ravel()[:gaps] = np.nan
    path = tmp_path / f"a{suffix}"
    if suffix.startswith(".nii"):
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    elif suffix == ".tif":
        tifffile.imwrite(path, array, photometric="minisblack")
    elif suffix == ".mha":
        sitk.WriteImage(sitk.GetImageFromArray(array), str(path))
    else:
        np.save(path, array)
    if gaps == array.size:
        with pytest.raises(FormatError, match="no voxel holds a number"):
            read(path)
        return
    volume = read(path)
    assert np.count_nonzero(np.isnan(volume.array)) == gaps
    assert "1 of 120 values are not finite" in volume.warnings[-1]
    assert volume.warnings[-1].endswith("they count as the lowest value of the image.")


def test_infinite_voxels_that_are_drawn_bright_are_told_apart(tmp_path):
    array = np.ones((4, 5, 6), np.float32)
    array[0, 0, :3] = np.inf, -np.inf, np.nan
    np.save(tmp_path / "a.npy", array)
    said = read(tmp_path / "a.npy").warnings[-1]
    assert said.startswith("3 of 120 values are not finite")
    assert said.endswith("although +infinity (1 of them) is drawn brightest.")


@pytest.mark.parametrize("name", ["scan.txt", "scan", "scan.gz"])
def test_unknown_suffix_is_refused(tmp_path, name, oblique):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(FormatError, match="suffix"):
        read(tmp_path / name)
    with pytest.raises(FormatError, match="suffix"):
        write_labels(tmp_path / name, oblique.labels, volume_of(oblique))


def test_what_does_not_exist_is_told_whatever_its_name(tmp_path):
    for name in ("scan", "scan.nii"):
        with pytest.raises(FormatError, match="does not exist; check the path"):
            read(tmp_path / name)


def test_pickled_arrays_are_not_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError):
        read(tmp_path / "a.npy")


def test_labels_of_another_shape_or_value_are_not_written(oblique, tmp_path):
    like = volume_of(oblique)
    with pytest.raises(FormatError, match="shape"):
        write_labels(tmp_path / "a.nii", oblique.labels[:-1], like)
    with pytest.raises(FormatError, match="class ids"):
        write_labels(tmp_path / "a.nii", oblique.labels.astype(np.int32) - 1, like)
    assert list(tmp_path.iterdir()) == []


def test_target_that_cannot_be_written_is_named(oblique, tmp_path):
    like = volume_of(oblique)
    with pytest.raises(FormatError, match=r"folder .* does not exist"):
        write_labels(tmp_path / "no" / "a.nii", oblique.labels, like)
    (tmp_path / "b.nii").mkdir()
    with pytest.raises(FormatError, match="is a folder"):
        write_labels(tmp_path / "b.nii", oblique.labels, like)


def test_failed_write_leaves_the_old_file_and_nothing_else(oblique, tmp_path, monkeypatch):
    like = volume_of(oblique)
    target = tmp_path / "a.nii.gz"
    write_labels(target, oblique.labels, like)
    before = target.read_bytes()

    def fail(image, path):
        with open(path, "wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nib, "save", fail)
    with pytest.raises(FormatError, match="disk is full"):
        write_labels(target, 1 - (oblique.labels > 0), like)
    assert target.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.nii.gz"]


def test_labels_are_saved_back_while_they_are_mapped_but_never_over_an_image(oblique, tmp_path):
    nib.save(nib.Nifti1Image(oblique.labels, oblique.affine), tmp_path / "a.nii")
    labels = read(tmp_path / "a.nii")
    write_labels(tmp_path / "a.nii", oblique.labels // 2, labels)
    assert np.array_equal(read_labels(tmp_path / "a.nii").array, oblique.labels // 2)
    values = np.arange(oblique.labels.size, dtype=np.int16).reshape(oblique.labels.shape)
    nib.save(nib.Nifti1Image(values, oblique.affine), tmp_path / "b.nii")
    (tmp_path / "link.nii").symlink_to(tmp_path / "b.nii")
    for name in ("b.nii", "link.nii"):
        with pytest.raises(FormatError, match=f"{name} would be overwritten; choose another name"):
            write_labels(tmp_path / name, oblique.labels, read(tmp_path / "b.nii"))
    assert np.array_equal(nib.load(tmp_path / "b.nii").dataobj, values)


def test_reversed_view_is_written_as_it_is_seen(oblique, tmp_path):
    view = oblique.labels[::-1, :, ::-1]
    for suffix in SUFFIXES:
        write_labels(tmp_path / f"a{suffix}", view, volume_of(oblique))
        wanted = stored(suffix, view, volume_of(oblique))
        assert np.array_equal(read_labels(tmp_path / f"a{suffix}").array, wanted)


def test_unoriented_volume_is_written_to_nifti_in_its_own_order(tmp_path):
    geometry = Geometry.from_spacing((3.0, 1.0, 2.0), (4, 5, 6), origin=(1.0, 2.0, 3.0))
    labels = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)
    write_labels(tmp_path / "a.nii.gz", labels, Volume(labels, geometry))
    back = read_labels(tmp_path / "a.nii.gz")
    assert np.array_equal(back.array, labels)
    assert np.array_equal(back.geometry.affine, geometry.affine)
    assert back.geometry.canonical().is_identity


def test_names_of_files():
    assert stem("/x/scan.v1.NII.GZ") == "scan.v1"
    assert suffix_of("scan.NII.GZ") == ".nii.gz"
    assert suffix_of("scan.txt") == ""
    assert stem("scan.txt") == "scan"
    assert stem("a/scan.ome.zarr") == "scan"


def test_too_long_a_path_is_one_sentence(tmp_path):
    path = tmp_path / ("x" * 300 + ".nii")
    like = Volume(np.zeros((2, 3, 4)), Geometry(np.eye(4), (2, 3, 4)))
    for what in (read, read_labels, lambda path: import_labels(path, like)):
        with pytest.raises(FormatError, match="cannot be opened: File name too long") as caught:
            what(path)
        assert is_one_sentence(str(caught.value))
