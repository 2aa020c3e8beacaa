"""OME-Zarr: geometry, levels, axes of all kinds, and damage."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sslseg.formats import FormatError, read, read_labels, write_labels
from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

zarr = pytest.importorskip("zarr")

RNG = np.random.default_rng(0)
ARRAY = RNG.integers(0, 4000, (8, 12, 10)).astype(np.uint16)
SPACE = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
CHANNEL = {"name": "c", "type": "channel"}
TIME = {"name": "t", "type": "time", "unit": "second"}


def write(path, array=ARRAY, *, version="0.5", axes=SPACE, levels=2, transforms=None, extra=None):
    """Write an image with levels, each half as fine in the plane."""
    old = version < "0.5"
    group = zarr.create_group(str(path), zarr_format=2 if old else 3)
    datasets = []
    for level in range(levels):
        data = array[..., :: 2**level, :: 2**level]
        chunks = tuple(min(4, n) for n in data.shape)
        group.create_array(str(level), data=data, chunks=chunks)
        scale = [1.0] * (array.ndim - 3) + [2.5, 0.5 * 2**level, 0.25 * 2**level]
        steps = [
            {"type": "scale", "scale": scale[-array.ndim :]},
            {
                "type": "translation",
                "translation": ([0.0] * array.ndim + [10, 20, 30])[-array.ndim :],
            },
        ]
        datasets.append({"path": str(level), "coordinateTransformations": transforms or steps})
    scales = {"axes": axes, "datasets": datasets, "name": "made for a test"}
    if old:
        scales["version"] = version
        group.attrs.update({"multiscales": [scales], **(extra or {})})
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [scales], **(extra or {})}
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_small_image_is_read_with_its_place(tmp_path, version):
    volume = read(write(tmp_path / "a.ome.zarr", version=version))
    assert np.array_equal(volume.array, ARRAY)
    assert not volume.is_lazy
    assert volume.geometry.spacing == (2.5, 0.5, 0.25)
    assert volume.geometry.units == "um"
    assert volume.geometry.canonical().translate == (10, 20, 30)
    assert (volume.name, volume.header.version) == ("a", version)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_large_image_is_lazy_and_has_levels(tmp_path, version, monkeypatch):
    monkeypatch.setattr("napari_sslseg.formats.ome_zarr._EAGER_BYTES", 10)
    volume = read(write(tmp_path / "a.zarr", version=version, levels=3))
    assert volume.is_lazy
    assert [level.shape for level in volume.levels] == [(8, 12, 10), (8, 6, 5), (8, 3, 3)]
    assert volume.levels[0] is volume.array
    assert np.array_equal(np.asarray(volume.array[3, ::-1]), ARRAY[3, ::-1])
    assert np.array_equal(np.asarray(volume.levels[1]), ARRAY[:, ::2, ::2])


def test_channels_are_last_and_have_names(tmp_path):
    array = np.stack([ARRAY, 2 * ARRAY])
    omero = {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}
    volume = read(write(tmp_path / "a.zarr", array, axes=[CHANNEL, *SPACE], extra={"omero": omero}))
    assert np.array_equal(volume.array, np.moveaxis(array, 0, -1))
    assert volume.channel_names == ("DAPI", "GFP")


def test_window_is_that_of_the_file(tmp_path):
    omero = {"channels": [{"window": {"start": 5, "end": 900, "min": 0, "max": 4000}}]}
    path = write(tmp_path / "a.zarr", ARRAY[None], axes=[CHANNEL, *SPACE], extra={"omero": omero})
    volume = read(path)
    assert volume.array.shape == ARRAY.shape
    assert volume.window == (5, 900)


def test_one_time_point_is_chosen(tmp_path):
    array = np.stack([ARRAY, ARRAY + 1])[:, None]
    path = write(tmp_path / "a.zarr", array, axes=[TIME, CHANNEL, *SPACE])
    with pytest.raises(SeveralVolumesError, match="time point 2 of 2"):
        read(path)
    volume = read(path, "2")
    assert np.array_equal(volume.array, ARRAY + 1)
    assert (volume.name, volume.part) == ("a [2]", "2")
    single = read(write(tmp_path / "b.zarr", array[:1], axes=[TIME, CHANNEL, *SPACE]))
    assert np.array_equal(single.array, ARRAY)


def test_units_that_differ_become_millimetres_and_no_unit_is_pixels(tmp_path):
    mixed = [{**SPACE[0], "unit": "millimeter"}, *SPACE[1:]]
    geometry = read(write(tmp_path / "a.zarr", axes=mixed)).geometry
    assert geometry.units == "mm"
    assert geometry.spacing == pytest.approx((2.5, 5e-4, 2.5e-4))
    bare = [{"name": n, "type": "space"} for n in "zyx"]
    geometry = read(write(tmp_path / "b.zarr", axes=bare)).geometry
    assert (geometry.units, geometry.spacing) == ("pixel", (2.5, 0.5, 0.25))


def test_transform_of_all_levels_is_applied_last(tmp_path):
    path = write(tmp_path / "a.zarr", version="0.4")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["coordinateTransformations"] = [
        {"type": "scale", "scale": [2, 2, 2]},
        {"type": "translation", "translation": [1, 1, 1]},
    ]
    (path / ".zattrs").write_text(json.dumps(attributes))
    geometry = read(path).geometry
    assert geometry.spacing == (5, 1, 0.5)
    assert geometry.canonical().translate == (21, 41, 61)


def test_image_in_a_group_of_images_is_chosen(tmp_path):
    root = zarr.create_group(str(tmp_path / "a.zarr"), zarr_format=3)
    root.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    write(tmp_path / "a.zarr" / "0")
    assert np.array_equal(read(tmp_path / "a.zarr").array, ARRAY)
    write(tmp_path / "a.zarr" / "1", ARRAY + 1)
    with pytest.raises(SeveralVolumesError, match=r"1 = image 1, 8 × 12 × 10"):
        read(tmp_path / "a.zarr")
    assert np.array_equal(read(tmp_path / "a.zarr", "1").array, ARRAY + 1)
    assert np.array_equal(read(tmp_path / "a.zarr" / "1").array, ARRAY + 1)


def test_plate_and_empty_group_are_said(tmp_path):
    zarr.create_group(str(tmp_path / "a.zarr")).attrs["ome"] = {"plate": {}}
    with pytest.raises(FormatError, match="plate of many wells"):
        read(tmp_path / "a.zarr")
    zarr.create_group(str(tmp_path / "b.zarr"))
    with pytest.raises(FormatError, match="without an OME image"):
        read(tmp_path / "b.zarr")


def test_bare_array_has_voxels_of_one_pixel(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), data=ARRAY)
    volume = read(tmp_path / "a.zarr")
    assert np.array_equal(volume.array, ARRAY)
    assert volume.geometry.units == "pixel"


def test_labels_of_our_own_come_back_at_their_place(tmp_path, oblique):
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])
    affine[:3, 3] = 5, 6, 7
    image = Volume(oblique.array, Geometry(affine, oblique.array.shape))
    write_labels(tmp_path / "a.ome.zarr", oblique.labels, image)
    back = read_labels(tmp_path / "a.ome.zarr")
    shown = image.geometry.canonical()
    assert np.array_equal(back.array, shown.apply(oblique.labels))
    np.testing.assert_allclose(back.geometry.affine, shown.geometry.affine, atol=1e-9)


def test_damaged_chunk_is_said_when_it_is_looked_at(tmp_path, monkeypatch):
    path = write(tmp_path / "a.zarr", version="0.4", levels=1)
    chunk = path / "0" / "1.0.0"
    if not chunk.exists():
        chunk = path / "0" / "1" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:10])
    with pytest.raises(FormatError, match="damaged"):
        read(path)
    monkeypatch.setattr("napari_sslseg.formats.ome_zarr._EAGER_BYTES", 10)
    volume = read(path)
    assert np.array_equal(np.asarray(volume.array[:4]), ARRAY[:4])
    with pytest.raises(FormatError, match="cannot be read everywhere"):
        np.asarray(volume.array[4:])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"datasets": []}, "name no array"),
        ({"axes": [{"name": n} for n in "zyxw"]}, "has the axes"),
        ({"axes": [{"name": "a", "type": "phase"}] * 3}, "axes that cannot be read"),
    ],
)
def test_metadata_that_fit_nothing_are_said(tmp_path, change, message):
    path = write(tmp_path / "a.zarr", version="0.4")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0].update(change)
    (path / ".zattrs").write_text(json.dumps(attributes))
    with pytest.raises(FormatError, match=message):
        read(path)


@pytest.mark.parametrize("scale", [[0, 1, 1], [1, 1], [float("nan"), 1, 1]])
def test_scale_that_cannot_be_is_said(tmp_path, scale):
    transforms = [{"type": "scale", "scale": scale}]
    with pytest.raises(FormatError):
        read(write(tmp_path / "a.zarr", transforms=transforms))


def test_huge_chunks_are_refused_before_memory_is_given_to_them(tmp_path):
    path = write(tmp_path / "a.zarr", version="0.4", levels=1)
    head = json.loads((path / "0" / ".zarray").read_text())
    head["shape"] = head["chunks"] = [100_000, 100_000, 10]
    (path / "0" / ".zarray").write_text(json.dumps(head))
    with pytest.raises(FormatError, match=r"pieces of 186\.3 GB"):
        read(path)


@pytest.mark.parametrize(
    ("unit", "known", "factor"),
    [("decimeter", "mm", 100.0), ("kilometer", "m", 1000.0), ("parsec", "pixel", 1.0)],
)
def test_units_are_known_or_remarked_on(tmp_path, unit, known, factor):
    axes = [{**axis, "unit": unit} for axis in SPACE]
    volume = read(write(tmp_path / "a.ome.zarr", axes=axes))
    assert volume.geometry.units == known
    assert volume.geometry.spacing == pytest.approx((2.5 * factor, 0.5 * factor, 0.25 * factor))
    assert ["“parsec”" in text for text in volume.warnings] == [True] * (unit == "parsec")
