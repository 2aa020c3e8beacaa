"""Pictures that are stored turned: shown, labelled and saved upright."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from napari_sslseg.formats import read, read_labels
from napari_sslseg.formats.exporting import export, format_for
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.formats.upright import ORIENTATION
from napari_sslseg.volume.classes import ClassTable

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
STACK = RNG.integers(0, 256, (4, 5, 7), dtype=np.uint8)
TURNED = range(2, 9)


def tags(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return exif


def as_viewers_show(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an array by Pillow, which heeds the tag as viewers do."""
    image = Image.fromarray(array)
    image.getexif()[ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def tiff(path, array: np.ndarray, orientation: int, **options) -> None:
    tag = (ORIENTATION, "H", 1, orientation, True)
    tifffile.imwrite(path, array, extratags=[tag], metadata=None, **options)


@pytest.mark.parametrize("orientation", TURNED)
def test_pictures_are_read_as_viewers_show_them(tmp_path, orientation):
    for name, array in (("grey.png", GREY), ("colour.png", COLOUR)):
        Image.fromarray(array).save(tmp_path / name, exif=tags(orientation))
        volume = read(tmp_path / name)
        assert np.array_equal(volume.array, as_viewers_show(array, orientation))
        assert volume.geometry.shape == volume.array.shape[:2]
        assert f"orientation {orientation}" in volume.warnings[0]
    photo = tmp_path / "photo.jpg"
    Image.fromarray(COLOUR).save(photo, exif=tags(orientation))
    with Image.open(photo) as shown:
        assert np.array_equal(read(photo).array, np.asarray(ImageOps.exif_transpose(shown)))
    mask = tmp_path / "mask.png"
    Image.fromarray(GREY > 100).save(mask, exif=tags(orientation))
    assert np.array_equal(read_labels(mask).array, as_viewers_show(GREY > 100, orientation))
    tiff(tmp_path / "a.tif", COLOUR, orientation, photometric="rgb")
    assert np.array_equal(read(tmp_path / "a.tif").array, as_viewers_show(COLOUR, orientation))


@pytest.mark.parametrize("orientation", TURNED)
def test_labels_of_a_turned_stack_lie_where_it_is_shown_in_every_file(tmp_path, orientation):
    """Each voxel is labelled by its own grey value, so that any turn between them shows."""
    path = tmp_path / "scan.tif"
    tiff(path, STACK, orientation, photometric="minisblack", resolution=(50, 20), resolutionunit=3)
    volume = read(path)
    shown = np.stack([as_viewers_show(plane, orientation) for plane in STACK])
    assert np.array_equal(volume.array, shown)
    # 50 pixels a centimetre of the stored columns, 20 of the stored rows
    rows, columns = (0.2, 0.5) if orientation > 4 else (0.5, 0.2)
    assert volume.geometry.in_millimetres().spacing[1:] == pytest.approx((rows, columns))
    for name in ("seg.tif", "seg.ome.tif", "seg.nii.gz", "seg.npy"):
        labels = np.minimum(shown, 254)
        export(tmp_path / name, labels, volume, ClassTable(), kind=format_for(name))
        back = read_labels(tmp_path / name)
        assert np.array_equal(import_labels(tmp_path / name, volume).labels, labels)
        if name.endswith(".tif"):
            assert np.array_equal(back.array, labels)
            assert np.array_equal(tifffile.imread(tmp_path / name).reshape(shown.shape), labels)
            assert back.geometry.in_millimetres().spacing == pytest.approx(
                volume.geometry.in_millimetres().spacing
            )


def test_folders_of_turned_pictures_are_upright_stacks(tmp_path, monkeypatch):
    for eager in (True, False):
        if not eager:
            monkeypatch.setattr("napari_sslseg.formats.pictures.EAGER_BYTES", 10)
        for suffix in ("png", "tif"):
            folder = tmp_path / f"{suffix} {eager}"
            folder.mkdir()
            for n, plane in enumerate(STACK):
                if suffix == "png":
                    Image.fromarray(plane).save(folder / f"z{n}.png", exif=tags(6))
                else:
                    tiff(folder / f"z{n}.tif", plane, 6)
            volume = read(folder)
            shown = np.stack([as_viewers_show(plane, 6) for plane in STACK])
            assert np.array_equal(np.asarray(volume.array), shown)
            assert [r for r in volume.warnings if "orientation 6" in r] == [volume.warnings[0]]


@pytest.mark.parametrize("eager", [True, False])
def test_what_pillow_unpacks_and_what_is_read_page_by_page_is_turned_once(
    tmp_path, monkeypatch, eager
):
    monkeypatch.setattr("napari_sslseg.formats.tiff_codecs._without_imagecodecs", lambda: True)
    monkeypatch.setattr(tifffile.TIFF.DECOMPRESSORS, "_codecs", {1: lambda data, **options: data})
    if not eager:
        monkeypatch.setattr("napari_sslseg.formats.tiff.EAGER_BYTES", 10)
    for orientation in (3, 6):
        path = tmp_path / f"{orientation}.tif"
        first, *rest = (Image.fromarray(plane) for plane in STACK)
        with_tag = {"tiffinfo": {ORIENTATION: orientation}}
        first.save(path, save_all=True, append_images=rest, compression="tiff_lzw", **with_tag)
        shown = np.stack([as_viewers_show(plane, orientation) for plane in STACK])
        assert np.array_equal(np.asarray(read(path).array), shown)


def test_unknown_turns_and_those_of_microscopes_files_are_none(tmp_path):
    for orientation in (0, 9):
        tiff(tmp_path / "a.tif", GREY, orientation)
        assert np.array_equal(read(tmp_path / "a.tif").array, GREY)
        assert read(tmp_path / "a.tif").warnings == ()
    tag = (ORIENTATION, "H", 1, 6, True)
    for name, kind in (("a.ome.tif", "ome"), ("b.tif", "imagej")):
        options = {kind: True, "photometric": "minisblack", "metadata": {"axes": "ZYX"}}
        tifffile.imwrite(tmp_path / name, STACK, extratags=[tag], **options)
        assert np.array_equal(read(tmp_path / name).array, STACK)
