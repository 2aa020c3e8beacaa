"""Labels as OME-Zarr: metadata of version 0.4, positions, resolutions."""

from __future__ import annotations

import json

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")

from napari_sslseg.formats import write_labels  # noqa: E402
from napari_sslseg.formats.label_import import import_labels  # noqa: E402
from napari_sslseg.volume.classes import ClassTable, SegmentClass  # noqa: E402
from napari_sslseg.volume.geometry import Geometry  # noqa: E402
from napari_sslseg.volume.image import Volume  # noqa: E402

from .conftest import DIRECTIONS  # noqa: E402
from .conftest import _case as image_case  # noqa: E402

CLASSES = ClassTable([SegmentClass(1, "Liver", "#ff8000"), SegmentClass(7, "骨", "#00ff00")])


def written(path, labels, geometry):
    write_labels(path, labels, Volume(labels, geometry), CLASSES)
    return zarr.open_group(str(path), mode="r"), json.loads((path / ".zattrs").read_text())


def test_positions_are_exact_in_every_straight_orientation(tmp_path):
    for name in (name for name in DIRECTIONS if "oblique" not in name):
        case = image_case(name)
        geometry = Geometry(case.affine, case.labels.shape)
        group, attributes = written(tmp_path / "a.ome.zarr", case.labels, geometry)
        (multiscale,) = attributes["multiscales"]
        scale, translation = multiscale["datasets"][0]["coordinateTransformations"]
        array = np.asarray(group["0"])
        for value in (1, 2, 255):
            zyx = np.argwhere(array == value) * scale["scale"] + translation["translation"]
            lps = geometry.position(np.argwhere(case.labels == value)) * (-1, -1, 1)
            one, other = (sorted(map(tuple, np.round(p, 6))) for p in (zyx[:, ::-1], lps))
            np.testing.assert_allclose(one, other, atol=1e-4, err_msg=name)
        volume = Volume(case.array, geometry)
        again = import_labels(tmp_path / "a.ome.zarr", volume, classes=CLASSES)
        assert np.array_equal(again.labels, case.labels), name


def test_metadata_is_that_of_version_0_4(tmp_path):
    geometry = Geometry.from_spacing((2.0, 0.5, 0.25), (3, 4, 5), units="um")
    labels = np.zeros((3, 4, 5), np.uint8)
    labels[0, 0] = (1, 7, 255, 0, 0)
    group, attributes = written(tmp_path / "a.ome.zarr", labels, geometry)
    assert group.metadata.zarr_format == 2
    assert group["0"].metadata.dimension_separator == "/"
    (multiscale,) = attributes["multiscales"]
    assert multiscale["version"] == attributes["image-label"]["version"] == "0.4"
    assert multiscale["axes"] == [
        {"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"
    ]
    colours = {c["label-value"]: c["rgba"] for c in attributes["image-label"]["colors"]}
    assert colours[1] == [255, 128, 0, 255]
    assert colours[0][3] == colours[255][3] == 0
    names = {p["label-value"]: p["name"] for p in attributes["image-label"]["properties"]}
    assert names == {0: "Background", 1: "Liver", 7: "骨", 255: "Not annotated"}
    assert list(names) == list(colours)
    assert np.array_equal(np.asarray(group["0"]), labels)


def test_pixels_have_no_unit(tmp_path):
    geometry = Geometry.from_spacing((1.0, 1.0), (4, 5), units="pixel")
    _, attributes = written(tmp_path / "a.zarr", np.ones((4, 5), np.uint8), geometry)
    assert attributes["multiscales"][0]["axes"] == [
        {"name": "y", "type": "space"},
        {"name": "x", "type": "space"},
    ]


@pytest.mark.parametrize("shape", [(600, 20, 300), (9, 700, 700), (1, 1, 1100), (700, 1, 2)])
@pytest.mark.parametrize("spacing", [(5.0, 1.0, 1.0), (1.0, 9.0, 3.0)])
def test_coarser_levels_show_the_voxels_that_they_stand_for(tmp_path, shape, spacing):
    geometry = Geometry.from_spacing(spacing, shape, origin=(1.0, 2.0, 3.0))
    labels = np.random.default_rng(0).integers(0, 3, shape).astype(np.uint8)
    group, attributes = written(tmp_path / "a.ome.zarr", labels, geometry)
    datasets = attributes["multiscales"][0]["datasets"]
    assert len(datasets) > 1
    for dataset in datasets:
        array = np.asarray(group[dataset["path"]])
        scale, translation = dataset["coordinateTransformations"]
        step = np.round(np.array(scale["scale"]) / spacing).astype(int)
        assert translation["translation"] == [1.0, 2.0, 3.0]
        assert np.array_equal(array, labels[tuple(slice(None, None, s) for s in step)])
    assert max(np.asarray(group[datasets[-1]["path"]]).shape) <= 256
