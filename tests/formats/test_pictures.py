"""PNG, JPEG and BMP: single pictures and numbered ones."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_sslseg.formats import FormatError, read, read_labels

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 6), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (5, 6)).astype(np.uint16)
COLOUR = RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8)


def stack(folder, planes, name="slice{}.png", start=1):
    folder.mkdir(exist_ok=True)
    for n, plane in enumerate(planes):
        Image.fromarray(plane).save(folder / name.format(n + start))
    return folder


@pytest.mark.parametrize(
    ("array", "suffix"),
    [(GREY, ".png"), (DEEP, ".png"), (COLOUR, ".png"), (GREY, ".bmp"), (COLOUR, ".bmp")],
    ids=["grey.png", "16bit.png", "colour.png", "grey.bmp", "colour.bmp"],
)
def test_picture_is_read_as_it_is(tmp_path, array, suffix):
    Image.fromarray(array).save(tmp_path / f"a{suffix}")
    volume = read(tmp_path / f"a{suffix}")
    assert volume.array.dtype == array.dtype
    assert np.array_equal(volume.array, array)
    assert volume.geometry.shape == (5, 6)
    assert volume.geometry.units == "pixel"
    assert not volume.geometry.oriented


def test_jpeg_is_read(tmp_path):
    smooth = np.linspace(0, 250, 64 * 64).reshape(64, 64).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.JPG", quality=95)
    assert np.abs(read(tmp_path / "a.JPG").array.astype(int) - smooth).max() < 10


def test_transparency_is_left_out_and_two_values_are_values(tmp_path):
    Image.fromarray(np.dstack([COLOUR, GREY])).save(tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png").array, COLOUR)
    Image.fromarray(GREY > 100).save(tmp_path / "b.png")
    assert set(np.unique(read(tmp_path / "b.png").array)) == {0, 255}


def test_palette_is_colours_of_an_image_and_ids_of_labels(tmp_path):
    ids = RNG.integers(0, 4, (5, 6), dtype=np.uint8)
    image = Image.fromarray(ids, "P")
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    image.putpalette(colours.ravel().tolist())
    image.save(tmp_path / "mask.png")
    assert np.array_equal(read_labels(tmp_path / "mask.png").array, ids)
    assert np.array_equal(read(tmp_path / "mask.png").array, colours[ids])


def test_numbered_pictures_are_a_stack_in_the_order_of_their_numbers(tmp_path):
    planes = RNG.integers(0, 256, (12, 5, 6), dtype=np.uint8)
    folder = stack(tmp_path / "brain", planes)
    (folder / "preview.jpg").write_bytes(b"of another kind")
    (folder / "notes.txt").write_text("none")
    volume = read(folder)
    assert np.array_equal(volume.array, planes)
    assert volume.name == "brain"
    assert volume.source == str(folder)
    assert volume.warnings == ()
    assert volume.geometry.canonical().is_identity


def test_stack_of_colours_and_of_tiff_planes(tmp_path):
    colours = RNG.integers(0, 256, (3, 5, 6, 3), dtype=np.uint8)
    assert np.array_equal(read(stack(tmp_path / "a", colours)).array, colours)
    (tmp_path / "b").mkdir()
    for n in range(11):
        tifffile.imwrite(tmp_path / "b" / f"z{n}.tif", DEEP + n)
    assert np.array_equal(read(tmp_path / "b").array[10], DEEP + 10)


def test_gap_in_the_numbers_is_said(tmp_path):
    folder = stack(tmp_path / "a", np.stack([GREY] * 9))
    (folder / "slice4.png").unlink()
    assert "gap after slice3.png" in read(folder).warnings[0]


def test_pictures_of_several_sizes_are_no_stack(tmp_path):
    folder = stack(tmp_path / "a", [GREY, GREY, GREY[:4]])
    with pytest.raises(FormatError, match=r"slice3\.png \(6 × 4, 8 bits\).*one stack"):
        read(folder)


def test_large_stack_is_read_when_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sslseg.formats.pictures.EAGER_BYTES", 10)
    planes = RNG.integers(0, 256, (4, 5, 6), dtype=np.uint8)
    folder = stack(tmp_path / "a", planes)
    volume = read(folder)
    assert volume.is_lazy
    assert np.array_equal(np.asarray(volume.array[2, 1:]), planes[2, 1:])
    (folder / "slice4.png").write_bytes(b"damaged")
    with pytest.raises(FormatError, match=r"slice4\.png cannot be read"):
        np.asarray(volume.array)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_damaged_picture_is_said(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(RNG.integers(0, 256, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FormatError, match=r"a\.\w+ (cannot be read|is incomplete)"):
        read(path)


def test_folder_without_images_is_said(tmp_path):
    with pytest.raises(FormatError, match="folder without an image"):
        read(tmp_path)
