"""By what means a run matches."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.training.control import Control
from napari_sslseg.training.memory import propagating
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.run_context import RunContext
from napari_sslseg.training.session import run_project
from napari_sslseg.training.whole_volume import WholeVolume


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    """Let there be four cores."""
    monkeypatch.setattr("napari_sslseg.training.run_context.usable_cores", lambda: 4)


@pytest.mark.parametrize(("more", "together"), [(0, 1), (0.9, 1), (1, 2), (2.5, 3), (100, 4)])
def test_references_are_left_out_together_as_memory_and_cores_allow(project, stack, more, together):
    each = propagating(stack.ink.numel(), stack.classes)
    run = RunContext(
        WholeVolume(project, stack), TrainRequest(), print, Control(), spare=int(more * each)
    )
    assert run.matched_together == together
    assert run.execution().workers == 4
    assert run.execution(None, together).workers == 4 // together


def test_with_less_memory_than_a_run_needs_they_are_left_out_one_by_one(project, stack):
    run = RunContext(WholeVolume(project, stack), TrainRequest(), print, Control(), spare=-(2**30))
    assert run.matched_together == 1


def test_what_is_estimated_does_not_depend_on_how_many_are_left_out_together(project, monkeypatch):
    found = []
    for cores in (1, 4):
        monkeypatch.setattr(
            "napari_sslseg.training.run_context.usable_cores", lambda cores=cores: cores
        )
        run_project(project.path, TrainRequest("reference"), lambda event: None, Control())
        found.append(project.read_proposal("reference-guided"))
    one, four = found
    assert one.info["estimate"] == four.info["estimate"]
    assert np.array_equal(one.classes, four.classes)
