"""The trainer process: real processes, real pipes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import psutil
import pytest
from torch import nn

from napari_sslseg.jobs.local import LocalJob
from napari_sslseg.training.checkpoint import save_model
from napari_sslseg.training.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Loss,
    MadeWay,
    Paused,
    ProposalReady,
    Resumed,
)
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.volume.project import Project

from .conftest import SHAPE, make_project


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Start a trainer that serves all tests which neither end it nor break its project."""
    project = make_project(tmp_path_factory.mktemp("shared") / "p")
    job = LocalJob(project.path)
    yield job
    job.close()


@pytest.fixture
def job(project, tmp_path, monkeypatch):
    """Start a trainer where a script of the user has the name of one of Python's modules."""
    (tmp_path / "random.py").write_text("raise SystemExit('a script of the user')")
    monkeypatch.chdir(tmp_path)
    job = LocalJob(project.path)
    yield job
    job.close()


def wait_for(job: LocalJob, kind: type[Event], seconds: float = 90) -> list[Event]:
    """Poll until an event of a kind comes; all events so far."""
    seen: list[Event] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        seen += job.poll()
        if any(isinstance(e, kind) for e in seen):
            return seen
        time.sleep(0.02)
    raise AssertionError(f"no {kind.__name__} in {seconds} s, only {seen}")


def wait_for_rest(job: LocalJob, act: Callable[[], object] = lambda: None) -> None:
    """Poll until the trainer computes nothing; a step of training takes less than a look."""
    process = psutil.Process(job.pid)
    end, before = time.monotonic() + 30, None
    while (spent := process.cpu_times()[:2]) != before:
        assert time.monotonic() < end, "it went on working"
        before = spent
        job.poll()
        act()
        time.sleep(0.25)


def kinds(events: list[Event]) -> list[str]:
    return [e.kind for e in events]


def test_a_run_reports_and_leaves_proposals_once(shared):
    shared.start(TrainRequest(seconds=2))
    events = wait_for(shared, Finished)
    names = kinds(events)
    assert names[0] == "Started"
    assert "Loss" in names
    assert names[-1] == "Finished"
    made = [e.slug for e in events if isinstance(e, ProposalReady)]
    assert {"reference-guided", "semsim"} <= set(made)
    assert set(made) <= set(Project.open(shared.project).proposal_slugs())
    assert names.index("ProposalReady") < names.index("Loss")  # the first one needs no training
    fractions = [e.fraction for e in events if e.kind == "Progress"]
    assert fractions == sorted(fractions)
    assert not shared.running


def test_one_trainer_serves_run_after_run_as_if_each_were_its_first(shared):
    job, pid = shared, shared.pid
    matching = TrainRequest("reference", seconds=5)
    job.start(matching)
    with pytest.raises(RuntimeError, match="at another run"):
        job.start(TrainRequest())
    first = kinds(wait_for(job, Finished))
    assert job.ready
    proposed = Project.open(job.project).read_proposal("reference-guided")
    job.start(TrainRequest(seconds=60))
    wait_for(job, Loss)
    job.cancel(within=10)
    assert kinds(wait_for(job, Cancelled))[-1] == "Cancelled"
    assert job.ready
    job.start(matching)
    assert kinds(wait_for(job, Finished)) == first
    again = Project.open(job.project).read_proposal("reference-guided")
    for name in ("classes", "regions", "confidence"):
        assert np.array_equal(getattr(again, name), getattr(proposed, name)), name
    assert job.alive
    assert job.pid == pid


def test_after_a_failure_the_trainer_leaves(job, project):
    project.ink_store.save(np.full(SHAPE, 255, np.uint8))
    job.start(TrainRequest("reference", seconds=5))
    wait_for(job, Failed)
    assert not job.ready
    job._process.wait(30)
    assert job.memory == 0
    assert job.poll() == []
    with pytest.raises(RuntimeError, match="make a new one"):
        job.start(TrainRequest())


def test_a_trainer_that_does_not_heed_is_killed_and_that_is_told_as_asked_for(job):
    job.start(TrainRequest(seconds=60))
    wait_for(job, Loss)
    psutil.Process(job.pid).suspend()
    begin = time.monotonic()
    job.cancel()
    assert kinds(wait_for(job, Cancelled))[-1] == "Cancelled"
    assert time.monotonic() - begin < 10
    assert not job.ready


def test_a_cancelled_trainer_works_no_more_and_keeps_what_was_proposed(shared):
    shared.start(TrainRequest(seconds=60))
    wait_for(shared, ProposalReady)
    shared.cancel()
    assert "ProposalReady" not in kinds(wait_for(shared, Cancelled))  # none was worked at any more
    assert Project.open(shared.project).read_proposal("reference-guided").classes.any()
    wait_for_rest(shared)


def test_pause_holds_the_steps_and_resume_lets_them_go_on(shared):
    job = shared
    job.start(TrainRequest(seconds=60))
    wait_for(job, Loss)
    job.pause()
    wait_for(job, Paused)
    wait_for_rest(job)
    assert "Loss" not in kinds(job.poll())
    job.resume()
    events = wait_for(job, Resumed)
    assert "Loss" in kinds(events) or wait_for(job, Loss)
    job.cancel()
    wait_for(job, Cancelled)


def wait_for_way(job: LocalJob) -> None:
    """Tell the trainer that the user acts until it makes way."""
    end = time.monotonic() + 30  # it works for a while first
    while not any(isinstance(e, MadeWay) and e.waiting for e in job.poll()):
        assert time.monotonic() < end
        job.make_way(0.4)
        time.sleep(0.1)


def test_the_trainer_makes_way_while_told_and_goes_on_after(shared):
    job = shared
    process = psutil.Process(job.pid)
    process.cpu_affinity(process.cpu_affinity()[:2])  # with many cores there is no need to
    job.start(TrainRequest(seconds=60))
    wait_for(job, Loss)
    wait_for_way(job)
    wait_for_rest(job, lambda: job.make_way(0.5))
    # Nobody says any more that the user acts.
    events = wait_for(job, Loss)
    ended = next(e for e in events if isinstance(e, MadeWay))
    assert not ended.waiting
    assert ended.seconds > 0
    loss = next(e for e in events if isinstance(e, Loss))
    assert 0 < loss.seconds < 60
    job.cancel()
    wait_for(job, Cancelled)


def test_a_trainer_that_makes_way_leaves_with_the_application(job):
    job.start(TrainRequest(seconds=60))
    wait_for(job, ProposalReady)
    wait_for_way(job)
    # What the system does when the application dies.
    assert job._process.stdin is not None
    job._process.stdin.close()
    job._process.wait(30)  # well before its 60 seconds, however busy the machine is


def test_a_killed_trainer_is_reported_clearly(job, project):
    job.start(TrainRequest(seconds=60))
    wait_for(job, ProposalReady)
    psutil.Process(job.pid).kill()
    failed = wait_for(job, Failed, 10)[-1]
    assert isinstance(failed, Failed)
    assert "Your work is safe" in failed.message
    assert project.read_proposal("reference-guided").classes.any()
    assert not job.running


def test_an_idle_trainer_that_is_closed_leaves_no_process(project):
    job = LocalJob(project.path)
    job.close()
    assert not psutil.pid_exists(job.pid)


def test_a_project_that_is_moved_under_a_run_is_not_made_anew(job, project, tmp_path):
    job.start(TrainRequest(seconds=4))
    wait_for(job, ProposalReady)
    project.path.rename(tmp_path / "moved")
    failed = wait_for(job, Failed)[-1]
    assert isinstance(failed, Failed)
    assert failed.message.startswith(f"The project folder {project.path} is no longer there; ")
    assert not project.path.exists()
    with pytest.raises(OSError, match="is no longer there"):
        LocalJob(project.path)
    assert not project.path.exists()
    with pytest.raises(OSError, match="models"):
        save_model(project.models, nn.Linear(1, 1), {})
    assert not project.path.exists()
