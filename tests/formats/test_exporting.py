"""Exports: one file or one a class, in every format, with a record."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.formats import FORMATS, FormatError, export, format_for, losses, why_not
from napari_sslseg.formats.exporting import named
from napari_sslseg.formats.provenance import ImageIdentity, Provenance
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

CLASSES = ClassTable(
    [
        SegmentClass(1, "Liver", "#ff0000"),
        SegmentClass(2, "a/b: c", "#00ff00"),
        SegmentClass(3, "LIVER", "#0000ff"),
        SegmentClass(4, "Absent", "#0000ff"),
        SegmentClass(9, "…", "#0000ff"),
    ]
)
SHAPE = (6, 7, 8)


def volume(affine=None, **options):
    affine = np.diag([0.7, 1.3, 5.0, 1.0]) if affine is None else affine
    return Volume(np.zeros(SHAPE, np.int16), Geometry(affine, SHAPE, **options))


def labels():
    return np.random.default_rng(0).choice([0, 1, 2, 3, 9, 255], SHAPE).astype(np.uint8)


def test_one_binary_file_a_class_named_by_the_class(tmp_path):
    paths = export(tmp_path / "scan.nii.gz", labels(), volume(), CLASSES, per_class=True)
    assert [p.name for p in paths] == [
        "scan_Liver.nii.gz",
        "scan_a_b_c.nii.gz",
        "scan_LIVER_3.nii.gz",  # file names that differ in case alone are one on some disks
        "scan_9.nii.gz",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(p.name for p in paths)
    for path, class_id in zip(paths, (1, 2, 3, 9), strict=True):
        image = nib.load(path)
        assert np.array_equal(np.asanyarray(image.dataobj), labels() == class_id)
        np.testing.assert_allclose(image.affine, volume().geometry.affine, rtol=1e-6)


def test_the_format_follows_from_the_suffix_or_is_chosen(tmp_path):
    assert format_for("a/b.OME.TIF").key == "ome-tiff"
    assert format_for("b.tiff").key == "tiff"
    assert format_for("b.dcm").key == "dicom-seg"
    assert format_for("b.dcm", "rtstruct").key == "rtstruct"
    for kind in FORMATS:
        assert format_for(f"x{kind.suffixes[0]}", kind.key) is kind
    with pytest.raises(FormatError, match="suffix is none of"):
        format_for("a.gif")
    with pytest.raises(FormatError, match="choose one of nifti"):
        format_for("a.nii", "gif")


def test_names_get_the_suffix_of_the_format():
    nrrd = format_for("", "nrrd")
    assert named("/x/a.nii.gz", nrrd).name == "a.nrrd"
    assert named("/x/a.v2", nrrd).name == "a.v2.nrrd"
    assert named("/x/a.nhdr", nrrd).name == "a.nhdr"
    assert named("/x/a.ome.tif", nrrd).name == "a.nrrd"


@pytest.mark.parametrize(
    "kind", [k for k in FORMATS if k.suffixes != (".dcm",)], ids=lambda k: k.key
)
def test_every_format_writes_a_record_of_itself(tmp_path, kind):
    if kind.key == "ome-zarr":
        pytest.importorskip("zarr")
    record = Provenance(ImageIdentity.of(volume().geometry, "abc"), "scan of Jane")
    *files, sidecar = export(
        tmp_path / "jane", labels(), volume(), CLASSES, kind=kind, provenance=record
    )
    assert sidecar.name == "jane.provenance.json"
    found = json.loads(sidecar.read_text(encoding="utf-8"))
    assert found["labels"]["files"] == [p.name for p in files]
    assert all(p.exists() for p in files)
    assert found["labels"]["losses"] == losses(kind.key, volume())
    assert found["image"]["name"] == "scan of Jane"
    export(
        tmp_path / "x", labels(), volume(), CLASSES, kind=kind, provenance=record, anonymous=True
    )
    assert "ane" not in (tmp_path / "x.provenance.json").read_text(encoding="utf-8")


def test_labels_that_do_not_fit_are_refused_before_anything_is_written(tmp_path):
    for bad, words in ((np.zeros((2, 3, 4), np.uint8), "shape"), (labels() * 0.5, "whole numbers")):
        with pytest.raises(FormatError, match=words):
            export(tmp_path / "a.nii", bad, volume(), CLASSES)
    with pytest.raises(FormatError, match="no voxel belongs to any class"):
        export(tmp_path / "a.nii", labels() * 0, volume(), CLASSES, per_class=True)
    for key in ("dicom-seg", "rtstruct"):
        told = why_not(format_for("", key), volume())
        assert "did not come from DICOM" in told
        assert told.endswith("Choose another format.")
        with pytest.raises(FormatError, match="did not come from DICOM"):
            export(tmp_path / "a", labels(), volume(), CLASSES, kind=format_for("", key))
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold_is_said():
    turned = np.eye(4)
    c, s = np.cos(0.2), np.sin(0.2)
    turned[:2, :2] = [[c, -s], [s, c]]
    oblique = volume(turned)
    sheared = np.eye(4)
    sheared[1, 2] = 0.3
    stack = Volume(np.zeros(SHAPE), Geometry.from_spacing((1.0, 1.0, 1.0), SHAPE, units="pixel"))
    placed = Volume(
        np.zeros(SHAPE), Geometry.from_spacing((1.0, 1.0, 1.0), SHAPE, origin=(1, 2, 3))
    )
    for key in ("nifti", "nrrd", "metaimage", "dicom-seg"):
        assert losses(key, oblique) == []
    assert "right angles" in losses("nrrd", volume(sheared))[0]
    assert losses("nifti", volume(sheared)) == []
    assert len(losses("tiff", oblique)) == 2
    assert "oblique" in losses("ome-tiff", oblique)[1]
    assert losses("tiff", stack) == []
    assert "position" in losses("tiff", placed)[0]
    assert "straightened" in losses("ome-zarr", oblique)[0]
    assert "keeps its place" in losses("ome-zarr", volume())[0]
    assert losses("ome-zarr", placed) == []
    assert "one millimetre" in losses("nifti", stack)[0]
    assert "voxel size, position" in losses("npy", stack)[0]
    assert len(losses("csv", stack)) == 2
    assert len(losses("csv", volume())) == 1
    for kind in FORMATS:
        for like in (oblique, stack, placed, volume(sheared), volume(units="um")):
            for sentence in losses(kind.key, like):
                assert sentence.endswith(".")
                assert ". " not in sentence.replace("0.4 ", "")


def test_sheared_axes_are_written_as_they_are(tmp_path):
    import SimpleITK as sitk

    affine = np.diag([0.7, 1.3, 5.0, 1.0])
    affine[1, 2] = 1.5  # a tilted gantry
    like = volume(affine)
    for suffix in (".nii", ".nrrd", ".mha"):
        (path,) = export(tmp_path / f"a{suffix}", labels(), like, CLASSES)
        if suffix == ".nii":
            found = nib.load(path).affine[:3, :3]
        else:
            image = sitk.ReadImage(str(path))
            lps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
            found = np.diag([-1.0, -1.0, 1.0]) @ lps
        np.testing.assert_allclose(found, affine[:3, :3], atol=1e-5)


def test_a_value_without_a_class_gets_a_file_and_a_line_of_its_own(tmp_path):
    values = np.zeros(SHAPE, np.uint8)
    values[:3], values[3:] = 1, 7
    paths = export(tmp_path / "a.nii.gz", values, volume(), CLASSES, per_class=True)
    assert [p.name for p in paths] == ["a_Liver.nii.gz", "a_Class_7.nii.gz"]
    (table,) = export(tmp_path / "a.csv", values, volume(), CLASSES)
    assert "Class 7" in table.read_text()
    names = [p.name for p in export(tmp_path / "a.stl", values, volume(), CLASSES)]
    assert "a_Class_7.stl" in names
    assert 7 not in CLASSES


def recorded(path, **options):
    """Export with a record; returns the names of what was written, the record last."""
    known = Provenance(ImageIdentity.of(volume().geometry), "")
    return [p.name for p in export(path, labels(), volume(), CLASSES, provenance=known, **options)]


@pytest.mark.parametrize("anonymous", [False, True])
def test_every_export_of_a_name_keeps_its_record(tmp_path, anonymous):
    for _ in range(2):  # the second time each replaces its own
        for name, per_class, record in (
            ("x.nii.gz", False, "x.provenance.json"),
            ("x.nrrd", False, "x.nrrd.provenance.json"),
            ("x.nii", False, "x.nii.provenance.json"),
            ("x.nii.gz", True, "x.nii.gz.provenance.json"),
            ("x.nrrd", True, "x.nrrd.2.provenance.json"),
        ):
            *files, found = recorded(tmp_path / name, per_class=per_class, anonymous=anonymous)
            assert found == record
            said = json.loads((tmp_path / found).read_text(encoding="utf-8"))["labels"]
            assert said.get("files", files) == files
            assert name.endswith(said["suffix"])
            assert said["per_class"] == per_class
    assert len(list(tmp_path.glob("*.provenance.json"))) == 5


def test_record_of_files_that_are_gone_is_replaced_and_a_foreign_one_is_not(tmp_path):
    recorded(tmp_path / "x.nii")
    (tmp_path / "x.nii").unlink()
    assert recorded(tmp_path / "x.nrrd")[-1] == "x.provenance.json"
    for n, text in enumerate(("not ours", "[]", '{"labels": 3}')):
        (tmp_path / f"y{n}.provenance.json").write_text(text)
        assert recorded(tmp_path / f"y{n}.nii")[-1] == f"y{n}.nii.provenance.json"
        assert (tmp_path / f"y{n}.provenance.json").read_text() == text


@pytest.mark.parametrize("length", [300, 245])  # of the file, or of its record alone
@pytest.mark.parametrize("suffix", [".nii.gz", ".stl", ".ome.tif"])
def test_too_long_a_name_is_one_sentence(tmp_path, length, suffix):
    path = tmp_path / ("x" * length + suffix)
    with pytest.raises(FormatError, match="the name is too long; choose a shorter one") as caught:
        recorded(path)
    assert str(caught.value).count(". ") == 0
    assert list(tmp_path.iterdir()) == []
