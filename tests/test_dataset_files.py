"""Labels and predictions of data sets: which files are taken, and on which grid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import dcmread
from pydicom.uid import generate_uid

from napari_sslseg.dataset_commands import run_evaluate
from napari_sslseg.dataset_files import FormatsReader, find_prediction
from napari_sslseg.dataset_regions import RegionValues
from napari_sslseg.formats import FormatError, export, read
from napari_sslseg.training.dataset.cases import load_case
from napari_sslseg.training.dataset.description import DatasetError, read_dataset
from napari_sslseg.volume.classes import ClassTable, SegmentClass

from .dataset_nifti import AFFINE, write_nifti
from .formats.dicom_files import write_series, write_structure_set
from .training.dataset_files import make_volume, write_dataset

pytest.importorskip("monai")


def _predictions(folder: Path, labels: np.ndarray, affine: np.ndarray) -> Path:
    folder.mkdir()
    nib.save(nib.Nifti1Image(labels, affine), folder / "c4.nii.gz")
    return folder


def _turned(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an array with axes in another order and one reversed, and where it lies."""
    order = nib.orientations.axcodes2ornt(("S", "L", "A"))
    image = nib.Nifti1Image(array, AFFINE).as_reoriented(order)
    return np.asarray(image.dataobj), image.affine


def test_labels_follow_the_grid_of_their_image(tmp_path):
    path = write_nifti(tmp_path)
    dataset, reader = read_dataset(path), FormatsReader()
    entry = dataset.entries["c0"]
    expected = load_case(entry, dataset, reader).target
    labels = make_volume(0)[1]
    nib.save(nib.Nifti1Image(*_turned(labels)), entry.labels)
    assert torch.equal(load_case(entry, dataset, reader).target, expected)
    # A part of the image, voxel on voxel: nothing is said of the rest.
    whole = nib.Nifti1Image(labels, AFFINE)
    nib.save(whole.slicer[:, :, 1:], entry.labels)
    target = load_case(entry, dataset, reader).target
    assert torch.equal(target[1:], expected[1:])
    assert (target[0] == 255).all()
    # Of the same shape, but elsewhere.
    moved = AFFINE.copy()
    moved[0, 3] = 0.4
    nib.save(nib.Nifti1Image(labels, moved), entry.labels)
    with pytest.raises(DatasetError, match="is on another grid than the image") as told:
        load_case(entry, dataset, reader)
    assert str(told.value).endswith(".")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("bare", ["image", "labels"])
def test_shapes_decide_where_a_file_does_not_say_where_it_lies(tmp_path, bare):
    path = write_nifti(tmp_path)
    dataset, reader = read_dataset(path), FormatsReader()
    entry = dataset.entries["c0"]
    expected = load_case(entry, dataset, reader).target
    file = entry.images[0] if bare == "image" else entry.labels
    unsaid = nib.Nifti1Image(np.asarray(nib.load(file).dataobj), None)
    assert (int(unsaid.header["sform_code"]), int(unsaid.header["qform_code"])) == (0, 0)
    nib.save(unsaid, file)
    assert torch.equal(load_case(entry, dataset, reader).target, expected)
    np.save(tmp_path / "c0.npy", make_volume(0)[1])
    array = replace(entry, labels=tmp_path / "c0.npy")
    assert torch.equal(load_case(array, dataset, reader).target, expected)
    np.save(tmp_path / "c0.npy", make_volume(0)[1][..., 1:])
    with pytest.raises(FormatError, match="its shape is 20 × 24 × 4, the image's 20 × 24 × 5, or"):
        load_case(array, dataset, reader)


def test_nrrd_may_say_how_large_voxels_are_and_not_where(tmp_path):
    path, labels = write_nifti(tmp_path), make_volume(0)[1]
    dataset, reader = read_dataset(path), FormatsReader()
    expected = load_case(dataset.entries["c0"], dataset, reader).target
    head = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 20 24 5\nencoding: raw\n"
    found = []
    for extra in ("spacings: 1 1 1\n", "space directions: (1,0,0) (0,1,0) (0,0,1)\n"):
        space = "space: left-posterior-superior\n" if "directions" in extra else ""
        file = tmp_path / f"{len(found)}.nrrd"
        file.write_bytes(f"{head}{space}{extra}\n".encode() + labels.tobytes(order="F"))
        found.append(replace(dataset.entries["c0"], labels=file))
    assert torch.equal(load_case(found[0], dataset, reader).target, expected)
    with pytest.raises(DatasetError, match="its voxels measure 1 × 1 × 1 mm"):
        load_case(found[1], dataset, reader)


@pytest.mark.parametrize("distances", ["mm", "voxels"])
def test_predictions_are_scored_on_the_grid_of_the_image(tmp_path, distances):
    path, truth = write_nifti(tmp_path / "data", distances=distances), make_volume(4)[1]
    turned, affine = _turned(truth)
    summary = run_evaluate(path, _predictions(tmp_path / "turned", turned, affine))["summary"]
    assert summary["mean"]["dice"]["mean"] == 1
    # The labels as well, and scores have the voxel size of the image still.
    nib.save(nib.Nifti1Image(turned, affine), tmp_path / "data" / "c4_gt.nii.gz")
    shifted = _predictions(tmp_path / "shifted", np.roll(truth, 1, axis=2), AFFINE)
    core = run_evaluate(path, shifted)["summary"]["core"]
    assert 0 < core["hd95"]["mean"] <= (3.01 if distances == "mm" else 1.01)
    moved = AFFINE.copy()
    moved[2, 3] = 1.0
    with pytest.raises(DatasetError, match="is on another grid than the image"):
        run_evaluate(path, _predictions(tmp_path / "moved", truth, moved))


def test_predictions_of_pictures_may_lie_on_the_grid_of_their_labels(tmp_path):
    path, truth = write_nifti(tmp_path / "data"), make_volume(4)[1]
    np.save(tmp_path / "data" / "image.npy", make_volume(4)[0])
    volumes = {"c4": {"image": "image.npy", "labels": "c4_gt.nii.gz"}}
    path = write_dataset(
        tmp_path / "data", volumes=volumes, labelled=[], unlabelled=[], validation=["c4"]
    )
    summary = run_evaluate(path, _predictions(tmp_path / "turned", *_turned(truth)))["summary"]
    assert summary["mean"]["dice"]["mean"] == 1


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".PNG", ".npy"])
def test_predictions_of_any_program_are_found(tmp_path, suffix):
    truth = np.zeros((20, 24), np.uint8)
    truth[4:10, 5:12], truth[12:16, 5:12] = 1, 3
    for name in ("a", "a.b"):
        Image.fromarray(truth).save(tmp_path / f"{name}.png")
        Image.fromarray(truth).save(tmp_path / f"{name}_gt.png")
    volumes = [{"image": "{case}.png", "labels": "{case}_gt.png"}]
    lists = {"labelled": [], "unlabelled": [], "validation": ["a"]}
    path = write_dataset(tmp_path, count=0, volumes=volumes, **lists)
    output = tmp_path / "out"
    output.mkdir()
    # Of another case, whose name begins with that of this one.
    nib.save(nib.Nifti1Image(truth, None), output / "a.b.nii.gz")
    with pytest.raises(DatasetError, match="no prediction of a "):
        run_evaluate(path, output)
    if suffix == ".npy":
        np.save(output / f"a{suffix}", truth)
    else:
        Image.fromarray(truth).save(output / f"a{suffix}")
    assert run_evaluate(path, output)["summary"]["mean"]["dice"]["mean"] == 1
    Image.fromarray(truth).save(output / "a.tif")
    with pytest.raises(DatasetError, match=r"a\.tif are both predictions of a; move one of them"):
        run_evaluate(path, output)


def test_every_case_of_a_list_is_scored_or_the_list_is_refused(tmp_path):
    path = write_nifti(tmp_path / "data", validation=["c3", "c4"])
    (tmp_path / "data" / "c3_gt.nii.gz").unlink()
    with pytest.raises(DatasetError, match="c3 of the validation list has no labels"):
        run_evaluate(path, _predictions(tmp_path / "out", make_volume(4)[1], AFFINE))


def _outlined(folder: Path, regions: dict, **changes) -> Path:
    """Write a data set of one series of 6 slices, 2 mm apart, and a structure set of it."""
    write_series(folder / "c", np.zeros((6, 20, 24), np.int16), step=(0, 0, 2))
    write_structure_set(folder / "c_gt.dcm", regions)
    volumes = [{"image": "{case}", "labels": "{case}_gt.dcm"}]
    lists = {"labelled": [], "unlabelled": [], "validation": ["c"]}
    return write_dataset(folder, count=0, volumes=volumes, size=[20, 24], **lists | changes)


def _square(low, high, z):
    a, b = low - 0.5, high - 0.5
    return np.array([(a, a, z), (b, a, z), (b, b, z), (a, b, z)])


def test_regions_of_a_structure_set_are_the_classes_of_their_names(tmp_path, capsys):
    ring = [_square(2, 12, z) for z in (2, 4, 8)]
    regions = {"BODY": [_square(0, 19, 4)], "Ring": ring, "CORE": [_square(5, 8, 4)]}
    path = _outlined(tmp_path, regions)
    dataset = read_dataset(path)
    entry = dataset.entries["c"]
    wanted = np.full((6, 24, 20), 255, np.uint8)  # slices, and their columns and rows
    wanted[[1, 2, 4]] = 0
    wanted[[1, 2, 4], 2:12, 2:12] = 1
    wanted[2, 5:8, 5:8] = 2  # the index of the class of value 3
    sized = replace(dataset, size=(24, 20))
    target = load_case(entry, sized, FormatsReader.of(dataset)).target
    assert np.array_equal(target, wanted)
    assert "slices without a contour count as not annotated" in capsys.readouterr().err
    complete = replace(sized, complete_contours=True)
    wanted[[0, 5]] = 0  # and not the one between two contours
    assert np.array_equal(load_case(entry, complete, FormatsReader.of(complete)).target, wanted)
    bits = replace(complete, classes={1: "ring", 2: "core"}, overlapping=True)
    target = load_case(entry, bits, FormatsReader.of(bits)).target
    assert target.shape == (6, 2, 24, 20)
    assert (target[3] == 255).all()
    assert target[:, 0].eq(1).sum() == 300
    assert target[2, :, 5:8, 5:8].eq(1).all()
    # The folder of the series may hold the contours, too.
    (tmp_path / "c_gt.dcm").rename(tmp_path / "c" / "rt.dcm")
    volumes = [{"image": "{case}", "labels": "{case}"}]
    lists = {"labelled": ["c"], "unlabelled": [], "validation": []}
    path = write_dataset(tmp_path, count=0, volumes=volumes, size=[24, 20], **lists)
    both = read_dataset(path)
    wanted[[0, 5]] = 255
    entry = both.entries["c"]
    assert np.array_equal(load_case(entry, both, FormatsReader.of(both)).target, wanted)
    other = replace(sized, classes={1: "liver"})
    with pytest.raises(
        DatasetError, match=r"class \(liver\); it has: BODY, Ring and CORE\."
    ) as told:
        load_case(entry, other, FormatsReader.of(other))
    assert "\n" not in str(told.value)


def test_contours_and_segments_are_scored(tmp_path):
    pytest.importorskip("highdicom")
    path = _outlined(tmp_path, {"Ring": [_square(2, 12, z) for z in (2, 4)]})
    image = read(tmp_path / "c")
    labels = np.zeros((24, 20, 6), np.uint8)
    labels[2:12, 2:12, 1:4] = 1
    classes = ClassTable([SegmentClass(1, "ring", "#ff0000"), SegmentClass(3, "core", "#00ff00")])
    out = tmp_path / "out"
    out.mkdir()
    export(out / "c.dcm", labels, image, classes)
    assert find_prediction(out, read_dataset(path).entries["c"]).name == "c.dcm"
    scores = run_evaluate(path, out)["summary"]["ring"]
    assert scores["dice"]["mean"] == 1  # nothing is known of the slice that the contours leave out
    path = _outlined(
        tmp_path, {"Ring": [_square(2, 12, z) for z in (2, 4)]}, complete_contours=True
    )
    assert run_evaluate(path, out)["summary"]["ring"]["dice"]["mean"] == pytest.approx(0.8)
    # The other way round: what predicted contours leave out is no ring.
    (out / "c.dcm").replace(tmp_path / "c_gt.dcm")
    write_structure_set(out / "c.dcm", {"Ring": [_square(2, 12, z) for z in (2, 4)]})
    assert run_evaluate(path, out)["summary"]["ring"]["dice"]["mean"] == pytest.approx(0.8)


def test_segments_that_overlap_are_classes_that_may(tmp_path):
    hd = pytest.importorskip("highdicom")
    files = write_series(tmp_path / "c", np.zeros((4, 20, 24), np.int16), step=(0, 0, 2))
    masks = np.zeros((4, 20, 24, 2), np.uint8)
    masks[1:3, 2:12, 2:12, 0] = masks[1:3, 5:8, 5:8, 1] = 1
    code = hd.sr.CodedConcept("1", "99TEST", "thing")
    manual = hd.seg.SegmentAlgorithmTypeValues.MANUAL
    segments = [
        hd.seg.SegmentDescription(n, name, code, code, manual)
        for n, name in enumerate(("Ring", "Core"), 1)
    ]
    hd.seg.Segmentation(
        *([dcmread(file) for file in files], masks, "BINARY", segments),
        *(generate_uid(), 9, generate_uid(), 1, "maker", "model", "1", "1"),
    ).save_as(tmp_path / "c_gt.dcm")
    image = read(tmp_path / "c")
    both = RegionValues({1: "ring", 2: "core"}, overlapping=True).read(tmp_path / "c_gt.dcm", image)
    assert np.bincount(both.ravel()).tolist() == [1720, 182, 0, 18]
    core = RegionValues({7: "core"}).read(tmp_path / "c_gt.dcm", image)
    assert np.array_equal(core == 7, both == 3)
    with pytest.raises(FormatError, match="segments that overlap"):
        RegionValues({1: "ring", 2: "core"}).read(tmp_path / "c_gt.dcm", image)


@pytest.mark.parametrize("name", ["k.tif", "k.npy", "k.ome.zarr"])
def test_an_export_on_a_cube_is_its_own_truth(tmp_path, name):
    if name == "k.ome.zarr":
        pytest.importorskip("zarr")
    labels = np.random.default_rng(0).integers(0, 2, (7, 7, 7)).astype(np.uint8)
    affine = np.array([[0, -0.7, 0, 10], [1.3, 0, 0, -20], [0, 0, 5, 30], [0, 0, 0, 1.0]])
    nib.save(nib.Nifti1Image(labels.astype(np.float32), affine), tmp_path / "k.nii.gz")
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "k_gt.nii.gz")
    image = read(tmp_path / "k.nii.gz")
    out = tmp_path / "out"
    out.mkdir()
    export(out / name, labels, image, ClassTable([SegmentClass(1, "ring", "#ff0000")]))
    lists = {"labelled": [], "unlabelled": [], "validation": ["k"], "classes": {1: "ring"}}
    for truth, folder in (("k_gt.nii.gz", out), (f"out/{name}", tmp_path / "nifti")):
        volumes = {"k": {"image": "k.nii.gz", "labels": truth}}
        path = write_dataset(tmp_path, count=0, volumes=volumes, **lists)
        if folder != out:
            folder.mkdir()
            (tmp_path / "k_gt.nii.gz").rename(folder / "k.nii.gz")
        assert run_evaluate(path, folder)["summary"]["ring"]["dice"]["mean"] == 1


def _masks(folder: Path, values: dict[str, np.ndarray], **changes) -> Path:
    """Write pictures with label files of some values."""
    for name, mask in values.items():
        Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(folder / f"{name}.png")
        Image.fromarray(mask).save(folder / f"{name}_gt.png")
    lists = {"labelled": ["a"], "unlabelled": [], "validation": ["b"], "classes": {7: "polyp"}}
    volumes = [{"image": "{case}.png", "labels": "{case}_gt.png"}]
    shared = {"volumes": volumes, "exclude": ["*_gt"], "size": [6, 8]}
    return write_dataset(folder, count=0, **shared | lists | changes)


def test_masks_of_0_and_255_hold_the_only_class(tmp_path, capsys):
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:7] = 255
    empty = np.zeros_like(mask)
    path = _masks(tmp_path, {"a": empty, "b": mask})
    dataset = read_dataset(path)
    reader = FormatsReader.of(dataset)
    assert np.array_equal(reader.labels(tmp_path / "a_gt.png"), empty)
    assert np.array_equal(reader.labels(tmp_path / "b_gt.png"), mask // 255 * 7)
    assert capsys.readouterr().err.count("hold only 0 and 255") == 1
    out = tmp_path / "out"
    out.mkdir()
    for values, dice in ((empty, 0), (mask, 1), (mask // 255 * 7, 1)):
        Image.fromarray(values).save(out / "b.png")
        assert run_evaluate(path, out)["summary"]["polyp"]["dice"]["mean"] == dice


@pytest.mark.parametrize("why", ["scribbles", "told", "two classes", "all of a file"])
def test_255_stays_not_annotated_where_it_may_be_meant(tmp_path, capsys, why):
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:7] = 255
    other = mask.copy()
    changes = {}
    if why == "scribbles":
        other[0, 0] = 7
    elif why == "told":
        changes = {"not_annotated": [255]}
    elif why == "two classes":
        changes = {"classes": {7: "polyp", 8: "tool"}}
    else:
        other[:] = 255
    reader = FormatsReader.of(read_dataset(_masks(tmp_path, {"a": mask, "b": other}, **changes)))
    for name, values in (("a", mask), ("b", other)):
        assert np.array_equal(reader.labels(tmp_path / f"{name}_gt.png"), values)
    assert capsys.readouterr().err == ""


def test_remarks_on_files_are_told_once_and_few_of_them(tmp_path, capsys):
    reader = FormatsReader()

    def read_all() -> None:
        with reader.notes:
            for i in range(12):
                path = tmp_path / f"{i}.nii"
                nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), None), path)
                reader.image((path,))
                reader.labels(path)
            raise KeyboardInterrupt  # however it ends

    with pytest.raises(KeyboardInterrupt):
        read_all()
    *said, last = capsys.readouterr().err.splitlines()
    assert len(said) == 10
    assert said[0].startswith(f"Note: {tmp_path / '0.nii'}: The file does not say how it lies")
    assert last == "Note: and 2 more of such notes."
