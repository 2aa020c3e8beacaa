"""What the trainer makes of errors: an event with a sentence, and a log with the rest."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.jobs.worker import serve
from napari_sslseg.training import batch, session
from napari_sslseg.training.control import Control
from napari_sslseg.training.events import Failed, VolumeFailed
from napari_sslseg.training.request import BatchRequest, TrainRequest
from napari_sslseg.training.stack import TrainingError
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.project import ImageInfo, Project

RUN = TrainRequest("reference", seconds=5)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "The memory is full; close other programs"),
        (RuntimeError("CUDA out of memory."), "The GPU's memory is full; choose the CPU"),
        (TypeError("no number"), "An unexpected error ended this (TypeError: no number)."),
    ],
)
def test_an_error_is_a_sentence_and_its_traceback_is_in_the_log(
    tmp_path, monkeypatch, capsys, error, sentence
):
    def fail(*rest):
        raise error

    monkeypatch.setattr(session, "run_project", fail)
    events = []
    assert serve(tmp_path, RUN.to_json(), Control(), events.append) == 1
    (failed,) = events
    assert isinstance(failed, Failed)
    assert failed.message.startswith(sentence)
    assert "in fail" in failed.detail
    assert failed.detail in capsys.readouterr().err


def test_what_is_the_users_to_mend_is_told_without_a_traceback(tmp_path, capsys):
    events = []
    assert serve(tmp_path / "none", RUN.to_json(), Control(), events.append) == 1
    assert events == [Failed(f"{tmp_path / 'none'} is not a napari-sslseg project folder.")]
    assert capsys.readouterr().err == ""


def test_an_image_without_ink_is_one_clear_sentence(tmp_path, capsys):
    info = ImageInfo("noise", (4, 8, 8), (1.0, 1.0, 1.0))
    image = np.random.default_rng(0).normal(size=info.shape)
    project = Project.create(tmp_path / "p", image, info, ClassTable.from_ids([1]), 0)
    events = []
    assert serve(project.path, RUN.to_json(), Control(), events.append) == 1
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert "paint at least one class" in failed.message
    assert "Traceback" not in failed.message + capsys.readouterr().err


def test_a_volume_of_a_batch_leaves_its_traceback_in_the_log_too(tmp_path, monkeypatch, capsys):
    told = VolumeFailed("a", "a", "A sentence.", "Traceback of a")
    monkeypatch.setattr(batch, "run_batch", lambda path, request, emit, control: emit(told))
    events = []
    request = BatchRequest(RUN, ("a",)).to_json()
    assert serve(tmp_path, request, Control(), events.append) == 0
    assert events == [told]
    assert capsys.readouterr().err == "Traceback of a\n"


@pytest.mark.parametrize(
    "error", [OSError(2, "No such file or directory", "models"), TrainingError("A file is lost.")]
)
def test_a_project_that_was_moved_under_a_run_is_told(tmp_path, monkeypatch, error):
    project = tmp_path / "p"
    project.mkdir()
    (project / "project.json").write_text("{}")

    def fail(*rest):
        project.rename(tmp_path / "elsewhere")
        raise error

    monkeypatch.setattr(session, "run_project", fail)
    events = []
    assert serve(project, RUN.to_json(), Control(), events.append) == 1
    (failed,) = events
    assert failed.message.startswith(f"The project folder {project} is no longer there; ")
    assert failed.detail == ""
