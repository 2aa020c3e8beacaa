"""``napari-sslseg batch``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from napari_sslseg.cli import app
from napari_sslseg.training.events import VolumeProposed
from napari_sslseg.training.project_locking import lock_project, unlock_project
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo, Project, ProjectError

SHAPE = (8, 24, 24)


@pytest.fixture
def cohort(tmp_path):
    """Make a project of two volumes, both labelled."""
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    truth = ((y - 12) ** 2 + (x - 9 - z / 2) ** 2 < 25).astype(np.uint8)
    made = []
    for number in range(2):
        image = truth + np.random.default_rng(number).normal(0, 0.1, SHAPE)
        info = ImageInfo(f"disc {number}", SHAPE, (1.0, 1.0, 1.0))
        if not made:
            made.append(Project.create(tmp_path / "p", image, info, ClassTable.from_ids([1]), 0))
        else:
            made.append(Cohort(tmp_path / "p").add(image, info, 0))
        ink = made[-1].ink_store.load()
        ink[[1, 4, 7]] = truth[[1, 4, 7]]
        made[-1].ink_store.save(ink)
    return Cohort(tmp_path / "p")


def run(*arguments):
    result = CliRunner().invoke(app, ["batch", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    return [json.loads(line) for line in result.stdout.strip().splitlines() if line]


def test_all_volumes_get_proposals_or_those_that_are_named(cohort):
    rows = run(cohort.path, "--method", "reference")
    assert [row["name"] for row in rows] == ["disc 0", "disc 1"]
    assert all(row["proposals"] == ["reference-guided"] for row in rows)
    (row,) = run(cohort.path, "--method", "reference", "--volume", "first")
    assert row["volume"] == "first"
    assert [cohort.open(key).proposal_version("reference-guided") for key in cohort.keys] == [2, 1]


def test_volumes_learn_from_each_other_unless_told_not_to(cohort, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "napari_sslseg.training.batch.run_batch",
        lambda path, request, follow, control: asked.append(request.train.others),
    )
    run(cohort.path)
    run(cohort.path, "--alone")
    assert asked == [True, False]


def test_what_is_no_project_or_no_volume_of_it_gets_one_sentence(cohort, tmp_path):
    with pytest.raises(ProjectError, match="is not a napari-sslseg project"):
        run(tmp_path)
    with pytest.raises(ProjectError, match=r"it has: first, 001-disc-1\."):
        run(cohort.path, "--volume", "other")


def test_an_unforeseen_failure_of_a_volume_is_a_sentence_in_its_row(
    cohort, monkeypatch, command_line
):
    def fault(*rest):
        raise KeyError("weights")

    monkeypatch.setattr("napari_sslseg.training.batch.run_project", fault)
    words = ("batch", cohort.path, "--method", "reference")
    done = command_line(*words)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["error"] for row in rows] == [
        "An unexpected error ended this (KeyError: 'weights')."
    ] * 2
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "in fault" in command_line("--debug", *words).stderr


def test_one_volume_that_fails_among_others_is_told_by_the_exit_code(cohort, command_line):
    words = ("batch", cohort.path, "--method", "reference")
    assert command_line(*words).returncode == 0
    np.save(cohort.path / "image.npy", np.zeros((3, 24, 24)))
    done = command_line(*words)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert ["error" in row for row in rows] == [True, False]
    assert done.returncode == 1


def test_each_volume_is_told_when_it_is_done_and_ctrl_c_lets_go_of_the_project(
    cohort, monkeypatch, command_line, capfd
):
    told = []

    def interrupted(path, request, emit, control):
        for key in cohort.keys:
            emit(VolumeProposed(key, key, ["semsim"], 0.9))
            told.append(capfd.readouterr().out)
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_sslseg.training.batch.run_batch", interrupted)
    done = command_line("batch", cohort.path)
    assert done.returncode == 130
    assert [json.loads(line)["volume"] for line in told] == ["first", cohort.keys[1]]
    lock = lock_project(cohort.path)
    assert lock is not None
    unlock_project(lock)


KILLED = """
import os, sys, types
from napari_sslseg.cli import main
from napari_sslseg.training.events import VolumeProposed

def run_batch(path, request, emit, control):
    emit(VolumeProposed("", "disc", ["semsim"], 0.9))
    os._exit(9)

sys.modules["napari_sslseg.training.batch"] = types.SimpleNamespace(run_batch=run_batch)
main()
"""


def test_the_lines_of_finished_volumes_survive_a_kill(cohort):
    command = [sys.executable, "-c", KILLED, "batch", str(cohort.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    row = json.loads(done.stdout)
    assert (row["name"], row["estimated_dice"]) == ("disc", 0.9)
    assert row["how"] == "Estimated Dice 0.90."


def test_a_name_that_the_terminal_cannot_show_stops_nothing(cohort):
    project = cohort.open("")
    project.info.name = "Опухоль é 🙂"
    project.save()
    command = [sys.executable, "-m", "napari_sslseg", "batch", str(cohort.path)]
    done = subprocess.run(
        [*command, "--method", "reference"],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.decode("cp1252").splitlines()]
    assert [row["name"] for row in rows] == [project.info.name, "disc 1"]


def test_nobody_who_reads_is_no_reason_to_stop(cohort, tmp_path):
    command = [sys.executable, "-m", "napari_sslseg", "batch", str(cohort.path)]
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [*command, "--method", "reference"], stdout=subprocess.PIPE, stderr=said
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(120) == 0
    assert "BrokenPipe" not in (tmp_path / "said").read_text()
    assert [cohort.open(key).proposal_version("reference-guided") for key in cohort.keys] == [1, 1]


STOPPED = """
import os, signal, sys, types
from napari_sslseg.cli import main

def run_batch(path, request, emit, control):
    os.kill(os.getpid(), signal.SIGTERM)
    control.check()

sys.modules["napari_sslseg.training.batch"] = types.SimpleNamespace(run_batch=run_batch)
main()
"""


def test_a_polite_kill_stops_between_two_steps(cohort):
    command = [sys.executable, "-c", STOPPED, "batch", str(cohort.path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130, done.stderr


def test_a_project_that_is_open_in_a_window_is_refused(cohort, command_line):
    lock = lock_project(cohort.path)
    assert lock is not None
    further = cohort.path / "volumes" / cohort.keys[1]
    for path in (cohort.path, further):
        done = command_line("batch", path, "--method", "reference")
        assert done.returncode == 2
        assert "is open in another window" in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
    unlock_project(lock)
    assert command_line("batch", cohort.path, "--method", "reference").returncode == 0


def test_no_window_opens_a_project_that_a_batch_works_on(cohort, command_line, monkeypatch):
    def work(path, request, emit, control):
        with pytest.raises(ProjectError, match="or in a batch"):
            lock_project(cohort.path)

    monkeypatch.setattr("napari_sslseg.training.batch.run_batch", work)
    assert command_line("batch", cohort.path).returncode == 0
    lock = lock_project(cohort.path)
    assert lock is not None
    unlock_project(lock)


def test_a_fault_of_a_library_is_not_told_as_the_users(cohort, monkeypatch, command_line):
    def fault(*rest):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr("napari_sslseg.training.batch.run_batch", fault)
    done = command_line("batch", cohort.path)
    assert done.returncode == 1
    assert "ValueError: operands could not be broadcast together" in done.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seconds", "-3"], "more than 0 seconds"),
        (["--seed", "-1"], "The seed must be 0 or more"),
        (["--memory", "0"], "no size of memory"),
        (["--method", "magic"], "no method"),
    ],
)
def test_bad_options_are_one_sentence_and_exit_code_2(cohort, command_line, words, sentence):
    done = command_line("batch", cohort.path, *words)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_damaged_projects_are_told_in_a_sentence(cohort, tmp_path, command_line):
    (tmp_path / "file").write_text("x")
    done = command_line("batch", tmp_path / "file")
    assert (done.returncode, "is not a napari-sslseg project" in done.stderr) == (2, True)
    np.save(cohort.path / "image.npy", np.zeros((3, 24, 24)))
    head = cohort.path / "volumes" / cohort.keys[1] / "project.json"
    head.write_text(head.read_text().replace('"axis": 0', '"axis": 7'))
    done = command_line("batch", cohort.path, "--method", "reference")
    first, second = (json.loads(line)["error"] for line in done.stdout.splitlines())
    for sentence, file in ((first, cohort.path / "image.npy"), (second, head)):
        assert sentence.startswith(f"{file} is damaged, or of another project: ")
        assert sentence.endswith("put back a copy from a backup.")
    assert done.returncode == 1
    head = cohort.path / "project.json"
    for content in ("[1]", '{"a": ', "{}"):
        head.write_text(content)
        done = command_line("batch", cohort.path)
        assert done.returncode == 2
        assert "project.json is damaged, or of another project: the project" in done.stderr
        assert done.stderr.count("\n") == 1
        for word in ("indices", "line 1", "format"):
            assert word not in done.stderr
