"""The command line: real files in, real files out, one clear sentence for bad input."""

from __future__ import annotations

import json
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile

from .formats.dicom_files import write_series

SHAPE = (30, 26, 10)
COS, SIN = np.cos(0.2), np.sin(0.2)
AFFINE = np.array(
    [[-0.7, 0, 0, 11], [0, 0.8 * COS, -3 * SIN, -5], [0, 0.8 * SIN, 3 * COS, 2.5], [0, 0, 0, 1]]
)


def volume() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, truth and references, sliced along the last axis."""
    x, y, z = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    truth = ((x - 12 - z / 2) ** 2 + (y - 13) ** 2 < 40).astype(np.uint8) * 2
    noise = np.random.default_rng(0).normal(0, 5, SHAPE)
    refs = np.full(SHAPE, 255, dtype=np.uint8)
    for index in (1, 4, 8):
        refs[..., index] = truth[..., index]
    return (100 + 40.0 * truth + noise).astype(np.int16), truth, refs


@pytest.fixture
def files(tmp_path):
    """Write image and references as one kind of file."""

    def write(suffix: str):
        image, truth, refs = volume()
        paths = tmp_path / f"image{suffix}", tmp_path / f"refs{suffix}"
        for path, array in zip(paths, (image, refs), strict=True):
            if suffix == ".nii.gz":
                nib.save(nib.Nifti1Image(array, AFFINE), path)
            elif suffix == ".tif":
                stack = np.ascontiguousarray(array.transpose(2, 1, 0))
                tifffile.imwrite(path, stack, imagej=True, metadata={"axes": "ZYX", "spacing": 3.0})
            else:
                made = sitk.GetImageFromArray(array.transpose(2, 1, 0))
                made.SetSpacing((0.7, 0.8, 3.0))
                made.SetOrigin((-11, 5, 2.5))
                sitk.WriteImage(made, str(path))
        return *paths, truth

    return write


def call_process(*words: object) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own; the others run in this one, which is faster."""
    return subprocess.run(
        [sys.executable, "-m", "napari_sslseg", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".tif"])
def test_propose_writes_labels_where_the_image_lies(files, tmp_path, suffix, command_line):
    image, refs, truth = files(suffix)
    out, regions = tmp_path / f"out{suffix}", tmp_path / f"regions{suffix}"
    axis = 0 if suffix == ".tif" else 2
    done = command_line(
        "propose", image, "--references", refs, "--axis", axis, "--output", out,
        "--regions", regions, "--method", "reference", "--seconds", "20",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["proposal"] == "Reference-guided"
    assert set(summary["classes"]) == {"2"}
    assert summary["estimated_dice"]["mean"] > 0.5
    assert sum(summary["regions"].values()) == pytest.approx(1, abs=1e-3)
    if suffix == ".tif":
        found = tifffile.imread(out).transpose(2, 1, 0)
    else:
        written, source = sitk.ReadImage(str(out)), sitk.ReadImage(str(image))
        for geometry in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
            assert getattr(written, geometry)() == getattr(source, geometry)()
        found = sitk.GetArrayFromImage(written).transpose(2, 1, 0)
    if suffix == ".nii.gz":
        assert np.array_equal(nib.load(out).affine, nib.load(image).affine)
    assert np.array_equal(found[..., [1, 4, 8]], truth[..., [1, 4, 8]])
    overlap = 2 * ((found == 2) & (truth == 2)).sum() / ((found == 2).sum() + (truth == 2).sum())
    assert overlap > 0.85
    voxels = summary["classes"]["2"]["voxels"]
    assert voxels == (found == 2).sum()
    if suffix == ".nrrd":
        ml = voxels * 0.7 * 0.8 * 3 / 1000
        assert summary["classes"]["2"]["ml"] == pytest.approx(ml, rel=1e-3)


def test_propose_trains_by_default_and_finds_the_axis_itself(files, tmp_path):
    image, refs, _ = files(".nii.gz")
    out = tmp_path / "out.nii.gz"
    done = call_process("propose", image, "--references", refs, "--output", out, "--seconds", "3")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["axis"] == 2
    assert summary["method"] == "auto"
    assert "Training" in done.stderr
    assert out.exists()


def test_propose_leaves_everything_empty_outside_of_the_object(files, tmp_path, command_line):
    image, refs, truth = files(".nii.gz")
    out, regions = tmp_path / "out.nii.gz", tmp_path / "regions.nii.gz"
    call_of = ("propose", image, "--references", refs, "--output", out, "--method", "reference")
    done = command_line(*call_of, "--regions", regions, "--first-slice", 3, "--last-slice", 6)
    assert done.returncode == 0, done.stderr
    found, codes = (np.asarray(nib.load(path).dataobj) for path in (out, regions))
    assert not found[..., [0, 2, 7, 9]].any()
    assert (codes[..., [0, 2, 7, 9]] == 1).all()
    assert np.array_equal(found[..., [1, 4, 8]], truth[..., [1, 4, 8]]), "ink stands above it"
    assert found[..., 3].any()
    assert found[..., 6].any()
    done = command_line(*call_of, "--first-slice", 3, "--last-slice", 10)
    assert done.returncode == 2
    assert done.stderr == "Error: There is no slice 10: along this axis they go from 0 to 9.\n"


def change(path, edit) -> None:
    loaded = nib.load(path)
    array = np.asarray(loaded.dataobj).copy()
    nib.save(nib.Nifti1Image(edit(array), loaded.affine), path)


def blank(array):
    return np.full_like(array, 255)


def one_class(array):
    return np.where(array == 255, 255, 2).astype(np.uint8)


def cropped(array):
    return array[:-1]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [(blank, "no annotation"), (one_class, "single class"), (cropped, "on the image's grid")],
)
def test_bad_references_are_one_sentence_and_exit_code_2(
    files, tmp_path, edit, sentence, command_line
):
    image, refs, _ = files(".nii.gz")
    change(refs, edit)
    done = command_line("propose", image, "--references", refs, "--output", tmp_path / "o.nii.gz")
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (tmp_path / "o.nii.gz").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--axis", "5"], "axis must be 0 to 2"),
        (["--method", "magic"], "no method"),
        (["--device", "toaster"], "no device"),
        (["--seconds", "-1"], "more than 0"),
        (["--memory", "much"], "write it like 4G"),
        (["--output", "o.xyz"], "name it with"),
        (["--output", "nowhere/o.nii.gz"], "does not exist"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_code_2(
    files, tmp_path, words, sentence, command_line
):
    image, refs, _ = files(".nii.gz")
    target = [] if "--output" in words else ["--output", tmp_path / "o.nii.gz"]
    done = command_line("propose", image, "--references", refs, *target, *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_unreadable_files_are_one_sentence_and_exit_code_2(files, tmp_path):
    image, refs, _ = files(".nii.gz")
    image.write_bytes(image.read_bytes()[:200])
    done = call_process("propose", image, "--references", refs, "--output", tmp_path / "o.nii.gz")
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr
    missing = call_process(
        "propose", tmp_path / "no.nii", "--references", refs, "--output", "o.nii.gz"
    )
    assert missing.returncode == 2
    assert "does not exist" in missing.stderr


def series(folder, number: int) -> None:
    image, _, _ = volume()
    write_series(
        folder, image.T, series_number=number, prefix=f"s{number}-", description=f"scan {number}"
    )


def test_series_of_a_folder_are_listed_and_one_has_to_be_chosen(files, tmp_path, command_line):
    _, refs, _ = files(".nii.gz")
    for number in (3, 4):
        series(tmp_path / "dicom", number)
    done = command_line("list", tmp_path / "dicom")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["key"] for line in lines] == ["3", "4"]
    assert lines[0]["title"].startswith("scan 3, MR, 30 × 26, 10 slices")
    words = ["propose", tmp_path / "dicom", "--references", refs, "--output", tmp_path / "o.nii"]
    done = command_line(*words)
    assert done.returncode == 2
    assert "use --series" in done.stderr
    assert "Traceback" not in done.stderr
    done = command_line(*words, "--series", "4", "--method", "reference", "--seconds", "5")
    assert done.returncode == 0, done.stderr
    assert nib.load(tmp_path / "o.nii").shape == SHAPE


def test_further_images_are_channels_on_one_grid(files, tmp_path, command_line):
    image, refs, truth = files(".nii.gz")
    second, moved = tmp_path / "second.nii.gz", tmp_path / "moved.nii.gz"
    nib.save(nib.Nifti1Image(truth * 50, AFFINE), second)
    shifted = AFFINE.copy()
    shifted[0, 3] += 0.3
    nib.save(nib.Nifti1Image(truth * 50, shifted), moved)
    words = ["propose", image, "--references", refs, "--output", tmp_path / "o.nii"]
    words += ["--method", "reference", "--seconds", "5", "--channel", second, "--channel", moved]
    done = command_line(*words)
    assert done.returncode == 2
    assert "use --resample" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    done = command_line(*words, "--resample")
    assert done.returncode == 0, done.stderr
    assert "Note: moved was resampled" in done.stderr
    proposed = np.asanyarray(nib.load(tmp_path / "o.nii").dataobj)
    inside = proposed[..., 2:8] == 2
    assert (
        2 * (inside & (truth[..., 2:8] == 2)).sum() / (inside.sum() + (truth[..., 2:8] == 2).sum())
        > 0.9
    )
