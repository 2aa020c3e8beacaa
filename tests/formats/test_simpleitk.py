"""NRRD and MetaImage: what is written lies where the image lies, exactly."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from napari_sslseg.formats import FormatError, read, read_labels, write_labels
from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.formats.simpleitk import ItkHeader

SUFFIXES = [".nrrd", ".nhdr", ".mha", ".mhd"]
FLIP = np.diag([-1.0, -1.0, 1.0])


def save(path, case, array=None):
    """Write the case by SimpleITK; its direction and origin are RAS+, ITK's are LPS+."""
    values = case.array if array is None else array
    image = sitk.GetImageFromArray(
        np.ascontiguousarray(np.moveaxis(values.T, 0, -1))
        if values.ndim == 4
        else np.ascontiguousarray(values.T),
        isVector=values.ndim == 4,
    )
    image.SetSpacing(case.spacing)
    image.SetOrigin((FLIP @ case.origin).tolist())
    image.SetDirection((FLIP @ case.direction).ravel().tolist())
    sitk.WriteImage(image, str(path))
    return path


def same_in_itk(first, second):
    one, two = sitk.ReadImage(str(first)), sitk.ReadImage(str(second))
    assert one.GetOrigin() == two.GetOrigin()
    assert one.GetSpacing() == two.GetSpacing()
    assert one.GetDirection() == two.GetDirection()
    assert one.GetSize() == two.GetSize()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_orientation_is_written_as_read(case, tmp_path, suffix):
    source = save(tmp_path / f"image{suffix}", case)
    volume = read(source)
    assert np.array_equal(volume.array, case.array)
    np.testing.assert_allclose(volume.geometry.affine, case.affine, atol=1e-12)

    target = tmp_path / f"labels{suffix}"
    write_labels(target, case.labels, volume)
    same_in_itk(source, target)
    back = read_labels(target)
    assert np.array_equal(back.array, case.labels)
    assert back.geometry == volume.geometry
    # And once more: nothing drifts.
    write_labels(tmp_path / f"again{suffix}", back.array, back)
    same_in_itk(source, tmp_path / f"again{suffix}")


def test_array_and_affine_agree_with_nibabel(case, tmp_path):
    nib.save(nib.Nifti1Image(case.array, case.affine), tmp_path / "a.nii")
    sitk.WriteImage(sitk.ReadImage(str(tmp_path / "a.nii")), str(tmp_path / "a.nrrd"))
    volume = read(tmp_path / "a.nrrd")
    assert np.array_equal(volume.array, case.array)
    np.testing.assert_allclose(volume.geometry.affine, case.affine, atol=1e-5)


def test_nrrd_space_lines_are_copied_as_they_stand(oblique, tmp_path):
    header = """NRRD0005
type: short
dimension: 3
space: right-anterior-superior
sizes: 4 5 6
space directions: (0.1,0.7000000000000001,0) (1.3,-0.2,0.01) (0,0.05,4.9999999)
kinds: domain domain domain
endian: little
encoding: raw
space origin: (1.10,2.2000,-3)
space units: "mm" "mm" "mm"

"""
    data = np.asfortranarray(oblique.array).tobytes(order="F")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + data)
    volume = read(tmp_path / "a.nrrd")
    assert volume.geometry.origin == (1.1, 2.2, -3.0)
    np.testing.assert_allclose(volume.geometry.affine[:3, 0], (0.1, 0.7, 0.0), atol=1e-12)
    write_labels(tmp_path / "b.nrrd", oblique.labels, volume)
    written = (tmp_path / "b.nrrd").read_bytes().split(b"\n\n")[0].decode().splitlines()
    for line in header.splitlines():
        if line.startswith("space"):
            assert line in written
    same_in_itk(tmp_path / "a.nrrd", tmp_path / "b.nrrd")
    assert np.array_equal(read_labels(tmp_path / "b.nrrd").array, oblique.labels)


def test_nrrd_without_space_is_read_by_its_spacings(oblique, tmp_path):
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 5 6\nspacings: 0.7 1.3 5\n"
    (tmp_path / "a.nrrd").write_bytes(
        (header + "encoding: raw\n\n").encode() + oblique.labels.tobytes(order="F")
    )
    volume = read_labels(tmp_path / "a.nrrd")
    assert volume.geometry.spacing == (0.7, 1.3, 5.0)
    write_labels(tmp_path / "b.nrrd", volume.array, volume)
    same_in_itk(tmp_path / "a.nrrd", tmp_path / "b.nrrd")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_vectors_become_channels_and_labels_have_none(oblique, tmp_path, suffix):
    array = np.stack([oblique.array, -oblique.array, 2 * oblique.array], axis=-1)
    source = save(tmp_path / f"a{suffix}", oblique, array)
    volume = read(source)
    assert volume.channels == 3
    assert np.array_equal(volume.array, array)
    write_labels(tmp_path / f"b{suffix}", oblique.labels, volume)
    same_in_itk(source, tmp_path / f"b{suffix}")
    assert np.array_equal(read_labels(tmp_path / f"b{suffix}").array, oblique.labels)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_fourth_axis_becomes_channels(tmp_path, suffix):
    array = np.arange(2 * 6 * 5 * 4, dtype=np.int16).reshape(2, 6, 5, 4)
    image = sitk.GetImageFromArray(array, isVector=False)
    image.SetSpacing((0.7, 1.3, 5.0, 1.0))
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    volume = read(tmp_path / f"a{suffix}")
    assert np.array_equal(volume.array, array.transpose(3, 2, 1, 0))
    assert volume.geometry.spacing == (0.7, 1.3, 5.0)
    labels = np.ones((4, 5, 6), np.uint8)
    write_labels(tmp_path / f"b{suffix}", labels, volume)
    assert sitk.ReadImage(str(tmp_path / f"b{suffix}")).GetSpacing() == (0.7, 1.3, 5.0)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_plane_is_read_and_written(tmp_path, suffix):
    array = np.arange(20, dtype=np.uint8).reshape(4, 5)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.1, 0.3))
    image.SetOrigin((-7.0, 8.0))
    image.SetDirection((0.0, -1.0, 1.0, 0.0))
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    volume = read(tmp_path / f"a{suffix}")
    assert np.array_equal(volume.array, array.T)
    assert volume.geometry.spacing == (0.1, 0.3)
    write_labels(tmp_path / f"b{suffix}", (array.T % 2).astype(np.uint8), volume)
    same_in_itk(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}")
    assert np.array_equal(read_labels(tmp_path / f"b{suffix}").array, array.T % 2)


def test_header_and_data_in_two_files_can_be_replaced(oblique, tmp_path):
    for suffix in (".mhd", ".nhdr"):
        source = save(tmp_path / f"a{suffix}", oblique)
        volume = read(source)
        target = tmp_path / f"b{suffix}"
        write_labels(target, oblique.labels, volume)
        write_labels(target, 1 - (oblique.labels == 0).astype(np.uint8), volume)
        assert np.array_equal(read_labels(target).array, oblique.labels != 0)


def test_complex_values_are_refused(tmp_path):
    image = sitk.GetImageFromArray(np.zeros((3, 4, 5), np.complex64))
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    with pytest.raises(FormatError, match="real numbers"):
        read(tmp_path / "a.nrrd")


def test_header_keeps_what_itk_read(oblique, tmp_path):
    volume = read(save(tmp_path / "a.mha", oblique))
    assert isinstance(volume.header, ItkHeader)
    assert volume.header.spacing == oblique.spacing
    assert volume.header.nrrd == ()


SPACES = {
    "left-posterior-superior": (-1, -1, 1),
    "LPS": (-1, -1, 1),
    "right-anterior-superior": (1, 1, 1),
    "RAS": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
}


@pytest.mark.parametrize("space", SPACES)
def test_nrrd_spaces_are_turned_to_the_world(oblique, tmp_path, space):
    header = f"""NRRD0004
type: short
dimension: 3
space: {space}
sizes: 4 5 6
space directions: (0.1,0.7,0) (1.3,-0.2,0.01) (0,0.05,5)
endian: little
encoding: raw
space origin: (1.5,2.5,-3)

"""
    data = oblique.array.tobytes(order="F")
    (tmp_path / "a.nrrd").write_bytes(header.encode() + data)
    geometry = read(tmp_path / "a.nrrd").geometry
    turn = np.array(SPACES[space])
    vectors = np.array([(0.1, 0.7, 0), (1.3, -0.2, 0.01), (0, 0.05, 5)])
    expected = turn * (np.array([1.5, 2.5, -3]) + np.array([3, 4, 5]) @ vectors)
    np.testing.assert_allclose(geometry.position((3, 4, 5)), expected, atol=1e-6)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_long_fourth_axis_is_read_one_by_one(tmp_path, suffix):
    array = np.arange(9 * 6 * 5 * 4, dtype=np.int16).reshape(9, 6, 5, 4)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(tmp_path / f"a{suffix}"))
    with pytest.raises(SeveralVolumesError):
        read(tmp_path / f"a{suffix}")
    assert np.array_equal(read(tmp_path / f"a{suffix}", "3").array, array[2].T)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_large_uncompressed_file_is_memory_mapped(oblique, tmp_path, suffix, monkeypatch):
    source = save(tmp_path / f"a{suffix}", oblique)
    whole = read(source)
    monkeypatch.setattr("napari_sslseg.formats.simpleitk.EAGER_BYTES", 10)
    mapped = read(source)
    assert isinstance(mapped.array, np.memmap)
    assert np.array_equal(mapped.array, whole.array)
    assert mapped.geometry == whole.geometry
    image = sitk.ReadImage(str(source))
    sitk.WriteImage(image, str(tmp_path / f"b{suffix}"), useCompression=True)
    assert np.array_equal(read(tmp_path / f"b{suffix}").array, whole.array)
    vectors = save(tmp_path / f"c{suffix}", oblique, np.stack([oblique.array] * 2, -1))
    assert read(vectors).channels == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("compressed", [False, True])
def test_header_that_promises_too_much_is_refused(oblique, tmp_path, suffix, compressed):
    path = tmp_path / f"a{suffix}"
    sitk.WriteImage(
        sitk.ReadImage(str(save(tmp_path / f"b{suffix}", oblique))), str(path), compressed
    )
    path.write_bytes(path.read_bytes().replace(b"4 5 6\n", b"40000 50000 60000\n"))
    with pytest.raises(FormatError, match=r"promises 218\.3 TB"):
        read(path)


def test_missing_files_of_a_list_are_said(oblique, tmp_path):
    header = "ObjectType = Image\nNDims = 3\nDimSize = 4 5 6\nElementType = MET_SHORT\n"
    for name in ("LIST\nz1.raw\nz2.raw", "z%d.raw 1 6 1", "z.raw"):
        (tmp_path / "a.mhd").write_text(f"{header}ElementDataFile = {name}\n")
        with pytest.raises(FormatError, match=r"voxels in z1?\.raw, which is missing"):
            read(tmp_path / "a.mhd")
    for n in range(6):
        (tmp_path / f"z{n + 1}.raw").write_bytes(oblique.array[..., n].tobytes(order="F"))
    (tmp_path / "a.mhd").write_text(f"{header}ElementDataFile = z%d.raw 1 6 1\n")
    assert np.array_equal(read(tmp_path / "a.mhd").array, oblique.array)
