"""TIFF: stacks, planes and colours, with the voxel size their writers meant."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sslseg.formats import FormatError, read, read_labels, write_labels
from napari_sslseg.formats.choice import SeveralVolumesError

STACK = np.random.default_rng(0).integers(0, 4000, (7, 5, 6)).astype(np.uint16)
LABELS = np.random.default_rng(1).choice([0, 1, 2, 255], STACK.shape).astype(np.uint8)


def imagej(path, array=STACK, axes="ZYX", *, spacing=2.5, unit="um", resolution=(4.0, 2.0)):
    tifffile.imwrite(
        path,
        array,
        imagej=True,
        resolution=resolution,
        metadata={"axes": axes, "spacing": spacing, "unit": unit},
    )
    return path


def ome(path, sizes, array=STACK, axes="ZYX", unit="µm"):
    metadata = {"axes": axes}
    for axis, size in sizes.items():
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    tifffile.imwrite(path, array, ome=True, metadata=metadata)
    return path


@pytest.mark.parametrize(
    ("unit", "known", "factor"),
    [
        ("um", "um", 1),
        ("micron", "um", 1),
        ("\\u00B5m", "um", 1),
        ("mm", "mm", 1),
        ("cm", "mm", 10),
        ("nm", "nm", 1),
        ("pixel", "pixel", 1),
        ("cubit", "pixel", 1),
    ],
)
def test_imagej_voxel_size_is_read_and_kept(tmp_path, unit, known, factor):
    source = imagej(tmp_path / "a.tif", unit=unit)
    volume = read(source)
    assert np.array_equal(volume.array, STACK)
    assert volume.geometry.spacing == (2.5 * factor, 0.5 * factor, 0.25 * factor)
    assert volume.geometry.units == known
    assert not volume.geometry.oriented
    assert volume.geometry.canonical().is_identity

    write_labels(tmp_path / "b.tif", LABELS, volume)
    back = read_labels(tmp_path / "b.tif")
    assert np.array_equal(back.array, LABELS)
    assert back.geometry == volume.geometry
    with tifffile.TiffFile(source) as one, tifffile.TiffFile(tmp_path / "b.tif") as two:
        assert two.imagej_metadata["unit"] == one.imagej_metadata["unit"]
        assert two.imagej_metadata["spacing"] == one.imagej_metadata["spacing"]
        for tag in ("XResolution", "YResolution"):
            assert two.pages[0].tags[tag].value == one.pages[0].tags[tag].value


@pytest.mark.parametrize("unit", ["µm", "mm", "nm"])
def test_ome_voxel_size_is_read_and_kept(tmp_path, unit):
    sizes = {"X": 0.123456789, "Y": 0.2, "Z": 1 / 3}
    volume = read(ome(tmp_path / "a.ome.tif", sizes, unit=unit))
    assert volume.geometry.spacing == (1 / 3, 0.2, 0.123456789)
    assert volume.geometry.units == unit.replace("µ", "u")
    write_labels(tmp_path / "b.tif", LABELS, volume)
    with tifffile.TiffFile(tmp_path / "b.tif") as tif:
        assert tif.is_ome
    back = read_labels(tmp_path / "b.tif")
    assert back.geometry == volume.geometry
    assert np.array_equal(back.array, LABELS)


def test_ome_sizes_in_several_units_become_millimetres(tmp_path):
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": 500.0,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 500.0,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 2.0,
        "PhysicalSizeZUnit": "µm",
    }
    tifffile.imwrite(tmp_path / "a.tif", STACK, ome=True, metadata=metadata)
    geometry = read(tmp_path / "a.tif").geometry
    assert geometry.units == "mm"
    assert geometry.spacing == pytest.approx((2e-3, 5e-4, 5e-4))


def test_plain_resolution_tags_count_unless_they_are_for_print(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", STACK, resolution=(50.0, 25.0), resolutionunit="CENTIMETER"
    )
    geometry = read(tmp_path / "a.tif").geometry
    assert geometry.units == "mm"
    assert geometry.spacing == pytest.approx((0.4, 0.4, 0.2))
    write_labels(tmp_path / "b.tif", LABELS, read(tmp_path / "a.tif"))
    back = read(tmp_path / "b.tif").geometry
    assert (back.spacing, back.units) == (pytest.approx(geometry.spacing), "mm")

    tifffile.imwrite(tmp_path / "c.tif", STACK, resolution=(72, 72), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "d.tif", STACK)
    for name in ("c.tif", "d.tif"):
        geometry = read(tmp_path / name).geometry
        assert (geometry.spacing, geometry.units) == ((1.0, 1.0, 1.0), "pixel")
        write_labels(tmp_path / "e.tif", LABELS, read(tmp_path / name))
        assert read(tmp_path / "e.tif").geometry == geometry


def test_spacing_in_the_description_of_a_plain_stack_counts(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", STACK, resolution=(2.0, 2.0), metadata={"spacing": 3.0, "unit": "um"}
    )
    geometry = read(tmp_path / "a.tif").geometry
    assert (geometry.spacing, geometry.units) == ((3.0, 0.5, 0.5), "um")


def test_colours_and_channels_are_last(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", rgb, photometric="rgb")
    assert np.array_equal(read(tmp_path / "rgb.tif").array, rgb)
    hyper = np.moveaxis(rgb, -1, 1)[:, :2]
    volume = read(imagej(tmp_path / "zcyx.tif", np.ascontiguousarray(hyper), "ZCYX"))
    assert np.array_equal(volume.array, rgb[..., :2])
    assert volume.channels == 2
    write_labels(tmp_path / "b.tif", LABELS, volume)
    assert read_labels(tmp_path / "b.tif").geometry == volume.geometry
    with pytest.raises(FormatError, match="2 channels"):
        read_labels(tmp_path / "zcyx.tif")


@pytest.mark.parametrize("kind", ["imagej", "ome", "plain"])
def test_plane_is_read_and_written(tmp_path, kind):
    plane = STACK[0]
    path = tmp_path / "a.tif"
    if kind == "imagej":
        imagej(path, plane, "YX")
    elif kind == "ome":
        ome(path, {"X": 0.25, "Y": 0.5}, plane, "YX")
    else:
        tifffile.imwrite(path, plane)
    volume = read(path)
    assert volume.array.shape == (5, 6)
    write_labels(tmp_path / "b.tiff", LABELS[0], volume)
    back = read_labels(tmp_path / "b.tiff")
    assert np.array_equal(back.array, LABELS[0])
    assert back.geometry == volume.geometry


def test_compressed_tiled_and_big_endian_files(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib", predictor=True)
    tifffile.imwrite(tmp_path / "b.tif", STACK, tile=(16, 16))
    tifffile.imwrite(tmp_path / "c.tif", STACK, byteorder=">")
    for name in "abc":
        array = read(tmp_path / f"{name}.tif").array
        assert np.array_equal(array, STACK)
        assert array.dtype.isnative


def test_uncompressed_stack_is_memory_mapped(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK)
    array = read(tmp_path / "a.tif").array
    assert isinstance(array.base if array.base is not None else array, np.memmap)
    assert not array.flags.writeable


def test_one_time_point_of_a_series_of_stacks_is_chosen(tmp_path):
    stacks = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 6), dtype=np.uint8)
    imagej(tmp_path / "a.tif", stacks, "TZYX")
    with pytest.raises(SeveralVolumesError, match="2 = time point 2 of 2") as caught:
        read(tmp_path / "a.tif")
    assert [choice.key for choice in caught.value.choices] == ["1", "2"]
    volume = read(tmp_path / "a.tif", "2")
    assert np.array_equal(volume.array, stacks[1])
    assert (volume.part, volume.name) == ("2", "a [2]")
    with pytest.raises(FormatError, match=r"no time point '3'; choose one of 1 to 2\."):
        read(tmp_path / "a.tif", "3")


def test_time_points_with_channels_keep_the_channels(tmp_path):
    stacks = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 6), dtype=np.uint8)
    imagej(tmp_path / "a.tif", stacks, "TZCYX")
    volume = read(tmp_path / "a.tif", "1")
    assert np.array_equal(volume.array, np.moveaxis(stacks[0], 1, -1))


def test_planes_at_several_times_are_a_stack(tmp_path):
    imagej(tmp_path / "a.tif", STACK, "TYX")
    assert np.array_equal(read(tmp_path / "a.tif").array, STACK)


def test_large_compressed_stack_is_decoded_when_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sslseg.formats.tiff.EAGER_BYTES", 10)
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib")
    volume = read(tmp_path / "a.tif")
    assert volume.is_lazy
    assert np.array_equal(np.asarray(volume.array[3, ::2]), STACK[3, ::2])
    assert np.array_equal(np.asarray(volume.array), STACK)
    colours = np.random.default_rng(0).integers(0, 256, (7, 5, 6, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "b.tif", colours, photometric="rgb", compression="zlib")
    assert np.array_equal(np.asarray(read(tmp_path / "b.tif").array), colours)


def test_tags_that_promise_more_than_the_file_holds_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK, compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tif:
        for page in tif.pages:
            page.tags["ImageLength"].overwrite(60000)
            page.tags["ImageWidth"].overwrite(60000)
            page.tags["RowsPerStrip"].overwrite(60000)
    with pytest.raises(FormatError, match=r"promises 50\.4 GB"):
        read(tmp_path / "a.tif")
