"""The record beside an export."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from napari_sslseg import __version__
from napari_sslseg.formats import provenance
from napari_sslseg.formats.provenance import (
    ORIGINS,
    ImageIdentity,
    Provenance,
    content_digest,
    count_origins,
)
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry

CLASSES = ClassTable([SegmentClass(1, "Liver", "#ff0000"), SegmentClass(4, "骨", "#00ff00")])


def test_digest_is_that_of_the_voxels_however_they_lie():
    array = np.random.default_rng(0).integers(0, 9, (4, 5, 6)).astype(np.int16)
    plain = hashlib.sha256(array.tobytes()).hexdigest()
    assert content_digest(array) == plain
    assert content_digest(np.asfortranarray(array)) == plain
    assert content_digest(array[::-1]) == hashlib.sha256(array[::-1].tobytes()).hexdigest()
    array[1, 2, 3] += 1
    assert content_digest(array) != plain


def test_voxels_are_counted_by_class_and_origin():
    generator = np.random.default_rng(0)
    labels = generator.choice([0, 1, 4], (4, 5, 6)).astype(np.uint8)
    origins = generator.integers(0, len(ORIGINS), labels.shape).astype(np.uint8)
    found = count_origins(labels, origins)
    assert sorted(found) == [0, 1, 4]
    for class_id, counts in found.items():
        for code, count in enumerate(counts):
            assert count == ((labels == class_id) & (origins == code)).sum()


def test_record_says_where_labels_come_from_and_names_nobody(tmp_path):
    geometry = Geometry.from_spacing((2.0, 0.5, 0.5), (4, 5, 6))
    known = Provenance(
        ImageIdentity.of(geometry, "abc", 3),
        image_name="Jane Doe",
        origins={0: np.array([5, 4, 3, 2, 1]), 4: np.array([0, 10, 20, 30, 40])},
        accepted={"axis": 2, "slices": [1, 5]},
        proposal={
            "name": "SemSim",
            "version": 3,
            "info": {"preset": "auto", "thresholds": [0.5], "source": "/home/jane/doe.dcm"},
        },
        estimate={"mean": 0.9},
        rounds=2,
    )
    data = provenance.record(known, CLASSES, export="NIfTI", files=("jane.nii",), anonymous=True)
    provenance.write(tmp_path / "a.json", data)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "ane" not in text
    found = json.loads(text)
    assert found["image"]["sha256"] == "abc"
    assert (found["image"]["shape"], found["image"]["spacing"]) == ([4, 5, 6], [2.0, 0.5, 0.5])
    liver, bone = found["classes"]
    assert bone["voxels"] == {
        "unlabelled": 0,
        "inked": 10,
        "accepted": 20,
        "corrected": 30,
        "proposed": 40,
    }
    assert sum(liver["voxels"].values()) == 0
    assert liver["code"] == {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    assert sum(found["background"].values()) == 15
    assert found["software"]["napari-sslseg"] == __version__
    assert found["proposal"] == {
        "name": "SemSim",
        "version": 3,
        "preset": "auto",
        "thresholds": [0.5],
    }
    assert found["estimated_dice"] == {"mean": 0.9}
    assert found["accepted"] == {"axis": 2, "slices": [1, 5]}
    named = provenance.record(known, CLASSES, export="NIfTI", files=("jane.nii",))
    assert named["image"]["name"] == "Jane Doe"
    assert named["labels"]["files"] == ["jane.nii"]


def test_record_without_counts_claims_none():
    geometry = Geometry.from_spacing((1.0, 1.0), (4, 5))
    data = provenance.record(Provenance(ImageIdentity.of(geometry)), CLASSES, export="TIFF")
    assert all("voxels" not in row for row in data["classes"])
    assert data["origins"] == data["background"] == {}
    json.dumps(data)
