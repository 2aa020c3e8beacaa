"""TIFF: stacks, planes and colours, with the voxel size their writers meant."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sslseg.formats import FormatError, read, read_labels, write_labels
from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

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


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("</Image>", "</Imagx>"),
        ("<Pixels", "<Pixels&" + "x" * 400),  # whose end is cut off
        ('SizeZ="7"', 'SizeZ="q"'),
    ],
)
def test_pages_beside_damaged_ome_metadata_are_read(tmp_path, old, new, compression):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5}
    tifffile.imwrite(path, STACK, ome=True, metadata=metadata, compression=compression)
    described = tifffile.tiffcomment(path).encode()
    edited = described.replace(old.encode(), new.encode(), 1)[: len(described)]
    assert described in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(described, edited.ljust(len(described))))
    volume = read(path)
    assert np.array_equal(volume.array, STACK)
    assert (volume.geometry.spacing, volume.geometry.units) == ((1.0, 1.0, 1.0), "pixel")
    (said,) = volume.warnings
    assert "voxel size and axes could not be read" in said
    write_labels(tmp_path / "b.tif", LABELS, volume)
    assert np.array_equal(import_labels(tmp_path / "b.tif", volume).labels, LABELS)


@pytest.mark.parametrize("size", ["wide", -0.5, "nan", 0])
def test_ome_sizes_that_are_none_are_told(tmp_path, size):
    volume = read(ome(tmp_path / "a.ome.tif", {"X": size, "Y": 0.5}))
    assert np.array_equal(volume.array, STACK)
    assert volume.geometry.units == "pixel"
    assert volume.warnings == ("The file states a voxel size that is none: taken for pixels.",)


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


def test_planes_that_were_written_one_by_one_are_a_stack(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for plane in STACK:
            file.write(plane)
    volume = read(tmp_path / "a.tif")
    assert np.array_equal(volume.array, STACK)
    assert volume.warnings == ()
    with tifffile.TiffWriter(tmp_path / "b.ome.tif", ome=True) as file:
        for array in (STACK, STACK[:2], STACK[:3]):
            file.write(array, photometric="minisblack", metadata={"axes": "ZYX"})
    volume = read(tmp_path / "b.ome.tif")
    assert np.array_equal(volume.array, STACK)
    said = "The file holds 2 further images, which are left out: the first one is read."
    assert volume.warnings == (said,)


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
    with pytest.raises(FormatError, match=r"promises 46\.9 GB"):
        read(tmp_path / "a.tif")


def multi_file(folder):
    """Write an OME-TIFF of six pages over two files; the second one refers to the first, too."""
    uuids = [f"urn:uuid:{str(n) * 8}-1111-1111-1111-111111111111" for n in (1, 2)]
    blocks = "".join(
        f'<TiffData FirstZ="{z}" IFD="{z % 3}" PlaneCount="1">'
        f'<UUID FileName="m{z // 3}.ome.tif">{uuids[z // 3]}</UUID></TiffData>'
        for z in range(6)
    )
    for n, uuid in enumerate(uuids):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/'
            f'Schemas/OME/2016-06" UUID="{uuid}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYZCT" Type="uint16" SizeX="6" SizeY="5" SizeZ="6" SizeC="1" '
            'SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5" PhysicalSizeZ="2">'
            f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{blocks}</Pixels></Image></OME>'
        )
        with tifffile.TiffWriter(folder / f"m{n}.ome.tif") as tif:
            for z in range(3):
                description = xml if z == 0 else None
                options = {"photometric": "minisblack", "metadata": None, "contiguous": False}
                tif.write(STACK[3 * n + z], description=description, **options)
    return folder / "m0.ome.tif"


def test_ome_tiff_over_several_files_is_whole_or_refused(tmp_path):
    path = multi_file(tmp_path)
    volume = read(path)
    assert np.array_equal(volume.array, STACK[:6])
    assert volume.geometry.spacing == (2.0, 0.5, 0.5)
    (tmp_path / "m1.ome.tif").rename(tmp_path / "elsewhere")
    with pytest.raises(FormatError, match=r"3 of its 6 pages are in m1\.ome\.tif, which cannot be"):
        read(path)


@pytest.mark.parametrize(
    ("unit", "known", "factor"),
    [
        ("Å", "nm", 0.1),
        ("pm", "nm", 1e-3),
        ("dm", "mm", 100.0),
        ("km", "m", 1000.0),
        ("cm", "mm", 10.0),
        ("pixel", "pixel", 1.0),
        ("parsec", "pixel", 1.0),
    ],
)
def test_ome_units_are_known_or_remarked_on(tmp_path, unit, known, factor):
    volume = read(ome(tmp_path / "a.ome.tif", {"X": 2.0, "Y": 2.0, "Z": 3.0}, unit=unit))
    assert volume.geometry.units == known
    assert volume.geometry.spacing == pytest.approx((3 * factor, 2 * factor, 2 * factor))
    assert len(volume.warnings) == (unit == "parsec")
    assert all("“parsec”" in text for text in volume.warnings)


def test_unknown_unit_of_imagej_is_remarked_on(tmp_path):
    assert "“cubit”" in read(imagej(tmp_path / "a.tif", unit="cubit")).warnings[0]
    assert read(imagej(tmp_path / "b.tif", unit="pixel")).warnings == ()


def test_unit_of_the_tags_beside_a_spacing_is_kept(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        resolution=(50.0, 25.0),
        resolutionunit="CENTIMETER",
        metadata={"axes": "ZYX", "spacing": 0.3},
    )
    volume = read(tmp_path / "a.tif")
    assert volume.geometry.units == "mm"
    assert volume.geometry.spacing == pytest.approx((3.0, 0.4, 0.2))
    write_labels(tmp_path / "b.tif", LABELS, volume)
    back = read(tmp_path / "b.tif").geometry
    assert back.units == "mm"
    assert back.spacing == pytest.approx(volume.geometry.spacing)


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif"])
@pytest.mark.parametrize("shape", [(6, 7, 1), (1, 7, 6), (6, 1, 7), (6, 1, 1), (1, 1, 6), (6, 7)])
def test_images_of_one_slice_get_their_labels_back(tmp_path, shape, suffix):
    affine = np.diag([-0.5, -0.7, 2.0, 1.0])
    affine[:3, 3] = (10, 20, 30)
    if len(shape) == 2:
        affine[2] = (0, 0, 1, 0)
    like = Volume(np.zeros(shape, np.int16), Geometry(affine, shape))
    labels = (np.arange(np.prod(shape)).reshape(shape) % 3).astype(np.uint8)
    write_labels(tmp_path / f"a{suffix}", labels, like)
    found = import_labels(tmp_path / f"a{suffix}", like)
    assert np.array_equal(found.labels, labels)
    assert not found.resampled


def test_a_stack_of_columns_is_read(tmp_path):
    columns = LABELS[:, :, :1].copy()
    like = Volume(columns, Geometry.from_spacing((2.0, 1.0, 1.0), columns.shape))
    write_labels(tmp_path / "a.tif", columns, like)
    assert np.array_equal(read_labels(tmp_path / "a.tif").array, columns)


@pytest.mark.parametrize("kind", ["imagej", "ome", "tags"])
def test_a_slice_distance_that_is_not_stated_is_told(tmp_path, kind):
    path = tmp_path / "a.tif"
    if kind == "imagej":
        options = {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "um", "axes": "ZYX"}}
        tifffile.imwrite(path, STACK, **options)
    elif kind == "ome":
        ome(path, {"X": 0.5, "Y": 0.5})
    else:
        tifffile.imwrite(path, STACK, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    volume = read(path)
    assert volume.geometry.spacing_mm == pytest.approx((5e-4,) * 3)
    (said,) = volume.warnings
    assert "does not say how far apart its slices are" in said
    tifffile.imwrite(tmp_path / "b.tif", STACK[0], resolution=(2e4, 2e4), resolutionunit=3)
    assert read(tmp_path / "b.tif").warnings == ()
