"""What NRRD and MetaImage headers say beside the numbers: units, spaces and names of files."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk

from napari_sslseg.formats import FormatError, read, read_labels, write_labels
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

SHAPE = (5, 4, 3)
VALUES = np.arange(60, dtype=np.uint8).reshape(SHAPE)
VECTORS = "space directions: (0.5,0,0) (0,0.6,0) (0,0,2)\nspace origin: (10,20,30)"


def nrrd(path, lines, sizes="5 4 3", values=VALUES):
    head = f"NRRD0005\ntype: uchar\ndimension: {len(sizes.split())}\n{lines}\n"
    head = head.replace("SIZES", f"sizes: {sizes}")
    path.write_bytes(f"{head}encoding: raw\n\n".encode() + values.tobytes(order="F"))
    return path


def spaced(path, space, unit=""):
    lines = f"space: {space}\nSIZES\n{VECTORS}"
    return nrrd(path, f'{lines}\nspace units: "{unit}" "{unit}" "{unit}"' if unit else lines)


def mha(path, extra=""):
    head = f"ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\n{extra}ElementSpacing = 0.5 0.6 2\n"
    head += "Offset = 10 20 30\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
    path.write_bytes(head.encode() + VALUES.tobytes(order="F"))
    return path


@pytest.mark.parametrize(
    ("unit", "known", "factor"),
    [
        ("mm", "mm", 1.0),
        ("um", "um", 1.0),
        ("µm", "um", 1.0),
        ("microns", "um", 1.0),
        ("cm", "mm", 10.0),
        ("nm", "nm", 1.0),
        ("furlong", "mm", 1.0),
        ("", "mm", 1.0),
    ],
)
@pytest.mark.parametrize("kind", ["space units", "units", "DistanceUnits"])
def test_units_are_read_and_kept_or_remarked_on(tmp_path, kind, unit, known, factor):
    if kind == "DistanceUnits":
        path = mha(tmp_path / "a.mha", f"DistanceUnits = {unit}\n" if unit else "")
    elif kind == "units":
        units = " ".join([f'"{unit}"'] * 3)
        path = nrrd(tmp_path / "a.nrrd", f"SIZES\nspacings: 0.5 0.6 2\nunits: {units}")
    else:
        path = spaced(tmp_path / "a.nrrd", "LPS", unit)
    volume = read(path)
    assert volume.geometry.units == known
    assert volume.geometry.spacing == pytest.approx((0.5 * factor, 0.6 * factor, 2 * factor))
    if kind != "units":
        assert np.abs(volume.geometry.origin) == pytest.approx(np.array([10, 20, 30]) * factor)
    said = [text for text in volume.warnings if "unit of length" in text]
    assert len(said) == (unit == "furlong")
    assert all("“furlong”" in text for text in said)
    labels = (VALUES % 3).astype(np.uint8)
    for suffix in (".nrrd", ".mha", ".nii.gz"):
        write_labels(tmp_path / f"b{suffix}", labels, volume)
        back = import_labels(tmp_path / f"b{suffix}", volume)
        assert np.array_equal(back.labels, labels)
        assert not back.resampled
        assert read(tmp_path / f"b{suffix}").geometry.spacing_mm == pytest.approx(
            volume.geometry.spacing_mm
        )
    if kind == "space units" and unit:
        line = f'space units: "{unit}" "{unit}" "{unit}"'
        assert line in (tmp_path / "b.nrrd").read_bytes().split(b"\n\n")[0].decode()


def test_a_compression_that_is_not_read_is_named(tmp_path):
    path = nrrd(tmp_path / "a.nrrd", f"space: LPS\nSIZES\n{VECTORS}")
    path.write_bytes(path.read_bytes().replace(b"encoding: raw", b"encoding: bzip2"))
    with pytest.raises(FormatError, match="by bzip2, which cannot be read; save it with"):
        read(path)


def test_several_units_are_refused(tmp_path):
    lines = f'space: LPS\nSIZES\n{VECTORS}\nspace units: "mm" "mm" "um"'
    with pytest.raises(FormatError, match=r"in several units \(mm, um\); write them in one"):
        read(nrrd(tmp_path / "a.nrrd", lines))


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (f"space: left-posterior-superior\nSIZES\n{VECTORS}", 0),
        (f"space: RAS\nSIZES\n{VECTORS}", 0),
        (f"space: LAS\nSIZES\n{VECTORS}", 0),
        (f"space: scanner-xyz\nSIZES\n{VECTORS}", 1),
        (f"space: 3D-left-handed\nSIZES\n{VECTORS}", 1),
        (f"space dimension: 3\nSIZES\n{VECTORS}", 1),
        ("SIZES\nspacings: 0.5 0.6 2", 1),
        ("SIZES", 1),
    ],
)
def test_nrrd_without_a_patient_is_remarked_on(tmp_path, lines, said):
    volume = read(nrrd(tmp_path / "a.nrrd", lines))
    assert len(volume.warnings) == said
    assert all("left and right, front and back may be wrong" in text for text in volume.warnings)
    write_labels(tmp_path / "b.nrrd", VALUES % 2, volume)
    assert read(tmp_path / "b.nrrd").geometry == volume.geometry


def test_what_itk_writes_is_in_a_patient(tmp_path):
    for suffix in (".nrrd", ".nhdr", ".mha", ".mhd"):
        sitk.WriteImage(sitk.GetImageFromArray(VALUES), str(tmp_path / f"a{suffix}"))
        assert read(tmp_path / f"a{suffix}").warnings == ()


@pytest.mark.parametrize("kinds", ["domain domain domain time", "domain domain domain ???"])
def test_further_axis_that_itk_takes_for_space_is_said(tmp_path, kinds):
    lines = (
        "space: LPS\nSIZES\nspace directions: (1,0,0) (0,1,0) (0,0,1) none\n"
        f"kinds: {kinds}\nspace origin: (0,0,0)"
    )
    path = nrrd(tmp_path / "a.nrrd", lines, "5 4 3 2", np.stack([VALUES, VALUES], -1))
    with pytest.raises(FormatError) as caught:
        read(path)
    assert "more axes than directions in space" in str(caught.value)
    assert str(caught.value).count(". ") == 0
    # And what it says helps.
    path.write_bytes(path.read_bytes().replace(kinds.encode(), b"domain domain domain list"))
    assert np.array_equal(read(path).array, np.stack([VALUES, VALUES], -1))


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_names_that_are_not_ascii(tmp_path, suffix):
    like = Volume(VALUES, Geometry(np.diag([-1.0, -1.0, 2.0, 1.0]), SHAPE))
    path = tmp_path / f"Schädel 肝{suffix}"
    write_labels(path, VALUES % 3, like)
    assert np.array_equal(read_labels(path).array, VALUES % 3)
    for file in tmp_path.iterdir():
        if file != path:
            file.unlink()
    with pytest.raises(
        FormatError, match=r"holds its voxels in Schädel 肝\.[\w.]+, which is missing"
    ):
        read(path)


@pytest.mark.skipif(os.name == "nt", reason="file names are text there")
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_names_in_the_bytes_of_the_header(tmp_path, encoding):
    name = "Schädel.raw".encode(encoding)
    with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
        file.write(VALUES.tobytes(order="F"))
    head = b"ObjectType = Image\nNDims = 3\nDimSize = 5 4 3\nElementType = MET_UCHAR\n"
    (tmp_path / "a.mhd").write_bytes(head + b"ElementDataFile = " + name + b"\n")
    assert np.array_equal(read(tmp_path / "a.mhd").array, VALUES)
