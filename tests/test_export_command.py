"""``napari-sslseg export``."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from typer.testing import CliRunner

from napari_sslseg.cli import app
from napari_sslseg.command_errors import UsageError
from napari_sslseg.formats import FormatError

SHAPE = (8, 9, 7)
AFFINE = np.array([[0, -0.7, 0, 10], [1.3, 0, 0, -20], [0, 0, 5, 30], [0, 0, 0, 1.0]])


@pytest.fixture
def scan(tmp_path):
    """Write an image, and labels of it in other axes."""
    array = np.random.default_rng(0).integers(0, 99, SHAPE).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:5, 3:7, 1:6] = 1
    labels[6, 1, 2] = 3
    nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / "Jane_Doe.nii.gz")
    nib.save(nib.as_closest_canonical(nib.Nifti1Image(labels, AFFINE)), tmp_path / "labels.nii")
    return tmp_path, labels


def run(*arguments):
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_labels_are_converted_onto_the_grid_of_the_image(scan):
    folder, labels = scan
    image = folder / "Jane_Doe.nii.gz"
    found = run(folder / "labels.nii", folder / "out.nrrd", "--image", image, "--name", "1=Liver")
    assert found["format"] == "nrrd"
    assert found["losses"] == []
    assert found["files"] == [str(folder / "out.nrrd"), str(folder / "out.provenance.json")]
    one, other = sitk.ReadImage(str(image)), sitk.ReadImage(str(folder / "out.nrrd"))
    np.testing.assert_allclose(one.GetOrigin(), other.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(one.GetDirection(), other.GetDirection(), atol=1e-6)
    assert np.array_equal(sitk.GetArrayFromImage(other).T, labels)
    record = json.loads((folder / "out.provenance.json").read_text())
    assert [row["name"] for row in record["classes"]] == ["Liver", "Class 3"]
    assert len(record["image"]["sha256"]) == 64


def test_one_file_a_class_and_nobody_named(scan):
    folder, _ = scan
    found = run(
        *(folder / "labels.nii", folder / "out", "--image", folder / "Jane_Doe.nii.gz"),
        *("--format", "stl", "--name", "1=Liver", "--anonymous"),
    )
    assert [p.rsplit("/", 1)[1] for p in found["files"]] == [
        "out_Liver.stl",
        "out_Class_3.stl",
        "out.provenance.json",
    ]
    assert "Jane" not in (folder / "out.provenance.json").read_text()


def test_dicom_from_nifti_is_refused_with_a_sentence(scan):
    folder, _ = scan
    with pytest.raises(FormatError, match="did not come from DICOM"):
        run(folder / "labels.nii", folder / "out.dcm", "--image", folder / "Jane_Doe.nii.gz")
    with pytest.raises(FormatError, match="named as 1=Liver"):
        run(
            *(folder / "labels.nii", folder / "out.nii", "--image", folder / "Jane_Doe.nii.gz"),
            *("--name", "Liver"),
        )


def test_labels_become_a_segmentation_of_the_series(tmp_path):
    hd = pytest.importorskip("highdicom")
    from .formats.dicom_files import write_series

    write_series(tmp_path / "scan", np.zeros((4, 6, 5), np.int16), step=(0, 0, 2))
    labels = np.zeros((5, 6, 4), np.uint8)
    labels[1, 2, 3] = 4
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "labels.nii.gz")
    path = next((tmp_path / "scan").iterdir())
    run(tmp_path / "labels.nii.gz", tmp_path / "a.dcm", "--image", path, "--name", "4=Liver")
    data = hd.seg.segread(tmp_path / "a.dcm")
    assert data.SegmentSequence[0].SegmentLabel == "Liver"
    position = data.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
    assert list(position.ImagePositionPatient) == [0, 0, 6]
    assert np.argwhere(data.pixel_array).tolist() == [[2, 1]]
    again = run(tmp_path / "a.dcm", tmp_path / "b.nii", "--image", path)
    found = nib.load(tmp_path / "b.nii")
    assert np.array_equal(np.asanyarray(found.dataobj) > 0, labels > 0)
    np.testing.assert_allclose(found.affine, affine)
    assert not again["resampled"]


def test_a_structure_set_becomes_labels_and_references(tmp_path, capsys):
    from napari_sslseg.formats import read
    from napari_sslseg.propose_inputs import read_references

    from .formats.dicom_files import write_series, write_structure_set

    write_series(tmp_path / "scan", np.zeros((4, 6, 5), np.int16), step=(0, 0, 2))
    square = np.array([(1, 1, 4), (3, 1, 4), (3, 4, 4), (1, 4, 4)]) - [0.5, 0.5, 0]
    plan = write_structure_set(tmp_path / "rt.dcm", {"Heart": [square], "Cord": [square[:1]]})
    report = run(plan, tmp_path / "a.dcm", "--image", tmp_path / "scan", "--format", "rtstruct")
    assert "Points and open lines of Cord" in report["remarks"][0]
    data = pydicom.dcmread(tmp_path / "a.dcm")
    assert data.StructureSetROISequence[0].ROIName == "Heart"
    assert list(data.ROIContourSequence[0].ROIDisplayColor) == [255, 30, 0]
    image = read(tmp_path / "scan")
    wanted = np.full((5, 6, 4), 255)
    wanted[..., 2] = 0
    wanted[1:3, 1:4, 2] = 1
    for path in (plan, tmp_path / "a.dcm"):
        found = read_references(path, image, None)
        assert found.axis == 2
        assert found.names == {1: "Heart"}
        assert np.array_equal(found.ink, wanted)
    assert "Cord" in capsys.readouterr().err


def test_regions_are_chosen_by_name_and_numbered_in_that_order(tmp_path, command_line):
    from .formats.dicom_files import write_series, write_structure_set

    write_series(tmp_path / "scan", np.zeros((4, 20, 20), np.int16), step=(0, 0, 2))
    corners = np.array([(0, 0, 4), (1, 0, 4), (1, 1, 4), (0, 1, 4)])

    def square(low, high):
        return [corners * (high - low, high - low, 1) + (low - 0.5, low - 0.5, 0)]

    def exported(regions, *words):
        plan = write_structure_set(tmp_path / "rt.dcm", regions)
        out = tmp_path / "out.nii"
        done = command_line("export", plan, out, "--image", tmp_path / "scan", *words)
        if done.returncode:
            assert done.returncode == 2
            assert done.stderr.count("\n") == 1, done.stderr
            return done.stderr, None
        plane = np.asanyarray(nib.load(out).dataobj)[..., 2]
        return json.loads(done.stdout), {int(v): int((plane == v).sum()) for v in np.unique(plane)}

    two = {"BODY": square(1, 19), "Heart": square(2, 6), "Cord": square(8, 10)}
    report, sizes = exported(two)
    assert report["classes"] == {"1": "Heart", "2": "Cord"}
    assert sizes == {0: 380, 1: 16, 2: 4}
    assert report["remarks"] == [
        "BODY left out: it outlines the body; name it with --region to take it."
    ]
    report, sizes = exported(two, "--region", "cord", "--region", "BODY")
    assert report["classes"] == {"1": "Cord", "2": "BODY"}
    assert sizes == {0: 400 - 324, 1: 4, 2: 320}
    beyond = {"Liver": [np.add(corners, (0, 0, 90))]}
    report, _ = exported(two | beyond, "--region", "Liver", "--region", "Cord")
    assert report["classes"] == {"2": "Cord"}
    assert exported({"BODY": square(1, 19)})[0]["classes"] == {"1": "BODY"}
    many = {f"Organ {n}": square(3 * n, 3 * n + 2) for n in range(6)}
    assert len(exported(many)[0]["classes"]) == 6  # none hides another
    many["Ring"] = square(0, 12)
    said, _ = exported(many)
    assert "has 7 regions, some of which overlap: Organ 0, Organ 1" in said
    assert "--region all" in said
    assert len(exported(many, "--region", "all")[0]["classes"]) == 7
    said, _ = exported(many, "--region", "Lung")
    assert "has no region “Lung”; it has: Organ 0, Organ 1," in said


def test_segments_are_chosen_by_name_and_other_files_have_none(tmp_path, command_line):
    pytest.importorskip("highdicom")
    from .formats.dicom_files import write_series

    write_series(tmp_path / "scan", np.zeros((4, 6, 5), np.int16), step=(0, 0, 2))
    labels = np.zeros((5, 6, 4), np.uint8)
    labels[1, 2, 3], labels[2, 2, 3] = 1, 2
    nib.save(nib.Nifti1Image(labels, np.diag([-1.0, -1, 2, 1])), tmp_path / "a.nii")
    names = ("--name", "1=Liver", "--name", "2=Spleen")
    image = ("--image", tmp_path / "scan")
    run(tmp_path / "a.nii", tmp_path / "seg.dcm", *image, *names)
    found = run(tmp_path / "seg.dcm", tmp_path / "b.nii", *image, "--region", "Spleen")
    assert found["classes"] == {"1": "Spleen"}
    data = np.asanyarray(nib.load(tmp_path / "b.nii").dataobj)
    assert np.array_equal(data, labels == 2)
    words = ("export", tmp_path / "a.nii", tmp_path / "c.nii", *image, "--region", "Spleen")
    done = command_line(*words)
    assert done.returncode == 2
    assert "has no regions to choose from" in done.stderr


def test_what_cannot_be_exported_is_one_sentence(scan, command_line):
    folder, _ = scan
    (folder / "folder.nii.gz").mkdir()
    (folder / "file").write_text("x")
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    labels, image = folder / "labels.nii", folder / "Jane_Doe.nii.gz"
    for output, words, sentence in (
        ("o.nii.gz", ["--name", "999=Liver"], "labels.nii has no class 999 to be named; it has 1"),
        ("o.nii.gz", ["--name", "²=Liver"], "A class is named as 1=Liver"),
        ("o.nii.gz", ["--name", "1=A", "--name", "01=B"], "Class 1 is named 'A' and 'B'; give one"),
        ("none/o.nii.gz", [], "o.nii.gz cannot be written: the folder"),
        ("file/o.nii.gz", [], "o.nii.gz cannot be written: the folder"),
        ("folder.nii.gz", [], "it is a folder"),
        ("folder", ["--format", "nifti"], "folder.nii.gz cannot be written: it is a folder"),
        ("labels.nii", [], "labels.nii would be overwritten"),
        ("Jane_Doe.nii.gz", [], "Jane_Doe.nii.gz would be overwritten"),
        (
            "Jane.nii.gz",
            ["--per-class", "--name", "1=Doe"],
            "Jane_Doe.nii.gz would be overwritten",
        ),
        ("o.xyz", [], "its suffix is none of"),
    ):
        done = command_line("export", labels, folder / output, "--image", image, *words)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
    after = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before


def test_an_option_that_changes_nothing_is_told(scan, command_line):
    folder, _ = scan
    words = ("export", folder / "labels.nii", folder / "o.csv", "--image")
    done = command_line(*words, folder / "Jane_Doe.nii.gz", "--per-class", "--name", "1=A")
    assert done.returncode == 0
    assert done.stderr == "Note: --per-class changes nothing: Table of volumes (CSV) is one file.\n"


def test_object_of_255_is_exported_and_that_is_said(scan, command_line):
    folder, labels = scan
    mask = (labels > 0).astype(np.uint8)
    nib.save(nib.Nifti1Image(mask * np.uint8(255), AFFINE), folder / "m.nii")
    image = folder / "Jane_Doe.nii.gz"
    done = command_line("export", folder / "m.nii", folder / "o.nii", "--image", image)
    assert np.array_equal(np.asarray(nib.load(folder / "o.nii").dataobj), mask)
    assert "255 is taken for class 1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(json.loads(done.stdout)["remarks"]) == 1


def test_labels_that_would_become_empty_are_refused(scan):
    folder, _ = scan
    values = np.zeros((4, *SHAPE[1:]), np.uint8)  # half of the image, and no class in it
    nib.save(nib.Nifti1Image(values, AFFINE), folder / "m.nii")
    with pytest.raises(FormatError, match=r"m\.nii holds nothing but background and voxels"):
        run(folder / "m.nii", folder / "o.nii", "--image", folder / "Jane_Doe.nii.gz")
    assert not (folder / "o.nii").exists()


def test_the_voxels_of_a_detached_header_are_not_overwritten(scan, command_line):
    folder, _ = scan
    sitk.WriteImage(sitk.ReadImage(str(folder / "Jane_Doe.nii.gz")), str(folder / "c.mhd"), True)
    (folder / "c.mhd").rename(folder / "image.mhd")
    (folder / "s.mtl").write_text("of somebody else")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    for name, sentence in (("c.mhd", "c.zraw would be overwritten"), ("s.obj", "s.mtl beside it")):
        words = (folder / "labels.nii", folder / name, "--image", folder / "image.mhd")
        done = command_line("export", *words)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    found = run(folder / "labels.nii", folder / "o.obj", "--image", folder / "image.mhd")
    names = [path.rsplit("/", 1)[1] for path in found["files"]]
    assert names == ["o.obj", "o.mtl", "o.provenance.json"]
    again = run(folder / "labels.nii", folder / "o.obj", "--image", folder / "image.mhd")
    assert again["files"] == found["files"]


def test_no_file_of_a_series_is_overwritten(tmp_path, command_line):
    pytest.importorskip("highdicom")
    from .formats.dicom_files import write_series

    write_series(tmp_path / "scan", np.zeros((4, 6, 5), np.int16), step=(0, 0, 2))
    labels = np.zeros((5, 6, 4), np.uint8)
    labels[1, 2, 3] = 4
    nib.save(nib.Nifti1Image(labels, np.diag([-1.0, -1.0, 2.0, 1.0])), tmp_path / "labels.nii.gz")
    first, *_, last = sorted((tmp_path / "scan").iterdir())
    before = last.read_bytes()
    for image in (tmp_path / "scan", first):
        done = command_line("export", tmp_path / "labels.nii.gz", last, "--image", image)
        assert done.returncode == 2
        assert f"{last.name} would be overwritten" in done.stderr
    assert last.read_bytes() == before


def test_errors_name_the_option_that_helps(scan):
    folder, labels = scan
    image = folder / "Jane_Doe.nii.gz"
    nib.save(nib.Nifti1Image(labels, np.diag([2.0, 2, 2, 1])), folder / "far.nii")
    with pytest.raises(UsageError, match=r"far\.nii is on another grid than the image: its shape"):
        run(folder / "far.nii", folder / "o.nii", "--image", image)
    with pytest.raises(UsageError, match=r"mm off; use --resample, or give labels on"):
        run(folder / "far.nii", folder / "o.nii", "--image", image)
    times = np.zeros((*SHAPE, 12), np.int16)
    nib.save(nib.Nifti1Image(times, AFFINE), folder / "times.nii")
    with pytest.raises(UsageError, match=r"choose one of them \(1 = .*\); use --series\."):
        run(folder / "labels.nii", folder / "o.nii", "--image", folder / "times.nii")


def test_remarks_on_image_and_labels_are_told(scan, command_line):
    folder, labels = scan
    np.save(folder / "l.npy", labels)
    nib.save(nib.Nifti1Image(np.zeros((*SHAPE, 2), np.int16), AFFINE), folder / "two.nii")
    words = (folder / "l.npy", folder / "o.nii", "--image", folder / "two.nii")
    done = command_line("export", *words)
    one, other = done.stderr.splitlines()
    assert one.startswith(f"Note: {folder / 'two.nii'}: The fourth axis of the file")
    assert other.startswith(f"Note: {folder / 'l.npy'}: Placed by its shape alone, as the file")
    assert len(json.loads(done.stdout)["remarks"]) == 2
