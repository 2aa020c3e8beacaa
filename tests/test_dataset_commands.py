"""Data sets on the command line: train, predict and evaluate real files."""

from __future__ import annotations

import csv
import inspect
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from PIL import Image

from napari_sslseg.dataset_commands import run_evaluate, run_predict, run_train
from napari_sslseg.formats import FormatError
from napari_sslseg.training.dataset.description import DatasetError

from .dataset_nifti import AFFINE, write_nifti

pytest.importorskip("monai")


def done(process: subprocess.CompletedProcess[str]) -> dict:
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def test_train_predict_evaluate(tmp_path, command_line):
    path, run, output = write_nifti(tmp_path / "data"), tmp_path / "run", tmp_path / "out"
    trained = done(command_line("train", path, "--run", run, "--device", "cpu"))
    assert (trained["step"], trained["finished"]) == (6, True)
    predicted = done(command_line("predict", run, path, "--output", output, "--device", "cpu"))
    assert predicted["files"] == [str(output / "c4.nii.gz")]
    made = nib.load(output / "c4.nii.gz")
    assert made.shape == (20, 24, 5)
    assert np.allclose(made.affine, AFFINE)
    assert set(np.unique(made.dataobj)) <= {0, 1, 3}
    scored = done(command_line("evaluate", path, output, "--output", tmp_path / "scores.json"))
    assert scored["unit"] == "mm"
    assert set(scored["summary"]) == {"ring", "core", "mean"}
    with (tmp_path / "scores.csv").open() as file:
        rows = list(csv.reader(file))
    assert [row[:2] for row in rows[1:4]] == [["c4", "ring"], ["c4", "core"], ["c4", "mean"]]
    # The truth itself scores as perfect.
    for name in ("truth", "moved"):
        (tmp_path / name).mkdir()
    nib.save(nib.load(tmp_path / "data" / "c4_gt.nii.gz"), tmp_path / "truth" / "c4.nii.gz")
    summary = run_evaluate(path, tmp_path / "truth")["summary"]
    assert summary["mean"]["dice"]["mean"] == 1
    assert summary["mean"]["hd95"]["mean"] == 0
    # Shifted by one voxel, distances are in mm.
    truth = np.asarray(nib.load(tmp_path / "data" / "c4_gt.nii.gz").dataobj)
    shifted = nib.Nifti1Image(np.roll(truth, 1, axis=2), AFFINE)
    nib.save(shifted, tmp_path / "moved" / "c4.nii.gz")
    core = run_evaluate(path, tmp_path / "moved")["summary"]["core"]
    assert 0 < core["hd95"]["mean"] <= 3.01


def test_a_run_starts_anew_with_curves(tmp_path, command_line):
    pytest.importorskip("tensorboard")
    path, run = write_nifti(tmp_path / "data"), tmp_path / "run"
    words = ("train", path, "--run", run, "--device", "cpu", "--tensorboard")
    assert done(command_line(*words, "--steps", 4))["finished"]
    again = command_line(*words, "--steps", 2)
    assert again.returncode == 2
    assert "steps other than" in again.stderr
    anew = done(command_line(*words, "--steps", 2, "--fresh"))
    assert (anew["step"], anew["finished"]) == (2, True)
    assert len(list((run / "tensorboard").glob("events.out.tfevents.*"))) == 1
    assert len(list((run / "last").glob("model-*.safetensors"))) == 1


def test_an_interrupted_run_is_saved_and_goes_on(tmp_path, command_line):
    path = write_nifti(tmp_path / "data")
    command = [sys.executable, "-m", "napari_sslseg", "train", str(path)]
    command += ["--run", str(tmp_path / "run"), "--steps", "100000", "--device", "cpu"]

    def heed() -> None:  # a shell's background jobs, and what they start, do not by themselves
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed) as process:
        for line in process.stderr:
            if line.startswith("step"):
                break
        process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        said = process.stderr.read()
        assert process.wait(60) == 130
        assert time.monotonic() - begin < 30
    saved = json.loads((tmp_path / "run" / "state.json").read_text())
    assert f"Stopped after step {saved['rest']['trainer']['step']} of 100000, saved in" in said
    assert saved["rest"]["trainer"]["step"] >= 2
    words = ("--steps", 100000, "--minutes", 0.001, "--device", "cpu")
    again = command_line("train", path, "--run", tmp_path / "run", *words)
    assert done(again)["step"] >= saved["rest"]["trainer"]["step"]
    assert "Going on after step" in again.stderr


def test_colour_pictures_with_overlapping_classes(tmp_path, command_line):
    rng = np.random.default_rng(0)
    for i in range(4):
        bits = np.zeros((24, 20), np.uint8)
        bits[4:14, 3:13] |= 1
        bits[8:20, 6:16] |= 4
        shades = np.stack([bits & 1, (bits >> 2) & 1, bits > 0], -1) * 120
        noisy = np.clip(shades + rng.normal(40, 10, shades.shape), 0, 255)
        Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / f"p{i}.png")
        Image.fromarray(bits).save(tmp_path / f"p{i}_gt.png")
    content = {
        "volumes": [{"image": "{case}.png", "labels": "{case}_gt.png"}],
        "classes": {1: "left", 4: "right"},
        "overlapping": True,
        "size": [24, 16],
        "labelled": ["p0", "p1"],
        "unlabelled": ["p2"],
        "test": ["p3"],
        "distances": "voxels",
        "training": {
            "preset": "rpg",
            "steps": 40,
            "labelled": 2,
            "unlabelled": 1,
            "learning_rate": 0.01,
            "schedule": "cosine",
            "options": {
                "channels": [4, 8, 8, 16],
                "grid": 8,
                "dropout": [0, 0, 0, 0],
                "weak": {"flip": 0, "quarter_turns": 0, "free": 0, "stretch": 0},
            },
        },
    }
    path = tmp_path / "films.yaml"
    path.write_text(yaml.safe_dump(content))
    done(command_line("train", path, "--run", tmp_path / "run", "--device", "cpu"))
    where = ["--cases", "test"]
    files = done(
        command_line("predict", tmp_path / "run", path, "--output", tmp_path / "out", *where)
    )
    assert files["files"] == [str(tmp_path / "out" / "p3.nii.gz")]
    found = np.squeeze(np.asarray(nib.load(tmp_path / "out" / "p3.nii.gz").dataobj))
    assert (found == 5).sum() > 20  # both at once
    scored = run_evaluate(path, tmp_path / "out", cases="test")
    assert scored["summary"]["mean"]["dice"]["mean"] > 0.8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "none.yaml", "--run", "r"], "none.yaml does not exist; check the path."),
        (["train", ".", "--run", "r"], "cannot be read"),
        (["train", "dataset.yaml", "--run", "c0.npy"], "a file of that name is in the way"),
        (["train", "dataset.yaml", "--run", "c0.npy/r"], "does not exist; create it first"),
        (["train", "dataset.yaml", "--run", "r", "--seed", "-1"], "seed of training must be"),
        (["train", "dataset.yaml", "--run", "r", "--steps", "-1"], "steps of training must be"),
        (["train", "dataset.yaml", "--run", "r", "--minutes", "-1"], "--minutes must be more"),
        (["train", "dataset.yaml", "--run", "r", "--minutes", "nan"], "--minutes must be more"),
        (["predict", "r", "dataset.yaml", "--output", "o", "--model", "x"], "choose best or last"),
        (["train", "dataset.yaml", "--run", "r", "--preset", "magic"], "no preset"),
        (["train", "dataset.yaml", "--run", "r", "--device", "tpu"], "device"),
        (["predict", "r", "dataset.yaml", "--output", "o"], "holds no last model"),
        (
            ["train", "series.yaml", "--run", "r"],
            "series.nii.gz holds several volumes (volume 1 of",
        ),
        (["train", "series.yaml", "--run", "r"], "own, and name these under volumes."),
        (["evaluate", "dataset.yaml", "o"], "no prediction of c4"),
        (["evaluate", "dataset.yaml", "o", "--cases", "test"], "No case of the test list"),
        (["evaluate", "dataset.yaml", "o", "--cases", "some"], "no list 'some'"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(
    tmp_path, words, message, command_line, monkeypatch
):
    path = write_nifti(tmp_path)
    nib.save(
        nib.Nifti1Image(np.zeros((20, 24, 5, 9), np.uint8), AFFINE), tmp_path / "series.nii.gz"
    )
    series = yaml.safe_load(path.read_text()) | {"unlabelled": ["d"]}
    series["volumes"] = {
        **{c: {"image": f"{c}.nii.gz", "labels": f"{c}_gt.nii.gz"} for c in ("c0", "c1", "c4")},
        "d": {"image": "series.nii.gz"},
    }
    (tmp_path / "series.yaml").write_text(yaml.safe_dump(series))
    monkeypatch.chdir(tmp_path)
    process = command_line(*words)
    assert process.returncode == 2
    assert message in process.stderr
    assert "Traceback" not in process.stderr
    assert process.stdout == ""


def test_places_that_cannot_be_written_to_are_one_sentence(
    tmp_path, command_line, monkeypatch, files_end_at
):
    write_nifti(tmp_path)
    monkeypatch.chdir(tmp_path)
    done(command_line("train", "dataset.yaml", "--run", "run", "--steps", 1, "--device", "cpu"))
    done(command_line("predict", "run", "dataset.yaml", "--output", "o", "--device", "cpu"))
    Path("scores.json").mkdir()
    for words, message in (
        (["predict", "run", "dataset.yaml", "--output", "c0.npy"], "is in the way"),
        (["predict", "run", "dataset.yaml", "--output", "c0.npy/o"], "create it first"),
        (["evaluate", "dataset.yaml", "o", "--output", "c0.npy/o"], "create it first"),
        (["evaluate", "dataset.yaml", "o", "--output", "scores"], "it is a folder"),
    ):
        process = command_line(*words)
        assert process.returncode == 2
        assert message in process.stderr
        assert "Traceback" not in process.stderr
    with files_end_at(4000):
        process = command_line("train", "dataset.yaml", "--run", "full", "--device", "cpu")
    assert process.returncode == 2
    assert "this disk takes no files of that size" in process.stderr
    assert "Traceback" not in process.stderr


def test_places_are_looked_at_before_the_work_and_no_folders_are_made(
    tmp_path, command_line, monkeypatch
):
    write_nifti(tmp_path)
    monkeypatch.chdir(tmp_path)
    done(command_line("train", "dataset.yaml", "--run", "run", "--steps", 1, "--device", "cpu"))
    done(command_line("predict", "run", "dataset.yaml", "--output", "o", "--device", "cpu"))
    Path("text.txt").write_text("x")
    for place in ("run.train_dataset", "run.load_run", "prediction.predict_case"):
        monkeypatch.setattr(f"napari_sslseg.training.dataset.{place}", in_vain)
    monkeypatch.setattr("napari_sslseg.dataset_commands.score_files", in_vain)
    before = sorted(tmp_path.rglob("*"))
    for words, sentence in (
        (["train", "dataset.yaml", "--run", "text.txt"], "text.txt cannot be written to: a file"),
        (["train", "dataset.yaml", "--run", "no/such"], "no does not exist; create it first"),
        (["predict", "run", "dataset.yaml", "--output", "text.txt"], "a file of that name is in"),
        (["predict", "run", "dataset.yaml", "--output", "no/such"], "no does not exist; create"),
        (["evaluate", "dataset.yaml", "o", "--output", "text.txt/scores"], "create it first"),
        (["evaluate", "dataset.yaml", "o", "--output", "no/such/x"], "create it first"),
        (["evaluate", "dataset.yaml", "o", "--output", "x" * 300], "the name is too long"),
    ):
        process = command_line(*words)
        assert process.returncode == 2, words
        assert sentence in process.stderr
        assert process.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def in_vain(*rest, **options):
    pytest.fail("it worked in vain")


def test_the_voxels_of_an_image_are_not_replaced_by_those_of_a_prediction(
    tmp_path, command_line, monkeypatch
):
    write_nifti(tmp_path)
    monkeypatch.chdir(tmp_path)
    for number in range(5):
        image = sitk.ReadImage(f"c{number}.nii.gz")
        sitk.WriteImage(image, f"c{number}.mhd", True)
        Path(f"c{number}.mhd").rename(f"scan_c{number}.mhd")
    content = yaml.safe_load(Path("dataset.yaml").read_text())
    content["volumes"] = [{"image": "scan_{case}.mhd", "labels": "{case}_gt.nii.gz"}]
    Path("dataset.yaml").write_text(yaml.safe_dump(content))
    done(command_line("train", "dataset.yaml", "--run", "run", "--steps", 1, "--device", "cpu"))
    before = Path("c4.zraw").read_bytes()
    process = command_line("predict", "run", "dataset.yaml", "--output", ".", "--device", "cpu")
    assert process.returncode == 2
    assert "c4.zraw would be overwritten, as it goes beside c4.mhd" in process.stderr
    assert Path("c4.zraw").read_bytes() == before


def test_the_help_of_train_names_every_preset():
    from napari_sslseg.training.dataset.presets import PRESETS

    (option,) = inspect.get_annotations(run_train, eval_str=True)["preset"].__metadata__
    named = re.findall(r"[a-z][a-z-]+", option.help.replace("Method: ", ""))
    assert set(PRESETS) <= set(named)
    assert ".md" not in option.help


def test_a_damaged_model_or_prediction_is_one_sentence(tmp_path, command_line):
    path, run = write_nifti(tmp_path / "data"), tmp_path / "run"
    run_train(path, run, steps=1, device="cpu")
    head = run / "last" / "model.json"
    for content in ('{"preset": "semsim"}', "[1]", "{"):
        head.write_text(content)
        process = command_line("predict", run, path, "--output", tmp_path / "o", "--device", "cpu")
        assert process.returncode == 2
        assert "train" in process.stderr
        assert process.stderr.count("\n") == 1
    (tmp_path / "o").mkdir()
    for content in (b"", b"junk"):
        (tmp_path / "o" / "c4.nii.gz").write_bytes(content)
        process = command_line("evaluate", path, tmp_path / "o")
        assert process.returncode == 2
        assert "c4.nii.gz" in process.stderr
        assert process.stderr.count("\n") == 1


def test_predictions_never_replace_the_data(tmp_path):
    path, run = write_nifti(tmp_path / "data"), tmp_path / "run"
    before = (tmp_path / "data" / "c4.nii.gz").read_bytes()
    run_train(path, run, steps=1, device="cpu")
    with pytest.raises(FormatError, match=r"c4\.nii\.gz would be overwritten"):
        run_predict(run, path, tmp_path / "data", device="cpu")
    assert (tmp_path / "data" / "c4.nii.gz").read_bytes() == before


def test_a_model_of_other_data_is_refused(tmp_path):
    path, run = write_nifti(tmp_path / "data"), tmp_path / "run"
    run_train(path, run, steps=1, device="cpu")
    # Of a later version, that knows more of its data.
    head = run / "last" / "model.json"
    content = json.loads(head.read_text())
    content["data"]["mirrored_axes"] = [1]
    head.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="mirrored axes other than"):
        run_predict(run, path, tmp_path / "out", device="cpu")
    write_nifti(tmp_path / "data", classes={1: "ring"})
    with pytest.raises(DatasetError, match="classes other than"):
        run_predict(run, path, tmp_path / "out", device="cpu")


def test_reordered_classes_are_the_same_ones(tmp_path):
    path, run = write_nifti(tmp_path / "data"), tmp_path / "run"
    run_train(path, run, steps=2, device="cpu")
    run_predict(run, path, tmp_path / "one", device="cpu")
    write_nifti(tmp_path / "data", classes={3: "core", 1: "ring"})
    run_predict(run, path, tmp_path / "two", device="cpu")
    found = [np.asarray(nib.load(tmp_path / n / "c4.nii.gz").dataobj) for n in ("one", "two")]
    assert len(np.unique(found[0])) > 1
    np.testing.assert_array_equal(*found)
    # A model whose outputs are in another order would call them by the wrong names.
    head = run / "last" / "model.json"
    content = json.loads(head.read_text())
    content["data"]["classes"] = {"3": "core", "1": "ring"}
    head.write_text(json.dumps(content))
    with pytest.raises(DatasetError, match="classes other than"):
        run_predict(run, path, tmp_path / "old", device="cpu")
