"""A trainer on another computer: real processes, with a script in place of ssh."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_sslseg.jobs import remote
from napari_sslseg.jobs.local import LocalJob
from napari_sslseg.jobs.mirror import name_of
from napari_sslseg.jobs.mirror_files import listing
from napari_sslseg.jobs.place import Place
from napari_sslseg.jobs.remote import RemoteJob
from napari_sslseg.jobs.trainer_process import TrainerProcess
from napari_sslseg.training.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Loss,
    Progress,
    ProposalReady,
    VolumeProposed,
)
from napari_sslseg.training.facts import Phase
from napari_sslseg.training.request import BatchRequest, TrainRequest
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import Project

from ..conftest import lead_elsewhere
from .conftest import make_project

HERE = Place("gpu-server", sys.executable)
MATCHING = TrainRequest("reference", seconds=5)


def events_until(job: TrainerProcess, kind: type[Event], seconds: float = 90) -> list[Event]:
    """Poll until an event of a kind comes; all events so far."""
    seen: list[Event] = []
    end = time.monotonic() + seconds
    while not any(isinstance(event, kind) for event in seen):
        assert time.monotonic() < end, seen
        seen += job.poll()
        time.sleep(0.02)
    return seen


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Start a trainer on another computer, which serves all tests that do not break it."""
    folder = tmp_path_factory.mktemp("remote")
    project = make_project(folder / "p")
    with pytest.MonkeyPatch.context() as patch:
        lead_elsewhere(folder, patch)
        made = RemoteJob(project.path, HERE)
        yield made
        made.close()


def contents(home: Path) -> dict[str, bytes]:
    return {name: (home / name).read_bytes() for name in listing(home)}


def test_a_run_elsewhere_is_as_one_here(job, tmp_path):
    project = Project.open(job.project)
    shutil.copytree(project.path, tmp_path / "here")
    here = LocalJob(tmp_path / "here")
    here.start(MATCHING)
    before = contents(project.path)
    job.start(MATCHING)
    seen = events_until(job, Finished)
    events_until(here, Finished)
    here.close()
    assert [e.kind for e in seen if not isinstance(e, Progress)] == [
        *("Started", "ProposalReady", "Estimated", "Finished")
    ]
    expected = Project.open(tmp_path / "here").read_proposal("reference-guided")
    found = project.read_proposal("reference-guided")
    for array in ("classes", "regions", "confidence"):
        assert np.array_equal(getattr(found, array), getattr(expected, array)), array
    assert {n: (project.path / n).read_bytes() for n in before} == before  # ink above all
    copies = project.path.parent / "elsewhere" / ".cache" / "napari-sslseg" / "mirrors"
    assert listing(copies / name_of(project.path)) == listing(project.path)


def test_the_same_trainer_learns_what_was_painted_since(job):
    project = Project.open(job.project)
    assert job.ready
    ink = project.ink_store.load()
    ink[3] = 0
    project.ink_store.save(ink)
    job.start(TrainRequest("reference", update=True))
    events_until(job, Finished)
    assert not project.read_proposal("reference-guided").classes[3].any()


def test_proposals_are_here_when_they_are_told_of(job):
    project = Project.open(job.project)
    job.start(TrainRequest(seconds=2))
    told: set[str] = set()
    seen: list[Event] = []
    while job.running:
        for event in job.poll():
            seen.append(event)
            if isinstance(event, ProposalReady):
                told.add(event.slug)
                assert project.proposal_version(event.slug) >= event.version
        time.sleep(0.01)
    assert isinstance(seen[-1], Finished)
    assert told == {"reference-guided", "semsim"}
    assert (project.path / "models" / "model.json").exists()
    assert not (project.path / "kept").exists()  # what an update takes over stays there


def test_a_run_is_cancelled_and_the_trainer_is_ready_again(job):
    job.start(TrainRequest(seconds=60))
    events_until(job, Loss)
    job.make_way(1.0)  # there is nobody to make way for
    job.cancel(within=10)
    assert isinstance(events_until(job, Cancelled, 10)[-1], Cancelled)
    assert job.ready


def test_a_connection_that_breaks_costs_the_run_alone(job):
    job.start(TrainRequest(seconds=60))
    events_until(job, Loss)
    before = contents(job.project)
    psutil.Process(job.pid).kill()
    failed = events_until(job, Failed, 10)[-1]
    assert "gpu-server" in failed.message
    assert "Your work is safe" in failed.message
    assert contents(job.project) == before
    assert not job.ready


def test_closing_ends_both_connections(job):
    pids = [job.pid, job._mirror._process.pid]
    job.close()
    end = time.monotonic() + 5
    while any(psutil.pid_exists(pid) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_run_can_be_cancelled_before_it_has_begun(elsewhere, project):
    job = RemoteJob(project.path, Place("gpu-server", f"sleep 30; {sys.executable}"))
    job.start(MATCHING)
    job.cancel()
    seen = events_until(job, Cancelled, 5)
    assert [event.kind for event in seen] == ["Cancelled"]
    assert not job.ready
    job.close()


def test_who_cannot_be_reached_is_told_in_a_sentence(elsewhere, project):
    job = RemoteJob(project.path, Place("locked", sys.executable))
    job.start(MATCHING)
    (failed,) = events_until(job, Failed, 20)
    assert "set up a key" in failed.message
    assert not job.running
    job.close()


def test_a_further_volume_is_trained_within_its_project(elsewhere, project, monkeypatch):
    monkeypatch.setattr(remote, "_TELL_EVERY", 0.0)
    cohort = Cohort(project.path)
    further = cohort.add(project.image() * 2, project.info, 0)
    further.ink_store.save(project.ink_store.load())
    job, all_of_them = RemoteJob(further.path, HERE), RemoteJob(project.path, HERE)
    job.start(MATCHING)
    told = events_until(job, Finished)
    copied = [e.fraction for e in told if isinstance(e, Progress) and e.phase == Phase.SENDING]
    assert copied == sorted(copied)
    assert copied[-1] == 1
    assert further.proposal_slugs() == ["reference-guided"]
    assert project.proposal_slugs() == []

    all_of_them.start(BatchRequest(MATCHING, tuple(cohort.keys)))
    told = events_until(all_of_them, Finished)
    all_of_them.close()
    assert [e.volume for e in told if isinstance(e, VolumeProposed)] == cohort.keys
    assert further.proposal_version("reference-guided") == 2
    assert project.proposal_version("reference-guided") == 1

    shutil.rmtree(project.path)
    job.start(MATCHING)
    failed = events_until(job, Failed, 30)[-1]
    job.close()
    assert str(project.path) in failed.message
    assert not project.path.exists()
