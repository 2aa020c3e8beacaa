"""NIfTI: what is written lies where the image lies, bit for bit."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_sslseg.formats import FormatError, read, read_labels, write_labels
from napari_sslseg.formats.choice import SeveralVolumesError

GEOMETRY_FIELDS = (
    "sform_code", "qform_code", "srow_x", "srow_y", "srow_z", "quatern_b", "quatern_c",
    "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "pixdim", "xyzt_units",
)  # fmt: skip


def save(path, array, affine, *, sform=1, qform=1, units="mm", kind=nib.Nifti1Image):
    image = kind(array, affine)
    image.set_sform(affine, sform)
    image.set_qform(affine, qform)
    image.header.set_xyzt_units(units)
    nib.save(image, path)
    return path


def same_geometry_bits(first, second):
    one, two = nib.load(first), nib.load(second)
    for field in GEOMETRY_FIELDS:
        assert one.header[field].tobytes() == two.header[field].tobytes(), field
    assert one.affine.tobytes() == two.affine.tobytes()


def same_in_itk(first, second):
    one, two = sitk.ReadImage(str(first)), sitk.ReadImage(str(second))
    assert one.GetOrigin() == two.GetOrigin()
    assert one.GetSpacing() == two.GetSpacing()
    assert one.GetDirection() == two.GetDirection()
    assert one.GetSize() == two.GetSize()


def test_every_orientation_is_written_as_read(case, tmp_path):
    source = save(tmp_path / "image.nii", case.array, case.affine)
    volume = read(source)
    assert np.array_equal(volume.array, case.array)
    assert np.array_equal(volume.geometry.affine, nib.load(source).affine)

    target = tmp_path / "labels.nii.gz"
    write_labels(target, case.labels, volume)
    same_geometry_bits(source, target)
    same_in_itk(source, target)
    assert nib.load(target).get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(nib.load(target).dataobj), case.labels)
    assert np.array_equal(read_labels(target).array, case.labels)
    assert read_labels(target).geometry == volume.geometry


@pytest.mark.parametrize(("sform", "qform"), [(0, 0), (0, 1), (2, 0), (4, 1), (1, 2)])
@pytest.mark.parametrize("units", ["mm", "micron", "meter", "unknown"])
def test_codes_and_units_are_kept(oblique, tmp_path, sform, qform, units):
    source = save(
        tmp_path / "a.nii.gz", oblique.array, oblique.affine, sform=sform, qform=qform, units=units
    )
    write_labels(tmp_path / "b.nii.gz", oblique.labels, read(source))
    same_geometry_bits(source, tmp_path / "b.nii.gz")
    expected = {"micron": "um", "meter": "m"}.get(units, "mm")
    assert read(source).geometry.units == expected


def test_sform_and_qform_that_disagree_are_both_kept(oblique, tmp_path):
    image = nib.Nifti1Image(oblique.array, oblique.affine)
    image.set_sform(oblique.affine, 2)
    image.set_qform(np.diag([-2.0, 2.0, 3.0, 1.0]), 1)
    nib.save(image, tmp_path / "a.nii.gz")
    write_labels(tmp_path / "b.nii", oblique.labels, read(tmp_path / "a.nii.gz"))
    same_geometry_bits(tmp_path / "a.nii.gz", tmp_path / "b.nii")


def test_uncompressed_file_is_memory_mapped(oblique, tmp_path):
    volume = read(save(tmp_path / "a.nii", oblique.array, oblique.affine))
    assert isinstance(volume.array, np.memmap)
    assert not volume.array.flags.writeable


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_scale_factors_are_applied_and_not_inherited(oblique, tmp_path, suffix):
    image = nib.Nifti1Image(oblique.array, oblique.affine)
    image.header.set_slope_inter(0.5, -100.0)
    image.header["cal_max"] = 700
    nib.save(
        nib.Nifti1Image(oblique.array * 0.5 - 100.0, None, image.header), tmp_path / f"a{suffix}"
    )
    volume = read(tmp_path / f"a{suffix}")
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, oblique.array * 0.5 - 100.0, atol=0.05)
    write_labels(tmp_path / "b.nii.gz", oblique.labels, volume)
    back = nib.load(tmp_path / "b.nii.gz")
    assert back.dataobj.slope == 1.0
    assert back.header["cal_max"] == 0
    assert np.array_equal(np.asanyarray(back.dataobj), oblique.labels)


def test_fourth_axis_becomes_channels_and_labels_have_none(oblique, tmp_path):
    array = np.stack([oblique.array, -oblique.array], axis=-1)
    source = save(tmp_path / "a.nii.gz", array, oblique.affine)
    volume = read(source)
    assert volume.channels == 2
    assert np.array_equal(volume.array, array)
    write_labels(tmp_path / "b.nii.gz", oblique.labels, volume)
    same_geometry_bits(source, tmp_path / "b.nii.gz")
    assert nib.load(tmp_path / "b.nii.gz").shape == oblique.labels.shape


def test_axes_of_length_one_say_nothing(oblique, tmp_path):
    array = oblique.array[:, :, :, None, None]
    volume = read(save(tmp_path / "a.nii", array, oblique.affine))
    assert volume.array.shape == oblique.array.shape
    vectors = np.zeros((4, 5, 6, 1, 3), np.float32)
    assert read(save(tmp_path / "b.nii", vectors, oblique.affine)).channels == 3


def test_colours_become_channels(oblique, tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
    packed = rgb.view([("R", "u1"), ("G", "u1"), ("B", "u1")]).reshape(4, 5, 6)
    nib.save(nib.Nifti1Image(packed, oblique.affine), tmp_path / "a.nii.gz")
    volume = read(tmp_path / "a.nii.gz")
    assert volume.array.dtype == np.uint8
    assert np.array_equal(volume.array, rgb)


def test_plane_is_read_and_written(tmp_path):
    array = np.arange(20, dtype=np.int16).reshape(4, 5)
    source = save(tmp_path / "a.nii.gz", array, np.diag([2.0, 3.0, 1.0, 1.0]))
    volume = read(source)
    assert volume.geometry.spacing == (2.0, 3.0)
    write_labels(tmp_path / "b.nii.gz", (array % 2).astype(np.uint8), volume)
    assert np.array_equal(read_labels(tmp_path / "b.nii.gz").array, array % 2)
    same_geometry_bits(source, tmp_path / "b.nii.gz")


def test_nifti2_and_big_endian(oblique, tmp_path):
    source = save(tmp_path / "a.nii", oblique.array, oblique.affine, kind=nib.Nifti2Image)
    write_labels(tmp_path / "b.nii", oblique.labels, read(source))
    assert isinstance(nib.load(tmp_path / "b.nii"), nib.Nifti2Image)
    same_geometry_bits(source, tmp_path / "b.nii")

    header = nib.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nib.save(nib.Nifti1Image(oblique.array, oblique.affine, header), tmp_path / "c.nii")
    volume = read(tmp_path / "c.nii")
    assert volume.array.dtype.isnative
    assert np.array_equal(volume.array, oblique.array)
    write_labels(tmp_path / "d.nii", oblique.labels, volume)
    assert np.array_equal(read_labels(tmp_path / "d.nii").array, oblique.labels)
    assert read_labels(tmp_path / "d.nii").geometry == volume.geometry


def test_header_extensions_of_the_image_do_not_travel(oblique, tmp_path):
    image = nib.Nifti1Image(oblique.array, oblique.affine)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Name of a patient"))
    nib.save(image, tmp_path / "a.nii")
    write_labels(tmp_path / "b.nii", oblique.labels, read(tmp_path / "a.nii"))
    assert b"patient" not in (tmp_path / "b.nii").read_bytes()


def test_header_of_another_geometry_is_not_used(oblique, tmp_path):
    from dataclasses import replace

    from napari_sslseg.volume.geometry import Geometry

    volume = read(save(tmp_path / "a.nii", oblique.array, oblique.affine))
    moved = replace(volume, geometry=Geometry(np.diag([2.0, 2, 2, 1]), oblique.array.shape))
    write_labels(tmp_path / "b.nii", oblique.labels, moved)
    assert np.array_equal(nib.load(tmp_path / "b.nii").affine, np.diag([2.0, 2, 2, 1]))


def test_singular_affine_is_named(oblique, tmp_path):
    image = nib.Nifti1Image(oblique.array, None)
    image.header["sform_code"] = 1
    image.header["srow_x"] = (1, 0, 0, 0)
    nib.save(nib.Nifti1Image(oblique.array, None, image.header), tmp_path / "a.nii")
    with pytest.raises(FormatError, match=r"where its voxels lie"):
        read(tmp_path / "a.nii")


def test_short_fourth_axis_may_be_read_one_by_one(oblique, tmp_path):
    array = np.stack([oblique.array, -oblique.array], axis=-1)
    source = save(tmp_path / "a.nii.gz", array, oblique.affine)
    volume = read(source, "2")
    assert np.array_equal(volume.array, -oblique.array)
    assert (volume.name, volume.part) == ("a [2]", "2")
    with pytest.raises(FormatError, match=r"no volume '3'; choose one of 1 to 2"):
        read(source, "3")


def test_volume_of_a_long_fourth_axis_has_to_be_chosen(oblique, tmp_path):
    array = np.stack([oblique.array + n for n in range(9)], axis=-1)
    source = save(tmp_path / "a.nii", array, oblique.affine)
    with pytest.raises(SeveralVolumesError, match="1 = volume 1 of 9") as caught:
        read(source)
    assert [choice.key for choice in caught.value.choices] == [*"123456789", "all"]
    volume = read(source, "9")
    assert np.array_equal(volume.array, oblique.array + 8)
    assert read(source, "all").channels == 9
    write_labels(tmp_path / "b.nii.gz", oblique.labels, volume)
    same_geometry_bits(source, tmp_path / "b.nii.gz")


def test_part_of_a_file_with_one_volume_is_refused(oblique, tmp_path):
    source = save(tmp_path / "a.nii", oblique.array, oblique.affine)
    with pytest.raises(FormatError, match="holds one volume"):
        read(source, "2")


@pytest.mark.parametrize(("name", "right"), [("a.nii", ".nii.gz"), ("a.nii.gz", ".nii")])
def test_a_name_that_is_wrong_about_compression_is_told(oblique, tmp_path, name, right):
    source = save(tmp_path / f"b{right}", oblique.array, oblique.affine)
    source.rename(tmp_path / name)
    with pytest.raises(FormatError, match=rf"compressed.*, unlike its name; name it {right}\."):
        read(tmp_path / name)


def test_window_of_the_header_is_read(oblique, tmp_path):
    image = nib.Nifti1Image(oblique.array, oblique.affine)
    image.header["cal_min"], image.header["cal_max"] = -160, 240
    nib.save(image, tmp_path / "a.nii")
    assert read(tmp_path / "a.nii").window == (-160, 240)


@pytest.mark.parametrize(
    ("sform", "qform", "said"),
    [(0, 0, "does not say how it lies"), (1, 0, ""), (0, 1, ""), (1, 1, ""), (4, 2, "")],
)
def test_unknown_orientation_is_said(oblique, tmp_path, sform, qform, said):
    source = save(tmp_path / "a.nii", oblique.array, oblique.affine, sform=sform, qform=qform)
    assert said in "".join(read(source).warnings)
    assert bool(said) == bool(read(source).warnings)


def test_sform_and_qform_that_disagree_are_said(oblique, tmp_path):
    image = nib.Nifti1Image(oblique.array, oblique.affine)
    image.set_sform(oblique.affine, 2)
    image.set_qform(np.diag([-2.0, 2.0, 3.0, 1.0]), 1)
    nib.save(image, tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert "disagree: the sform is taken" in volume.warnings[0]
    np.testing.assert_allclose(volume.geometry.affine, oblique.affine, atol=1e-5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_header_that_promises_too_much_is_refused(oblique, tmp_path, suffix):
    image = nib.Nifti1Image(oblique.array, oblique.affine)
    content = bytearray(image.to_bytes())
    content[42:48] = np.array([30000] * 3, "<i2").tobytes()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    with pytest.raises(FormatError, match=r"promises 49\.1 TB"):
        read(path)


def test_large_scaled_file_is_read_when_looked_at(oblique, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sslseg.formats.nifti.EAGER_BYTES", 10)
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_slope_inter(0.5, -3)
    values = oblique.array * 0.5 - 3
    nib.save(nib.Nifti1Image(values, oblique.affine, header), tmp_path / "a.nii")
    volume = read(tmp_path / "a.nii")
    assert volume.is_lazy
    np.testing.assert_allclose(np.asarray(volume.array), values, atol=0.5)
    whole = nib.load(tmp_path / "a.nii").get_fdata(dtype=np.float32)
    assert np.array_equal(np.asarray(volume.array[1:3, ::-1, 2]), whole[1:3, ::-1, 2])


@pytest.mark.parametrize("size", [0, -2, np.nan])
def test_voxel_size_that_cannot_be_is_refused_unless_the_sform_has_one(oblique, tmp_path, size):
    content = bytearray(nib.Nifti1Image(oblique.array, oblique.affine).to_bytes())
    content[80:84] = np.float32(size).tobytes()
    content[252:256] = b"\0" * 4  # neither qform nor sform
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(FormatError, match=r"voxel size that is not positive|where its voxels lie"):
        read(tmp_path / "a.nii")
    content[254] = 1
    (tmp_path / "b.nii").write_bytes(content)
    np.testing.assert_allclose(read(tmp_path / "b.nii").geometry.affine, oblique.affine, atol=1e-5)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_empty_sform_gives_way_to_the_qform(oblique, tmp_path, suffix):
    image = nib.Nifti1Image(oblique.array, oblique.affine)
    image.set_qform(oblique.affine, 1)
    header = image.header
    header["sform_code"] = 2
    for row in ("srow_x", "srow_y", "srow_z"):
        header[row] = 0
    nib.save(nib.Nifti1Image(oblique.array, None, header), tmp_path / f"a{suffix}")
    volume = read(tmp_path / f"a{suffix}")
    np.testing.assert_allclose(volume.geometry.affine, oblique.affine, atol=1e-5)
    assert np.array_equal(volume.array, oblique.array)
    assert [text for text in volume.warnings if "the qform is taken" in text] == [*volume.warnings]
    write_labels(tmp_path / "b.nii", oblique.labels, volume)
    assert read_labels(tmp_path / "b.nii").geometry == volume.geometry
    assert nib.load(tmp_path / "b.nii").header["sform_code"] == 0


def test_empty_sform_without_a_qform_is_refused(oblique, tmp_path):
    header = nib.Nifti1Image(oblique.array, oblique.affine).header
    header["sform_code"], header["qform_code"] = 2, 0
    for row in ("srow_x", "srow_y", "srow_z"):
        header[row] = 0
    nib.save(nib.Nifti1Image(oblique.array, None, header), tmp_path / "a.nii")
    with pytest.raises(FormatError, match="does not say where its voxels lie"):
        read(tmp_path / "a.nii")
