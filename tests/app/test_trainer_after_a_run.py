"""Whether a trainer waits for the next run when one is over."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from napari_sslseg.app import training_run
from napari_sslseg.app.training_run import TrainingRun
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project


@pytest.mark.usefixtures("warm_trainer")
@pytest.mark.parametrize("again", [True, False])
def test_a_trainer_waits_only_where_a_next_run_is_expected(
    again, qapp, tmp_path, until, monkeypatch
):
    monkeypatch.setattr(training_run, "WARM_UP_AFTER_MS", 1)
    image, info = np.zeros((2, 8, 8), np.uint8), ImageInfo("a", (2, 8, 8), (1.0, 1.0, 1.0))
    Project.create(tmp_path / "home", image, info, ClassTable.from_ids([1]), 0)
    run = TrainingRun(tmp_path / "home", again=again)
    run.prepare(TrainRequest(preset="auto", seconds=5.0, device="cpu"))
    run.start_prepared()
    first = run.pid
    assert first is not None
    run.cancel()
    until(lambda: not run.busy)
    until(lambda: run.pid != first)
    until(lambda: not psutil.pid_exists(first))
    assert (run.pid is not None) == again
    run.close()
