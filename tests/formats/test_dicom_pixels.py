"""Values of DICOM slices: rescaled, compressed, coloured, decoded when they are looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import (
    MPEG2MPML,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from napari_sslseg.formats import FormatError
from napari_sslseg.formats.dicom import read
from napari_sslseg.formats.dicom_codecs import decoded_frames

from .dicom_files import write_enhanced, write_series

ARRAY = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4) * 7 - 100
SPACING = (1.3, 0.7)  # rows, columns
ORIGIN = (12.5, -30.25, 7.125)
LPS = np.diag([-1.0, -1.0, 1.0])


def is_one_sentence(text):
    return text.count(". ") == 0 and text.endswith(".") and "\n" not in text


def test_rescaling_of_each_slice(tmp_path):
    def rescale(out, n):
        out.RescaleSlope, out.RescaleIntercept = str(0.5 * (n + 1)), "-3"

    write_series(tmp_path / "a", ARRAY, edit=rescale, modality="PT")
    volume = read(tmp_path / "a")
    expected = np.stack([ARRAY[n] * 0.5 * (n + 1) - 3 for n in range(6)])
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array.T, expected)
    pairs = [(0.5 * (n + 1), -3) for n in range(6)]
    path = write_enhanced(tmp_path / "b.dcm", ARRAY, rescale=pairs)
    np.testing.assert_allclose(read(path).array.T, expected)


def test_hounsfield_units_and_window_of_ct(tmp_path):
    def shifted(out, n):
        out.RescaleSlope, out.RescaleIntercept = "1", "-1024"
        out.WindowCenter, out.WindowWidth = ["40", "300"], ["400", "1500"]

    stored = np.arange(120, dtype=np.uint16).reshape(6, 5, 4) * 30
    write_series(tmp_path, stored, modality="CT", edit=shifted)
    volume = read(tmp_path)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array.T, stored.astype(int) - 1024)
    assert volume.window == (-160, 240)
    assert volume.modality == "CT"


def test_colours_and_palettes_are_rgb(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)
    write_series(tmp_path / "a", colours)
    volume = read(tmp_path / "a")
    assert volume.channels == 3
    assert np.array_equal(volume.array.transpose(2, 1, 0, 3), colours)

    def palette(out, n):
        out.PhotometricInterpretation = "PALETTE COLOR"
        for m, colour in enumerate(("Red", "Green", "Blue")):
            setattr(out, f"{colour}PaletteColorLookupTableDescriptor", [4, 0, 16])
            table = np.array([0, 100, 200, 255][m:] + [7] * m, np.uint16) * 257
            setattr(out, f"{colour}PaletteColorLookupTableData", table.tobytes())

    write_series(tmp_path / "b", np.ones((2, 5, 4), np.uint8), edit=palette)
    volume = read(tmp_path / "b")
    assert volume.array.dtype == np.uint8
    assert volume.array[0, 0, 0].tolist() == [100, 200, 255]


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_files(tmp_path, syntax):
    array = np.random.default_rng(0).integers(0, 4000, (3, 70, 64)).astype(np.uint16)
    for path in write_series(tmp_path, array):
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    assert np.array_equal(read(tmp_path).array.T, array)


def test_lossless_jpeg(tmp_path):
    array = np.random.default_rng(0).integers(0, 4000, (32, 24)).astype(np.uint16)
    image = sitk.GetImageFromArray(array[np.newaxis])
    sitk.WriteImage(image, str(tmp_path / "a.dcm"), useCompression=True, compressor="JPEG")
    assert pydicom.dcmread(tmp_path / "a.dcm").file_meta.TransferSyntaxUID.name.startswith("JPEG L")
    volume = read(tmp_path / "a.dcm")
    pixels = volume.array.squeeze()
    # ITK leaves the orientation out of the first file that a process writes.
    assert np.array_equal(pixels.T if volume.geometry.oriented else pixels, array)


@pytest.mark.parametrize("name", ["JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "693_J2KI.dcm"])
def test_itk_decodes_as_the_plugins_do(name, monkeypatch):
    path = Path(get_testdata_file(name, download=False))
    expected = pydicom.dcmread(path).pixel_array
    dataset = pydicom.dcmread(path)
    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    monkeypatch.setattr(decoder, "_available", {})
    (frame,) = decoded_frames(dataset, dataset, [0])
    assert np.array_equal(frame, expected)


def test_jpeg_of_twelve_bits(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(Path(get_testdata_file("JPEG-lossy.dcm", download=False)).read_bytes())
    assert read(path).array.max() == 264


def test_compression_that_nothing_reads_is_named(tmp_path):
    for path in write_series(tmp_path, np.zeros((2, 64, 64), np.uint16)):
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEG2000Lossless)
        dataset.file_meta.TransferSyntaxUID = MPEG2MPML
        dataset.save_as(path)
    with pytest.raises(FormatError, match=r"MPEG2.*install.*napari-sslseg\[dicom\]") as caught:
        read(tmp_path)
    assert is_one_sentence(str(caught.value))


def test_large_series_is_decoded_when_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sslseg.formats.dicom_pixels.EAGER_BYTES", 10)
    paths = write_series(tmp_path, ARRAY, edit=lambda out, n: setattr(out, "RescaleSlope", "2"))
    volume = read(tmp_path)
    assert volume.is_lazy
    assert volume.array.shape == (4, 5, 6)
    assert np.array_equal(np.asarray(volume.array[1:3, ::-1, 4]), 2 * ARRAY[4, ::-1, 1:3].T)
    assert np.array_equal(np.asarray(volume.array).T, 2 * ARRAY)
    paths[4].write_bytes(paths[4].read_bytes()[:-20])
    assert np.array_equal(np.asarray(volume.array[..., 3]).T, 2 * ARRAY[3])
    with pytest.raises(FormatError, match="damaged or incomplete"):
        np.asarray(volume.array[..., 4])


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "693_J2KI.dcm",
        "examples_overlay.dcm",
        "image_dfl.dcm",
    ],
)
def test_files_of_pydicom_read_as_itk_reads_them(tmp_path, name):
    path = Path(get_testdata_file(name, download=False))
    copy = tmp_path / name
    copy.write_bytes(path.read_bytes())
    volume = read(copy)
    image = sitk.ReadImage(str(copy))
    array = np.asarray(volume.array)
    shown = array.T if volume.geometry.oriented else array
    assert np.array_equal(shown, sitk.GetArrayFromImage(image)[0])
    if volume.geometry.oriented:
        for index in [(0, 0), (5, 9)]:
            point = LPS @ image.TransformIndexToPhysicalPoint((*index, 0))
            np.testing.assert_allclose(volume.geometry.position(index), point, atol=1e-4)


def test_modality_lookup_table_is_applied(tmp_path):
    def table(out, n):
        item = Dataset()
        item.LUTDescriptor = [4, 0, 16]
        item.LUTData = [7, 100, 2000, 60000]
        item.ModalityLUTType = "US"
        item["LUTData"].VR = item["LUTDescriptor"].VR = "US"
        out.ModalityLUTSequence = [item]

    stored = np.arange(120, dtype=np.uint8).reshape(6, 5, 4) % 4
    write_series(tmp_path, stored, edit=table)
    expected = np.array([7, 100, 2000, 60000])[stored]
    assert np.array_equal(read(tmp_path).array.T, expected)
