"""Work off the GUI thread lets go of what it was given."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QThreadPool

from napari_sslseg.app.background import in_background


class Held(np.ndarray):
    """An array that can be referred to weakly."""


def array() -> Held:
    return np.zeros(10).view(Held)


def test_results_and_errors_arrive_and_nothing_is_kept(qtbot):
    found = []
    kept = []
    for fails in (False, True):
        given, taken = array(), array()
        kept += [weakref.ref(given), weakref.ref(taken)]

        def work(given=given, fails=fails):
            if fails:
                raise ValueError("no")
            return given.size

        def done(value, taken=taken):
            found.append(value + taken.size)

        def failed(error, taken=taken):
            found.append(str(error))

        in_background(work, done, failed)
        del given, taken, work, done, failed
    qtbot.waitUntil(lambda: len(found) == 2, timeout=10_000)
    assert sorted(map(str, found)) == ["20", "no"]

    def freed() -> bool:
        gc.collect()
        return not any(ref() is not None for ref in kept)

    qtbot.waitUntil(freed, timeout=5_000)


def test_nothing_is_told_to_what_qt_has_deleted_meanwhile(qtbot):
    told = []
    for stays in (False, True):
        owner, waiting = QObject(), threading.Event()
        for work in (waiting.wait, lambda waiting=waiting: waiting.wait() and 1 / 0):
            in_background(work, told.append, told.append, owner)
        if not stays:
            owner.deleteLater()
            QCoreApplication.sendPostedEvents(owner, QEvent.Type.DeferredDelete)
        waiting.set()
        qtbot.waitUntil(lambda: not QThreadPool.globalInstance().activeThreadCount())
        qtbot.waitUntil(lambda stays=stays: len(told) == 2 * stays)
    assert sorted(map(str, told)) == ["True", "division by zero"]


def test_a_closed_session_lets_go_of_its_image(make_panel, until, qtbot):
    viewer, panel = make_panel()
    layer = viewer.add_image(np.zeros((6, 40, 44), np.uint8), name="brain")
    image = weakref.ref(layer)
    panel.volume.start.click()
    until(lambda: panel.session is not None)
    session = weakref.ref(panel.session)
    panel.close_session()
    del layer
    viewer.layers.clear()

    def freed() -> bool:
        gc.collect()
        return image() is None and session() is None

    until(freed, seconds=20)
