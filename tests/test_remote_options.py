"""Commands that work on another computer."""

from __future__ import annotations

import json
import sys

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.jobs.place import Place
from napari_sslseg.jobs.remote_run import run_remotely
from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.volume.cohort import Cohort

from .jobs.conftest import make_project
from .test_cli import AFFINE, volume

THERE = ("--on", "gpu-server", "--python-there", sys.executable)


@pytest.fixture
def propose(tmp_path, command_line):
    """Propose for a small volume, with further words, into a file of some name."""
    image, _, refs = volume()
    for name, array in (("image", image), ("refs", refs)):
        nib.save(nib.Nifti1Image(array, AFFINE), tmp_path / f"{name}.nii.gz")

    def call(name, *words):
        return command_line(
            *("propose", tmp_path / "image.nii.gz", "--references", tmp_path / "refs.nii.gz"),
            *("--method", "reference", "--output", tmp_path / f"{name}.nii.gz", *words),
        )

    return call


def copies(elsewhere):
    return list((elsewhere / ".cache" / "napari-sslseg" / "mirrors").glob("*"))


def test_propose_does_the_same_elsewhere_and_leaves_no_copy_there(propose, tmp_path, elsewhere):
    for name, words in (("here", ()), ("there", THERE)):
        done = propose(name, *words)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["proposal"] == "Reference-guided"
    here, there = (
        np.asarray(nib.load(tmp_path / f"{name}.nii.gz").dataobj) for name in ("here", "there")
    )
    assert np.array_equal(here, there)
    assert copies(elsewhere) == []


@pytest.mark.parametrize(
    ("host", "words"),
    [("two words", "no name of a computer"), ("locked", "set up a key"), ("off", "be reached")],
)
def test_a_computer_that_cannot_be_used_is_one_sentence(propose, tmp_path, elsewhere, host, words):
    done = propose("out", "--on", host)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.nii.gz").exists()


def test_batch_brings_proposals_for_all_volumes_and_the_copy_stays(
    tmp_path, command_line, elsewhere
):
    project = make_project(tmp_path / "p")
    cohort = Cohort(project.path)
    cohort.add(project.image() * 2, project.info, 0).ink_store.save(project.ink_store.load())
    done = command_line("batch", project.path, "--method", "reference", *THERE)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["volume"] for row in rows] == ["first", cohort.keys[1]]
    assert all(cohort.open(key).proposal_slugs() == ["reference-guided"] for key in cohort.keys)
    assert len(copies(elsewhere)) == 1


def test_a_run_that_is_cancelled_leaves_no_copy_either(tmp_path, elsewhere):
    project = make_project(tmp_path / "p")
    control = Control()
    control.cancel()
    slow = Place("gpu-server", f"sleep 30; {sys.executable}")
    with pytest.raises(Cancelled):
        run_remotely(project.path, TrainRequest(), slow, lambda event: None, control, False)
    assert copies(elsewhere) == []
