"""A project in a folder that can only be read."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from napari_sslseg.app import panel as panel_module
from napari_sslseg.app import saving, training_run
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo, Project

pytestmark = pytest.mark.usefixtures("saved_soon", "without_window")


@pytest.fixture
def locked(started, until, monkeypatch):
    """Give a panel that has opened such a project, and what the user was told."""
    _, panel = started
    path = panel.session.project.path
    panel.leave()
    until(lambda: panel.session is None)
    other = ImageInfo("other", (3, 4, 5), (1.0, 1.0, 1.0))
    Cohort(path).add(np.arange(60, dtype=np.uint8).reshape(3, 4, 5), other, 0)
    heard = []

    def refuse(*args, **options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(panel_module, "show_warning", heard.append)
    monkeypatch.setattr(saving.os, "access", lambda path, mode: False)
    monkeypatch.setattr(Project, "save", refuse)
    monkeypatch.setattr(training_run, "LocalJob", refuse)
    panel.open(path)
    until(lambda: panel.session is not None)
    return panel, heard


def test_it_opens_as_any_other_and_says_once_that_nothing_is_saved(warm_trainer, locked, until):
    panel, heard = locked
    until(lambda: not panel.session.autosave.pending)
    until(lambda: bool(heard))
    assert len(heard) == 1
    assert "can only be read" in heard[0]
    assert str(panel.session.project.path) in heard[0]
    assert panel.references.is_open
    assert panel.train.is_open
    assert panel.session.training.pid is None
    panel.session.training.warm_up()  # again, as after a run
    # Nor is it said of each volume, or when it ends.
    panel.volumes.switch_wanted.emit(panel.cohort.cohort.folder("001-other"))
    until(lambda: panel.session is not None and panel.cohort.current == "001-other")
    until(lambda: not panel.session.autosave.pending)
    panel.leave()
    until(lambda: panel.session is None)
    assert len(heard) == 1
