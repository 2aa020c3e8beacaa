"""Sizes of classes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from napari_sslseg.formats import export
from napari_sslseg.formats.volume_table import class_volumes
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

CLASSES = ClassTable(
    [SegmentClass(1, 'The "liver", left', "#ff8000"), SegmentClass(3, "骨", "#000000")]
)


def labels_of(shape):
    labels = np.zeros(shape, np.uint8)
    labels.flat[:7] = 1
    labels.flat[7] = 255
    return labels


def test_millilitres_in_every_orientation(case):
    geometry = Geometry(case.affine, case.labels.shape)
    one, two = class_volumes(labels_of(case.labels.shape), geometry, CLASSES)
    assert (one.voxels, two.voxels) == (7, 0)
    assert one.ml == pytest.approx(7 * np.prod(case.spacing) / 1000, rel=1e-12)
    assert two.ml == 0


def test_sheared_voxels_are_measured_rightly():
    affine = np.diag([1.0, 1.0, 5.0, 1.0])
    affine[1, 2] = 2.0  # slices shift, as with a tilted gantry
    (one, _) = class_volumes(labels_of((2, 3, 4)), Geometry(affine, (2, 3, 4)), CLASSES)
    assert one.ml == pytest.approx(7 * 5 / 1000)


def test_units_are_converted_and_pixels_have_no_size():
    shape = (2, 3, 4)
    micro = Geometry.from_spacing((500.0, 500.0, 500.0), shape, units="um")
    assert class_volumes(labels_of(shape), micro, CLASSES)[0].ml == pytest.approx(7 * 0.125 / 1000)
    pixel = Geometry.from_spacing((1.0, 1.0, 1.0), shape, units="pixel")
    assert class_volumes(labels_of(shape), pixel, CLASSES)[0].ml is None


def test_a_plane_is_measured_in_square_millimetres(tmp_path):
    labels = labels_of((5, 6))
    volume = Volume(labels, Geometry.from_spacing((0.5, 2.0), (5, 6)))
    (path,) = export(tmp_path / "a.csv", labels, volume, CLASSES)
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert rows[0] == {"id": "1", "class": 'The "liver", left', "voxels": "7", "mm2": "7"}


def test_csv_and_json_say_the_same(tmp_path):
    labels = labels_of((4, 5, 6))
    volume = Volume(labels, Geometry(np.diag([0.7, 1.3, 5.0, 1.0]), (4, 5, 6)))
    (table,) = export(tmp_path / "a.csv", labels, volume, CLASSES)
    (record,) = export(tmp_path / "a.json", labels, volume, CLASSES)
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = json.loads(record.read_text(encoding="utf-8"))["classes"]
    assert [r["class"] for r in rows] == [r["name"] for r in found] == ['The "liver", left', "骨"]
    for row, entry in zip(rows, found, strict=True):
        assert int(row["voxels"]) == entry["voxels"]
        assert float(row["ml"]) == pytest.approx(entry["ml"])
    assert found[0]["ml"] == pytest.approx(7 * 4.55 / 1000)
