"""Images, their data files and other people's files are never written over."""

from __future__ import annotations

import os

import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from napari_sslseg.formats import FormatError, export, format_for, read
from napari_sslseg.formats.exporting import possible_files
from napari_sslseg.formats.sparing import files_of, spare_inputs, spare_strangers, written_files
from napari_sslseg.volume.classes import ClassTable

from .dicom_files import write_series

SHAPE = (4, 5, 6)
CLASSES = ClassTable.from_ids([1, 2])


def labels() -> np.ndarray:
    values = np.zeros(SHAPE, np.uint8)
    values[1:3, 1:4, 1:3] = 1
    values[1:3, 1:4, 4:] = 2
    return values


@pytest.fixture
def scan(tmp_path):
    """Write an image of a detached header, which is then given another name."""

    def write(suffix: str):
        values = np.arange(120, dtype=np.int16).reshape(SHAPE)
        path = tmp_path / f"c{suffix}"
        sitk.WriteImage(sitk.GetImageFromArray(values.T), str(path), useCompression=True)
        return path.rename(tmp_path / f"image{suffix}")

    return write


def content(folder) -> dict:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(("suffix", "data"), [(".mhd", "c.zraw"), (".nhdr", "c.raw.gz")])
def test_the_data_file_of_a_detached_header_is_neither_replaced_nor_forgotten(
    scan, tmp_path, suffix, data
):
    image = scan(suffix)
    assert files_of(image) == (image, tmp_path / data)
    target = tmp_path / f"c{suffix}"
    assert written_files(target) == (target, tmp_path / data)
    before = content(tmp_path)
    for refuse in (
        lambda: spare_inputs([target], [image]),
        lambda: spare_strangers([target]),
        lambda: export(target, labels(), read(image), CLASSES),
    ):
        with pytest.raises(FormatError, match=f"{data}.*choose another name for the result") as e:
            refuse()
        assert str(e.value).count(". ") == 0
    assert content(tmp_path) == before
    spare_inputs([tmp_path / f"d{suffix}"], [image])
    spare_strangers([tmp_path / f"d{suffix}"])


@pytest.mark.parametrize("key", ["metaimage", "nrrd", "obj"])
@pytest.mark.parametrize("per_class", [False, True])
def test_all_files_of_an_export_are_foretold_and_returned(scan, tmp_path, key, per_class):
    like, kind = read(scan(".mhd")), format_for("", key)
    suffix = {"metaimage": ".mhd", "nrrd": ".nhdr", "obj": ".obj"}[key]
    target = tmp_path / "out" / f"a{suffix}"
    target.parent.mkdir()
    foretold = possible_files(target, kind, CLASSES, per_class)
    written = export(target, labels(), like, CLASSES, kind=kind, per_class=per_class)
    assert written == foretold
    assert {path.name for path in written} == set(content(target.parent))
    assert len(written) == (4 if per_class else 2)


def test_labels_never_replace_the_image_that_they_are_exported_with(scan, tmp_path):
    image = scan(".mhd")
    sitk.WriteImage(sitk.ReadImage(str(image)), str(tmp_path / "whole.nii.gz"))
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "whole.nii.gz")
    os.link(tmp_path / "whole.nii.gz", tmp_path / "hard.nii.gz")
    before = content(tmp_path)
    like = read(tmp_path / "whole.nii.gz")
    for name in ("whole.nii.gz", "link.nii.gz", "hard.nii.gz"):
        with pytest.raises(FormatError, match=f"{name} would be overwritten"):
            export(tmp_path / name, labels(), like, CLASSES)
    named = CLASSES.covering([])
    named.rename(1, "whole")
    (tmp_path / "x_whole.nii.gz").symlink_to(tmp_path / "whole.nii.gz")
    with pytest.raises(FormatError, match=r"x_whole\.nii\.gz would be overwritten"):
        export(tmp_path / "x.nii.gz", labels(), like, named, per_class=True)
    (tmp_path / "x_whole.nii.gz").unlink()
    assert content(tmp_path) == before


def test_all_files_of_a_series_and_of_a_stack_are_spared(tmp_path):
    write_series(tmp_path / "scan", np.zeros((4, 6, 5), np.int16))
    files = sorted((tmp_path / "scan").iterdir())
    assert set(files_of(read(files[0]))) == set(files)
    (tmp_path / "stack").mkdir()
    for n in range(3):
        tifffile.imwrite(tmp_path / "stack" / f"p{n}.tif", np.zeros((5, 6), np.uint8))
    volume = read(tmp_path / "stack")
    with pytest.raises(FormatError, match=r"p1\.tif would be overwritten"):
        spare_inputs([tmp_path / "stack" / "p1.tif"], [volume])
    spare_inputs([tmp_path / "stack" / "out.nii"], [volume])


def test_an_image_in_several_ome_tiff_files_is_spared_as_a_whole(tmp_path):
    rows = "".join(
        f'<TiffData FirstZ="{n}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="z{n}.ome.tif">urn:uuid:{n}</UUID></TiffData>'
        for n in range(2)
    )
    for n in range(2):
        text = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{n}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYZCT" Type="uint8" SizeX="6" SizeY="5" SizeZ="2" SizeC="1" '
            f'SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{rows}'
            "</Pixels></Image></OME>"
        )
        plane = np.full((5, 6), n, np.uint8)
        tifffile.imwrite(tmp_path / f"z{n}.ome.tif", plane, description=text, metadata=None)
    assert set(files_of(tmp_path / "z0.ome.tif")) == {tmp_path / f"z{n}.ome.tif" for n in range(2)}


def test_what_cannot_be_read_is_left_to_the_reader(tmp_path):
    for name in ("a.mhd", "a.nrrd", "a.tif"):
        (tmp_path / name).write_bytes(b"no header")
        assert files_of(tmp_path / name) == (tmp_path / name,)
    assert files_of(tmp_path / "none.mhd") == (tmp_path / "none.mhd",)


def test_two_results_have_two_files(tmp_path):
    with pytest.raises(FormatError, match=r"a\.nii would be overwritten"):
        spare_inputs([tmp_path / "a.nii", tmp_path / "b" / ".." / "a.nii"], [])
