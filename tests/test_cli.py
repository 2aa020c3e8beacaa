"""The command line: real files in, real files out, one clear sentence for bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import nibabel as nib
import numpy as np
import platformdirs
import pytest
import SimpleITK as sitk
import tifffile

from napari_sslseg.formats import read

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
    if suffix == ".tif":
        assert summary["classes"]["2"]["ml"] is None, "its pixels have no size"


def test_propose_trains_by_default_and_finds_the_axis_itself(files, tmp_path, command_line):
    image, refs, _ = files(".nii.gz")
    out = tmp_path / "out.nii.gz"
    done = command_line("propose", image, "--references", refs, "--output", out, "--seconds", "1")
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


def proposed(image, refs, out, command_line, *words) -> tuple[np.ndarray, str]:
    done = command_line(
        "propose", image, "--references", refs, "--output", out, "--method", "reference", *words
    )
    assert done.returncode == 0, done.stderr
    return np.asarray(nib.load(out).dataobj), done.stderr


def test_references_count_where_they_lie_not_by_index(files, tmp_path, command_line):
    image, refs, truth = files(".nii.gz")
    affine = AFFINE.copy()
    affine[:, 3] += (SHAPE[0] - 1) * affine[:, 0]
    affine[:, 0] *= -1
    turned = np.asarray(nib.load(refs).dataobj)[::-1]
    nib.save(nib.Nifti1Image(turned, affine), tmp_path / "turned.nii.gz")
    found, _ = proposed(image, tmp_path / "turned.nii.gz", tmp_path / "o.nii.gz", command_line)
    straight, _ = proposed(image, refs, tmp_path / "s.nii.gz", command_line)
    assert np.array_equal(found, straight)
    assert np.array_equal(found[..., [1, 4, 8]], truth[..., [1, 4, 8]])


@pytest.mark.parametrize(("scale", "shift", "word"), [(1, 9, "mm off"), (1.1, 0, "voxels measure")])
def test_references_that_lie_elsewhere_are_refused(
    files, tmp_path, command_line, scale, shift, word
):
    image, refs, _ = files(".nii.gz")
    affine = AFFINE.copy()
    affine[:3, :3] *= scale
    affine[:3, 3] += shift
    nib.save(nib.Nifti1Image(np.asarray(nib.load(refs).dataobj), affine), refs)
    done = command_line("propose", image, "--references", refs, "--output", tmp_path / "o.nii.gz")
    assert done.returncode == 2
    assert "not on the image's grid" in done.stderr
    assert word in done.stderr
    assert not (tmp_path / "o.nii.gz").exists()


@pytest.mark.parametrize("words", [(), ("--axis", 2)])
def test_an_ordinary_mask_of_some_slices_is_taken_for_those_slices(
    files, tmp_path, command_line, words
):
    image, refs, _ = files(".nii.gz")
    out = tmp_path / "o.nii.gz"
    straight, said = proposed(image, refs, out, command_line)
    assert "Note" not in said
    change(refs, lambda array: np.where(array == 255, 0, array).astype(np.uint8))
    found, said = proposed(image, refs, out, command_line, *words)
    assert "along axis 2 that show a class are taken for wholly labelled" in said
    assert np.array_equal(found, straight)


def test_a_mask_of_0_and_255_is_taken_for_an_object(files, tmp_path, command_line):
    image, refs, _ = files(".nii.gz")
    out = tmp_path / "m.nii.gz"
    change(refs, lambda array: np.where((array != 255) & (array > 0), 1, 0).astype(np.uint8))
    expected, _ = proposed(image, refs, out, command_line)
    change(refs, lambda array: (255 * array).astype(np.uint8))
    found, said = proposed(image, refs, out, command_line)
    assert "255 is taken for class 1" in said
    assert found.any()
    assert np.array_equal(found, expected)


def change(path, edit) -> None:
    loaded = nib.load(path)
    array = np.asarray(loaded.dataobj).copy()
    nib.save(nib.Nifti1Image(edit(array), loaded.affine), path)


def blank(array):
    return np.full_like(array, 255)


def one_class(array):
    return np.where(array == 255, 255, 2).astype(np.uint8)


def complete(array):
    return np.where(array == 255, 2, array).astype(np.uint8)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [(blank, "no annotation"), (one_class, "single class"), (complete, "labels every slice")],
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
        (["--axis", "5", "--resample"], "Note: --resample changes nothing without --channel."),
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


@pytest.mark.parametrize("axis", [0, 2])
def test_a_single_slice_is_refused_as_a_picture_is(files, tmp_path, axis, command_line):
    image, refs, _ = files(".nii.gz")
    change(image, lambda array: array.take([2], axis))
    change(refs, lambda array: np.clip(array.take([2], axis), 0, 2))
    done = command_line("propose", image, "--references", refs, "--output", tmp_path / "o.nii.gz")
    assert done.returncode == 2
    assert f"is a single slice, along axis {axis}, so that there is nothing" in done.stderr
    assert not (tmp_path / "o.nii.gz").exists()


def test_unreadable_files_are_one_sentence_and_exit_code_2(files, tmp_path, command_line):
    image, refs, _ = files(".nii.gz")
    image.write_bytes(image.read_bytes()[:200])
    done = call_process("propose", image, "--references", refs, "--output", tmp_path / "o.nii.gz")
    assert done.returncode == 2
    assert "Error:" in done.stderr
    assert "Traceback" not in done.stderr
    missing = command_line(
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
    place = read(tmp_path / "dicom", "4").geometry.affine
    nib.save(nib.Nifti1Image(np.asarray(nib.load(refs).dataobj), place), refs)
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


def test_what_is_in_the_way_of_a_result_is_told_before_the_work(
    files, tmp_path, command_line, monkeypatch
):
    image, refs, _ = files(".nii.gz")
    monkeypatch.setattr(
        "napari_sslseg.propose_command._run", lambda *rest: pytest.fail("it worked in vain")
    )
    (tmp_path / "folder.nii.gz").mkdir()
    (tmp_path / "file").write_text("x")
    before = sorted(tmp_path.iterdir())
    for name, sentence in (
        ("folder.nii.gz", "it is a folder"),
        ("file/o.nii.gz", "does not exist"),
        (f"{'x' * 255}.nii.gz", "the name is too long"),
        ("image.nii.gz", "image.nii.gz would be overwritten"),
        ("refs.nii.gz", "refs.nii.gz would be overwritten"),
    ):
        done = command_line("propose", image, "--references", refs, "--output", tmp_path / name)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
    twice = ("--output", tmp_path / "o.nii.gz", "--regions", tmp_path / "o.nii.gz")
    done = command_line("propose", image, "--references", refs, *twice)
    assert "o.nii.gz would be overwritten; choose another name" in done.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("seed", ["-1", str(2**63)])
def test_seeds_that_generators_do_not_take_are_told(files, tmp_path, command_line, seed):
    image, refs, _ = files(".nii.gz")
    words = ("--output", tmp_path / "o.nii.gz", "--seed", seed)
    done = command_line("propose", image, "--references", refs, *words)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: The seed must be 0 or more and less than")


def test_what_cannot_be_listed_is_one_sentence(tmp_path, command_line):
    (tmp_path / "empty.nii.gz").write_bytes(b"")
    (tmp_path / "text.nii.gz").write_text("hello")
    for name, sentence in (
        ("none", "none does not exist; check the path."),
        ("", "is a folder without an image"),
        ("empty.nii.gz", "is empty (0 bytes)"),
        ("text.nii.gz", "cannot be read as NIfTI"),
    ):
        done = command_line("list", tmp_path / name)
        assert done.returncode == 2
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_full_disk_is_one_sentence(files, tmp_path, command_line, files_end_at):
    image, refs, _ = files(".nii.gz")
    with files_end_at(1000):
        words = ("--output", tmp_path / "o.nii.gz", "--method", "reference")
        done = command_line("propose", image, "--references", refs, *words)
    assert done.returncode == 2
    assert "too large" in done.stderr or "of that size" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_data_file_of_an_image_is_not_overwritten_by_its_name(
    files, tmp_path, command_line, monkeypatch
):
    monkeypatch.setattr(
        "napari_sslseg.propose_command._run", lambda *rest: pytest.fail("it worked in vain")
    )
    image, refs, _ = files(".mhd")
    for old, data in ((image, "image.raw"), (refs, "refs.raw")):
        content = old.read_text().replace(data, data.replace("raw", "zraw"))
        old.write_text(content)
        (tmp_path / data).rename((tmp_path / data).with_suffix(".zraw"))
    image, refs = (path.rename(tmp_path / f"a-{path.name}") for path in (image, refs))
    (tmp_path / "other.zraw").write_bytes(b"of somebody else")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for name, sentence in (
        ("image.mhd", "image.zraw would be overwritten, as it goes beside image.mhd"),
        ("refs.mhd", "refs.zraw would be overwritten, as it goes beside refs.mhd"),
        ("other.mhd", "other.mhd cannot be written: other.zraw beside it"),
    ):
        for words in (("--output", name), ("--output", "o.mhd", "--regions", name)):
            paths = [word if word[0] == "-" else tmp_path / word for word in words]
            done = command_line("propose", image, "--references", refs, *paths)
            assert done.returncode == 2
            assert sentence in done.stderr
            assert done.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_picture_of_a_stack_is_not_overwritten(tmp_path, command_line, monkeypatch):
    monkeypatch.setattr(
        "napari_sslseg.propose_command._run", lambda *rest: pytest.fail("it worked in vain")
    )
    (tmp_path / "stack").mkdir()
    for n in range(3):
        tifffile.imwrite(tmp_path / "stack" / f"p{n}.tif", np.zeros((5, 6), np.uint8))
    target = tmp_path / "stack" / "p1.tif"
    done = command_line("propose", tmp_path / "stack", "--references", "r", "--output", target)
    assert done.returncode == 2
    assert "p1.tif would be overwritten" in done.stderr


def test_volumes_are_listed_with_kind_and_shape_in_the_order_of_the_axes(
    files, tmp_path, command_line
):
    image, _, _ = files(".nii.gz")
    (row,) = map(json.loads, command_line("list", image).stdout.splitlines())
    assert row == {"key": "", "title": "image", "kind": "NIfTI", "shape": list(SHAPE)}
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6, 9), np.int16), AFFINE), tmp_path / "time.nii")
    rows = [
        json.loads(line)
        for line in command_line("list", tmp_path / "time.nii").stdout.split("\n")[:-1]
    ]
    assert [row["key"] for row in rows] == [*map(str, range(1, 10)), "all"]
    assert all((row["kind"], row["shape"]) == ("NIfTI", [4, 5, 6]) for row in rows)
    series(tmp_path / "dicom", 3)
    series(tmp_path / "dicom", 4)
    rows = [
        json.loads(line)
        for line in command_line("list", tmp_path / "dicom").stdout.split("\n")[:-1]
    ]
    assert [(row["kind"], row["shape"]) for row in rows] == [("DICOM", list(SHAPE))] * 2


def test_a_channel_on_another_grid_is_told_in_the_order_in_which_axes_are_counted(
    files, tmp_path, command_line
):
    image, refs, _ = files(".nii.gz")
    nib.save(nib.Nifti1Image(np.zeros((30, 26, 7), np.int16), AFFINE), tmp_path / "b.nii")
    words = ("--output", tmp_path / "o.nii", "--channel", tmp_path / "b.nii")
    done = command_line("propose", image, "--references", refs, *words)
    assert "its shape is 30 × 26 × 7, the image's 30 × 26 × 10" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--method", "magic"], "choose from auto, reference, semsim, "),
        (["--device", "toaster"], "choose from auto, cpu, cuda, mps."),
    ],
)
def test_what_there_is_to_choose_from_is_a_sentence(files, tmp_path, command_line, words, sentence):
    image, refs, _ = files(".nii.gz")
    target = ("--output", tmp_path / "o.nii.gz")
    done = command_line("propose", image, "--references", refs, *target, *words)
    assert sentence in done.stderr
    assert "[" not in done.stderr


def words_of(help_text: str) -> str:
    return " ".join("".join(c if c not in "│╭╮╰╯─" else " " for c in help_text).split())


def test_the_help_says_what_the_program_does_and_where_projects_are(command_line, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    help_text = words_of(command_line("--help").stdout)
    assert "Label whole volumes from a few labelled slices, without a window." in help_text
    assert "engine" not in help_text
    found = words_of(command_line("batch", "--help").stdout)
    assert str(platformdirs.user_data_path("napari-sslseg")) in found
    assert "NAPARI_SSLSEG_HOME" in found


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_a_terminal_cannot_show_are_listed_all_the_same(tmp_path, encoding):
    name = "Опухоль é 🙂"
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5), np.int16), AFFINE), tmp_path / f"{name}.nii")
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    for words in (["list", str(tmp_path / f"{name}.nii")], ["--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "napari_sslseg", *words],
            capture_output=True,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        if words[0] == "list":
            assert json.loads(done.stdout.decode(encoding))["title"] == name


#: Stops where the program works, the copy of the image being there.
STOPPED = """
import os, signal, sys
import napari_sslseg.propose_command as command
from napari_sslseg.cli import main

kind = getattr(signal, sys.argv.pop(1))
signal.signal(kind, signal.SIG_DFL)  # whatever this was started by

def run(project, request, control, place):
    assert (project.path / "image.npy").exists()
    os.kill(os.getpid(), kind)
    control.check()
    raise AssertionError("it was not stopped")

command._run = run
main()
"""


@pytest.mark.parametrize("kind", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_kill_leaves_no_copy_of_the_image_behind(files, tmp_path, kind):
    if not hasattr(signal, kind):
        pytest.skip("not on this system")
    image, refs, _ = files(".nii.gz")
    (tmp_path / "temporary").mkdir()
    words = ("propose", image, "--references", refs, "--output", tmp_path / "o.nii.gz")
    done = subprocess.run(
        [sys.executable, "-c", STOPPED, kind, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
    )
    assert done.returncode == 130, done.stderr
    assert not list((tmp_path / "temporary").iterdir())
    assert not list(tmp_path.glob("napari-sslseg-*"))
    assert not (tmp_path / "o.nii.gz").exists()


def test_a_fault_of_the_program_is_one_sentence_and_its_place_is_shown_when_asked(
    monkeypatch, command_line
):
    def fault(path):
        raise TypeError("no such thing")

    monkeypatch.setattr("napari_sslseg.cli.read", fault)
    done = command_line("list", "a")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == (
        "Error: An unexpected error ended this (TypeError: no such thing); to see where, run "
        "“napari-sslseg --debug” with the same arguments, or set NAPARI_SSLSEG_DEBUG=1.\n"
    )
    done = command_line("--debug", "list", "a")
    assert done.returncode == 1
    assert "in fault" in done.stderr
    assert done.stderr.endswith("ended this (TypeError: no such thing).\n")
    assert "in fault" not in command_line("list", "a").stderr
    monkeypatch.setenv("NAPARI_SSLSEG_DEBUG", "1")
    assert "in fault" in command_line("list", "a").stderr
