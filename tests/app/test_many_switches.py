"""Showing one volume after another leaves nothing behind."""

from __future__ import annotations

import gc
from collections import Counter

import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtWidgets import QApplication

from napari_sslseg.app.background import in_background
from napari_sslseg.app.session import Session
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo, Project
from napari_sslseg.volume.proposal import Proposal

SHAPE = (4, 12, 14)


def counted(viewer) -> Counter[str]:
    """Count what a volume brings with it, and would leave in memory."""
    gc.collect()
    models = (viewer, viewer.layers, viewer.dims, viewer.scene.camera, viewer.cursor)
    emitters = [e for model in models for e in getattr(model.events, "emitters", {}).values()]
    live = gc.get_objects()
    return Counter(
        layers=sum(isinstance(one, Layer) for one in live),
        sessions=sum(isinstance(one, Session) for one in live),
        widgets=len(QApplication.allWidgets()),
        callbacks=sum(len(emitter.callbacks) for emitter in emitters),
        mouse=len(viewer.mouse_move_callbacks) + len(viewer.mouse_drag_callbacks),
    )


@pytest.mark.usefixtures("without_window")
def test_what_is_counted_after_switches_does_not_grow(make_panel, home, until, all_read):
    image = np.random.default_rng(0).integers(0, 99, SHAPE).astype(np.uint8)
    infos = [ImageInfo(name, SHAPE, (1.0, 1.0, 1.0)) for name in ("first", "second")]
    projects = [Project.create(home, image, infos[0], ClassTable.from_ids([1]), 0)]
    projects.append(Cohort(home).add(image + 1, infos[1], 0))
    for project in projects:
        labels = (image > 50).astype(np.uint8)
        sure = np.full(SHAPE, 200, np.uint8)
        project.write_proposal(Proposal("SemSim", labels, labels + 1, sure, {"shares": {}}))
    viewer, panel = make_panel()
    panel.open(home)

    def shown(project: Project) -> bool:
        session = panel.session
        return (
            session is not None
            and session.project.path == project.path
            and not panel.switching.under_way
            and bool(session.proposals)
        )

    def there_and_back() -> Counter[str]:
        for project in reversed(projects):
            panel.switching.to(project.path)
            until(lambda project=project: shown(project))
            all_read()
        return counted(viewer)

    until(lambda: shown(projects[0]))
    there_and_back()
    before = there_and_back()
    assert there_and_back() - before == Counter()


def test_napari_forgets_work_that_is_done(make_napari_viewer, until, all_read):
    tasks = make_napari_viewer().window._task_status_manager._tasks
    found = []
    for _ in range(6):
        in_background(lambda: 1, found.append, print)
        all_read()
    until(lambda: len(found) == 6)
    assert len(tasks) == 1
    assert not any(str(task.state()[2]) == "busy" for task in tasks.values())
