"""Labels are called as the file, or the record beside it, calls them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_sslseg.formats import export, write_labels
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.formats.label_names import label_names
from napari_sslseg.formats.provenance import ImageIdentity, Provenance
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

SHAPE = (4, 6, 5)
CLASSES = ClassTable([SegmentClass(1, "RV", "#ff0000"), SegmentClass(3, "LV", "#00ff00")])


def volume():
    labels = np.zeros(SHAPE, np.uint8)
    labels[1, :2], labels[2, 3:] = 1, 3
    return Volume(labels, Geometry.from_spacing((1, 1, 1), SHAPE))


def slicer(path, fields):
    """Write an NRRD file, and into its header what Slicer says of segments."""
    write_labels(path, volume().array, volume())
    content = path.read_bytes()
    end = content.index(b"\n\n")
    lines = "".join(f"\n{name}:={value}" for name, value in fields.items())
    path.write_bytes(content[:end] + lines.encode() + content[end:])
    return path


def test_slicer_segments_have_names(tmp_path):
    fields = {"Segment0_LabelValue": 3, "Segment0_Name": "Left Ventricle", "Segment0_Layer": 0}
    fields |= {"Segment1_LabelValue": 1, "Segment1_Name": "Cœur droit", "Segment1_Layer": 0}
    path = slicer(tmp_path / "a.seg.nrrd", fields)
    assert label_names(path) == {3: "Left Ventricle", 1: "Cœur droit"}
    found = import_labels(path, volume(), classes=CLASSES)
    assert set(found.names.values()) == {"Left Ventricle", "Cœur droit"}
    assert not {1, 3} & set(found.names)  # which are other classes


def test_segments_in_several_layers_are_not_told_by_their_values(tmp_path):
    fields = {"Segment0_LabelValue": 1, "Segment0_Name": "A", "Segment0_Layer": 0}
    fields |= {"Segment1_LabelValue": 1, "Segment1_Name": "B", "Segment1_Layer": 1}
    assert label_names(slicer(tmp_path / "a.seg.nrrd", fields)) == {}


@pytest.mark.parametrize("anonymous", [False, True])
def test_the_record_of_an_export_names_its_labels(tmp_path, anonymous):
    record = Provenance(ImageIdentity.of(volume().geometry))
    path = tmp_path / "a.nii.gz"
    export(path, volume().array, volume(), CLASSES, provenance=record, anonymous=anonymous)
    assert label_names(path) == {1: "RV", 3: "LV"}
    other = tmp_path / "a_other.nii.gz"
    write_labels(other, volume().array, volume())
    assert label_names(other) == {}
    table = ClassTable([SegmentClass(1, "lv", "#ff0000"), SegmentClass(2, "rv", "#00ff00")])
    found = import_labels(path, volume(), classes=table)
    assert np.array_equal(found.labels, np.choose(volume().array, (0, 2, 0, 1)))
    assert found.names == {1: "LV", 2: "RV"}
    assert np.array_equal(import_labels(path, volume()).labels, volume().array)


def test_a_record_of_one_file_a_class_names_nothing(tmp_path):
    record = Provenance(ImageIdentity.of(volume().geometry))
    path = tmp_path / "a.nii.gz"
    files = export(path, volume().array, volume(), CLASSES, provenance=record, per_class=True)
    assert label_names(files[0]) == {}


def test_ome_zarr_names_its_labels_but_not_by_made_up_names(tmp_path):
    pytest.importorskip("zarr")
    table = ClassTable([SegmentClass(1, "RV", "#ff0000"), SegmentClass(3, "Class 3", "#00ff00")])
    export(tmp_path / "a.ome.zarr", volume().array, volume(), table)
    assert label_names(tmp_path / "a.ome.zarr") == {1: "RV"}


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"labels": {}}), "3"])
def test_what_is_no_record_says_nothing(tmp_path, text):
    path = tmp_path / "a.nii.gz"
    write_labels(path, volume().array, volume())
    (tmp_path / "a.provenance.json").write_text(text)
    assert label_names(path) == {}
