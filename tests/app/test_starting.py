"""A project that is made while the user paints on the layer that is adopted."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from napari_sslseg.app import starting
from napari_sslseg.volume.project import Project

from .conftest import make_volume

pytestmark = pytest.mark.usefixtures("without_window")

MASK = np.zeros((40, 44), bool)
MASK[3:8, 3:8] = True


@pytest.fixture
def slow(make_panel, monkeypatch):
    """Give a viewer whose project is not ready until it is told to be."""
    viewer, panel = make_panel()
    image, truth = make_volume()
    viewer.add_image(image, name="cone")
    ink = np.full(image.shape, 255, np.uint8)
    ink[2] = truth[2]
    layer = viewer.add_labels(ink, name="References")
    reading, go_on, plainly = threading.Event(), threading.Event(), starting.make_project

    def slowly(*args):
        reading.set()
        assert go_on.wait(30)
        return plainly(*args)

    monkeypatch.setattr(starting, "make_project", slowly)
    return viewer, panel, layer, reading, go_on


def test_what_is_painted_while_the_project_is_made_comes_along(slow, paint, until):
    viewer, panel, layer, reading, go_on = slow
    panel.volume.start.click()
    until(reading.is_set)
    paint(layer, 5, MASK, 1)
    paint(layer, 6, MASK, 3)
    go_on.set()
    until(lambda: panel.session is not None)
    session = panel.session
    assert (session.references.ink[5][MASK] == 1).all()
    assert session.references.references() == [2]
    assert session.references.partial() == [5, 6]
    assert 3 in session.classes
    assert layer not in viewer.layers
    on_disk = Project.open(session.project.path).ink_store.read()
    assert np.array_equal(on_disk, session.references.ink)


def test_a_stroke_that_is_being_drawn_is_waited_for(slow, paint, until, monkeypatch):
    viewer, panel, layer, reading, go_on = slow
    panel.volume.start.click()
    until(reading.is_set)

    class Event:
        type = "mouse_move"

    drags = [watch(layer, Event) for watch in layer.mouse_drag_callbacks if "_watch" in repr(watch)]
    for drag in drags:
        next(drag)
    put_off, timer = [], starting.QTimer

    def look_again(milliseconds, call):
        put_off.append(milliseconds)
        timer.singleShot(milliseconds, call)

    monkeypatch.setattr(starting, "QTimer", SimpleNamespace(singleShot=look_again))
    go_on.set()
    until(lambda: len(put_off) > 1)  # the project is there, and it was looked twice
    assert panel.session is None
    assert layer in viewer.layers
    paint(layer, 5, MASK, 1)
    Event.type = "mouse_release"
    for drag in drags:
        with pytest.raises(StopIteration):
            next(drag)
    until(lambda: panel.session is not None)
    assert (panel.session.references.ink[5][MASK] == 1).all()
    assert not any("_Painting" in repr(watch) for watch in layer.mouse_drag_callbacks)


def test_a_drag_paints_from_the_start(started):
    viewer, panel = started
    layer = panel.session.references.layer
    assert viewer.layers.selection.active is layer
    assert (layer.mode, layer.selected_label) == ("paint", 1)
    assert "brush" in panel.volume.hint.text()
