"""TIFF: what is packed into bits or compressed is read exactly, or the remedy is named."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import tifffile
from PIL import Image
from tifffile import _imagecodecs
from tifffile import tifffile as implementation

from napari_sslseg.formats import FormatError, read, read_labels
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

RNG = np.random.default_rng(0)
MASK = np.zeros((150, 203), bool)
MASK[20:90, 40:160] = True
GREY = RNG.integers(0, 256, (4, 40, 50), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (4, 40, 50)).astype(np.uint16)

needs_imagecodecs = pytest.mark.skipif(
    importlib.util.find_spec("imagecodecs") is None, reason="imagecodecs is not installed"
)


@pytest.fixture
def without(monkeypatch):
    """Leave tifffile with what it decodes itself."""
    monkeypatch.setattr(implementation, "imagecodecs", _imagecodecs)
    for table in (tifffile.TIFF.DECOMPRESSORS, tifffile.TIFF.UNPREDICTORS):
        monkeypatch.setattr(table, "_codecs", {1: lambda data, **options: data})
    monkeypatch.setattr("napari_sslseg.formats.tiff_codecs._without_imagecodecs", lambda: True)


def pillow_stack(path, planes, **options):
    first, *rest = (Image.fromarray(plane) for plane in planes)
    first.save(path, save_all=True, append_images=rest, **options)
    return path


@pytest.mark.parametrize("eager", [True, False])
def test_single_bits_are_read_as_0_and_1(tmp_path, monkeypatch, eager):
    if not eager:
        monkeypatch.setattr("napari_sslseg.formats.tiff.EAGER_BYTES", 10)
    path = pillow_stack(tmp_path / "a.tif", [MASK, ~MASK])
    assert path.stat().st_size < MASK.size / 2  # eight a byte
    assert np.array_equal(np.asarray(read(path).array), [MASK, ~MASK])
    labels = read_labels(path).array
    assert labels.dtype == np.uint8
    assert np.array_equal(labels, [MASK, ~MASK])
    like = Volume(np.zeros(labels.shape), Geometry.from_spacing((1.0,) * 3, labels.shape))
    found = import_labels(path, like)
    assert np.array_equal(found.labels, labels)
    assert found.remarks == ()


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("planes", [GREY, DEEP], ids=["8 bits", "16 bits"])
@pytest.mark.usefixtures("without")
def test_lzw_is_read_exactly(tmp_path, monkeypatch, planes, predictor, eager):
    if not eager:
        monkeypatch.setattr("napari_sslseg.formats.tiff.EAGER_BYTES", 10)
    options = {"compression": "tiff_lzw", "tiffinfo": {317: predictor}}
    path = pillow_stack(tmp_path / "a.tif", planes, **options)
    with tifffile.TiffFile(path) as tif:
        assert (tif.pages[0].compression, tif.pages[0].predictor) == (5, predictor)
    volume = read(path)
    assert volume.is_lazy != eager
    assert volume.array.dtype == planes.dtype
    assert np.array_equal(np.asarray(volume.array), planes)
    if not eager:
        assert np.array_equal(np.asarray(volume.array[2, 3:5]), planes[2, 3:5])


@pytest.mark.usefixtures("without")
def test_lzw_of_colours_and_palettes(tmp_path):
    colours = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.tif", compression="tiff_lzw")
    assert np.array_equal(read(tmp_path / "a.tif").array, colours)
    ids = Image.fromarray(GREY[0] % 3, "P")
    ids.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    ids.save(tmp_path / "b.tif", compression="tiff_lzw")
    assert np.array_equal(read_labels(tmp_path / "b.tif").array, GREY[0] % 3)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    ("compression", "values", "name"),
    [
        ("group4", MASK, "CCITTFAX4"),
        ("jpeg", GREY[0], "JPEG"),
        ("zstd", GREY[0], "ZSTD"),
        ("tiff_lzw", MASK, "LZW"),  # Pillow has bits as something else
    ],
)
def test_missing_codec_is_named_with_the_remedy(tmp_path, compression, values, name):
    Image.fromarray(values).save(tmp_path / "a.tif", compression=compression)
    with pytest.raises(FormatError) as caught:
        read(tmp_path / "a.tif")
    text = str(caught.value)
    assert f"a.tif is compressed by {name}, which needs imagecodecs" in text
    assert text.endswith('pip install "napari-sslseg[tiff]".')
    assert text.count(". ") == 0


def packed(path, bits, values):
    """Write values of fewer bits than a byte, or of 12, as tifffile does with imagecodecs alone."""
    rows = []
    for row in values:
        digits = "".join(f"{value:0{bits}b}" for value in row)
        rows += [int(byte.ljust(8, "0"), 2) for byte in map("".join, _by_eight(digits))]
    data = bytes(rows)
    height, width = values.shape
    entries = [
        *((256, 4, width), (257, 4, height), (258, 3, bits), (259, 3, 1), (262, 3, 1)),
        *((273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(data))),
    ]
    head = b"II*\0" + (8 + len(data)).to_bytes(4, "little") + data
    head += len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        head += tag.to_bytes(2, "little") + kind.to_bytes(2, "little")
        head += (1).to_bytes(4, "little") + value.to_bytes(4, "little")
    path.write_bytes(head + bytes(4))
    return path


def _by_eight(digits):
    return [digits[n : n + 8] for n in range(0, len(digits), 8)]


@needs_imagecodecs
@pytest.mark.parametrize("bits", [2, 4, 12])
def test_values_of_few_bits(tmp_path, bits):
    values = RNG.integers(0, 2**bits, (60, 61))
    assert np.array_equal(read(packed(tmp_path / "a.tif", bits, values)).array, values)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize("bits", [2, 4, 12])
def test_values_of_few_bits_need_a_library(tmp_path, bits):
    path = packed(tmp_path / "a.tif", bits, RNG.integers(0, 2**bits, (60, 61)))
    with pytest.raises(FormatError, match=rf"a\.tif holds values of {bits} bits, which needs"):
        read(path)


@needs_imagecodecs
@pytest.mark.parametrize("compression", ["group4", "zstd", "tiff_lzw"])
def test_imagecodecs_decodes_the_rest(tmp_path, compression):
    values = MASK if compression == "group4" else GREY[0]
    Image.fromarray(values).save(tmp_path / "a.tif", compression=compression)
    assert np.array_equal(read(tmp_path / "a.tif").array, values)


def test_bits_that_the_file_cannot_hold_are_refused(tmp_path):
    path = pillow_stack(tmp_path / "a.tif", [MASK])
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["ImageLength"].overwrite(2000)
        tif.pages[0].tags["RowsPerStrip"].overwrite(2000)
    with pytest.raises(FormatError, match="promises"):
        read(path)
