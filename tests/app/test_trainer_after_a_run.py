"""Whether a trainer waits for the next run when one is over, and which."""

from __future__ import annotations

import psutil
import pytest

from napari_sslseg.app import training_run
from napari_sslseg.app.rounds import MAKE_ROOM
from napari_sslseg.app.training_run import TrainingRun
from napari_sslseg.training.events import Finished, ProposalReady
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project

from .conftest import SHAPE, make_volume

pytestmark = pytest.mark.usefixtures("warm_trainer")

#: Takes a second, once torch is there.
MATCHING = TrainRequest(preset="reference", seconds=5.0, device="cpu")


@pytest.fixture
def make_run(qapp, tmp_path, monkeypatch):
    """Start runs on a small volume; what comes after a run comes at once."""
    monkeypatch.setattr(training_run, "WARM_UP_AFTER_MS", 1)
    image, truth = make_volume()
    info = ImageInfo("cone", SHAPE, (1.0, 1.0, 1.0))
    project = Project.create(tmp_path / "home", image, info, ClassTable.from_ids([1]), 0)
    ink = project.ink_store.load()
    ink[1::4] = truth[1::4]
    project.ink_store.save(ink)
    runs = []

    def make(request=MATCHING, **options):
        run = TrainingRun(project.path, **options)
        runs.append(run)
        start(run, request)
        return run

    yield make
    for run in runs:
        run.close()


def start(run: TrainingRun, request: TrainRequest) -> None:
    run.prepare(request)
    run.start_prepared()


@pytest.mark.parametrize("again", [True, False])
def test_a_trainer_waits_only_where_a_next_run_is_expected(again, make_run, until, qtbot):
    run = make_run(again=again)
    first = run.pid
    assert first is not None
    run.cancel()
    until(lambda: not run.busy)
    until(lambda: not psutil.pid_exists(first))  # it was at its imports, and heeded nothing
    if again:
        until(lambda: run.pid not in (None, first))
    else:
        qtbot.wait(100)
        assert run.pid is None


def test_the_next_run_is_served_by_the_same_trainer_unless_that_has_become_large(
    make_run, until, monkeypatch
):
    run = make_run()
    first, told = run.pid, []
    run.said.connect(told.append)
    until(lambda: not run.busy)
    start(run, MATCHING)
    until(lambda: not run.busy)
    assert [isinstance(event, Finished) for event in told].count(True) == 2
    assert run.pid == first
    run.warm_up()
    assert run.pid == first
    monkeypatch.setattr(training_run, "MOST_KEPT", 1)
    run.warm_up()
    assert run.pid not in (None, first)
    until(lambda: not psutil.pid_exists(first))


def test_a_run_that_makes_room_leaves_its_trainer_to_the_next_one(make_run, until):
    run = make_run(TrainRequest(preset="auto", seconds=60.0, device="cpu"))
    first, told = run.pid, []
    run.said.connect(told.append)
    until(lambda: any(isinstance(event, ProposalReady) for event in told))
    run.cancel(MAKE_ROOM)
    until(lambda: not run.busy)
    start(run, MATCHING)
    until(lambda: not run.busy)
    assert isinstance(told[-1], Finished)
    assert run.pid == first
