"""The window closes when all is saved, and not before without asking."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QMessageBox, QProgressDialog

from napari_sslseg.app import closing
from napari_sslseg.app.layer_roles import role_of
from napari_sslseg.app.panel import LoopPanel
from napari_sslseg.app.project_lock import ProjectLock
from napari_sslseg.volume.project import Project

BUTTONS = QMessageBox.StandardButton


def test_a_window_that_stays_open_goes_on_saving(with_proposal, paint, until, monkeypatch):
    viewer, panel = with_proposal
    session = panel.session
    window = viewer.window._qt_window
    window.show()
    answers = ["Cancel"]  # of the user, when napari asks
    close = type(window).closeEvent

    def ask(window, event):
        if answers.pop() == "Cancel":
            event.ignore()
        else:
            close(window, event)

    # For as long as the window lives: PySide6 looks a window's functions up once.
    monkeypatch.setattr(type(window), "closeEvent", ask)
    window.close()
    assert panel.session is session
    mask = np.zeros((40, 44), bool)
    mask[3:6, 3:6] = True
    paint(session.references.layer, 2, mask, 1)
    until(lambda: not session.autosave.pending)
    ink = session.references.ink.copy()
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)
    answers.append("OK")
    viewer.close()
    assert panel.session is None


def stroke(panel, paint) -> np.ndarray:
    mask = np.zeros((40, 44), bool)
    mask[3:6, 3:6] = True
    paint(panel.session.references.layer, 2, mask, 1)
    return panel.session.references.ink.copy()


@pytest.fixture
def full_disk(started, monkeypatch):
    """Give the panel on a full disk, and the answers that the user gives when asked."""
    viewer, panel = started
    answers, asked = [], []

    def full(ink):
        raise OSError(28, "No space left on device")

    def answer(reason, session):
        asked.append(reason)
        if answers[0] == BUTTONS.Retry:
            monkeypatch.delattr(panel.session.project.ink_store, "save")
        return answers.pop(0)

    monkeypatch.setattr(panel.session.project.ink_store, "save", full)
    monkeypatch.setattr(closing, "_ask", answer)
    return viewer, panel, answers, asked


def test_a_window_whose_strokes_cannot_be_saved_stays_when_the_user_says_so(full_disk, paint):
    viewer, panel, answers, asked = full_disk
    session, ink = panel.session, stroke(panel, paint)
    answers.append(BUTTONS.Cancel)
    viewer.window._qt_window.close()
    assert asked == ["No space left on device"]
    assert panel.session is session
    assert np.array_equal(session.references.ink, ink)
    answers.append(BUTTONS.Retry)  # after making room
    viewer.close()
    assert panel.session is None
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)


def test_a_user_may_give_up_what_cannot_be_saved(full_disk, paint):
    viewer, panel, answers, asked = full_disk
    stroke(panel, paint)
    answers.append(BUTTONS.Discard)
    viewer.close()
    assert panel.session is None
    assert len(asked) == 1


def test_nobody_is_asked_when_all_is_saved(started, paint, monkeypatch):
    viewer, panel = started
    session, ink = panel.session, stroke(panel, paint)
    monkeypatch.setattr(closing, "_ask", lambda *given: pytest.fail("asked"))
    viewer.close()
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)


def docked(panel) -> QDockWidget:
    widget = panel.parentWidget()
    while not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget


def float_panel(viewer, panel) -> QDockWidget:
    viewer.window._qt_window.show()
    dock = docked(panel)
    dock.title.float_button.click()
    QApplication.processEvents()
    assert panel.window() is dock
    return dock


@pytest.mark.parametrize("how", ["button", "window manager"])
def test_a_floating_panel_that_is_hidden_goes_on_saving(started, paint, until, how):
    viewer, panel = started
    session, dock = panel.session, float_panel(viewer, panel)
    dock.title.hide_button.click() if how == "button" else dock.close()
    QApplication.processEvents()
    assert not dock.isVisible()
    assert panel.session is session
    ink = stroke(panel, paint)
    until(lambda: session.saving.up_to_date)
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)
    viewer.close()
    assert panel.session is None


def test_the_window_of_a_floating_panel_asks_too(full_disk, paint):
    viewer, panel, answers, asked = full_disk
    session = panel.session
    float_panel(viewer, panel)
    ink = stroke(panel, paint)
    answers.append(BUTTONS.Cancel)
    viewer.window._qt_window.close()
    assert len(asked) == 1
    assert panel.session is session
    answers.append(BUTTONS.Retry)
    viewer.close()
    assert panel.session is None
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)


def test_a_window_that_stayed_open_may_hide_afterwards(started, monkeypatch):
    viewer, panel = started
    session, window = panel.session, viewer.window._qt_window
    window.show()
    with monkeypatch.context() as asking:
        asking.setattr(type(window), "closeEvent", lambda window, event: event.ignore())
        window.close()
    QApplication.processEvents()
    window.setWindowFlags(window.windowFlags() | Qt.WindowType.WindowStaysOnTopHint)
    window.show()
    assert panel.session is session


def test_a_session_ends_when_the_answer_to_napari_took_a_while(started, monkeypatch):
    viewer, panel = started
    window = viewer.window._qt_window
    window.show()
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)  # the viewer is used up later

    def ask(window, event):
        question = QEventLoop()
        QTimer.singleShot(200, question.quit)
        question.exec()
        assert panel.session is not None
        event.accept()

    with monkeypatch.context() as asking:
        asking.setattr(type(window), "closeEvent", ask)
        window.close()
    assert panel.session is None


@pytest.mark.parametrize("floating", [False, True])
def test_a_panel_that_is_closed_saves_and_lets_another_one_go_on(
    with_proposal, paint, until, floating
):
    viewer, panel = with_proposal
    path = panel.session.project.path
    dock = float_panel(viewer, panel) if floating else docked(panel)
    ink = stroke(panel, paint)
    dock.title.close_button.click()
    until(lambda: panel.session is None)
    assert [layer.name for layer in viewer.layers] == ["cone"]
    assert np.array_equal(Project.open(path).ink_store.read(), ink)
    other = LoopPanel(viewer)
    viewer.window.add_dock_widget(other, name="Segment a volume")
    other.open(path)
    until(lambda: other.session is not None)
    other.close_session()


def test_a_panel_whose_strokes_cannot_be_saved_comes_back(full_disk, paint, until):
    viewer, panel, answers, asked = full_disk
    viewer.window._qt_window.show()
    session, ink = panel.session, stroke(panel, paint)
    answers.append(BUTTONS.Cancel)
    docked(panel).title.close_button.click()
    until(lambda: len(asked) == 1 and panel.isVisible())
    assert panel.session is session
    assert docked(panel).windowTitle() == "Segment a volume"
    answers.append(BUTTONS.Retry)
    viewer.close()
    assert panel.session is None
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)


def test_a_window_that_closes_while_its_panel_is_being_closed_loses_nothing(started, paint):
    viewer, panel = started
    session, ink = panel.session, stroke(panel, paint)
    docked(panel).title.close_button.click()
    viewer.close()
    assert panel.session is None
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)


def test_a_panel_that_was_closed_goes_with_the_window(make_panel, until):
    viewer, panel = make_panel()
    viewer.window._qt_window.show()
    docked(panel).title.close_button.click()
    QApplication.processEvents()
    assert isalive(panel)  # a script may dock it again
    viewer.window.add_dock_widget(LoopPanel(viewer), name="Segment a volume")
    viewer.close()
    until(lambda: not isalive(panel), 20)


def test_a_panel_that_moves_to_another_dock_keeps_its_session(started, until):
    viewer, panel = started
    session = panel.session
    viewer.window.remove_dock_widget(docked(panel))
    viewer.window.add_dock_widget(panel, name="Elsewhere")
    QApplication.processEvents()
    assert panel.session is session


def test_a_project_that_opens_after_its_panel_was_closed_is_let_go(with_proposal, until):
    viewer, panel = with_proposal
    path = panel.session.project.path
    panel.close_session()
    begun = []
    panel.open(path)
    docked(panel).title.close_button.click()
    begin = panel._begin
    panel._begin = lambda *given: (begin(*given), begun.append(panel.session))
    until(lambda: bool(begun) and panel.session is None)
    assert begun[0] is not None
    assert not any(role_of(layer) for layer in viewer.layers)
    again = ProjectLock()
    again.take(path)
    again.release()


@pytest.fixture
def slow_disk(started, monkeypatch):
    """Give the panel on a disk that takes nothing before the event is set."""
    viewer, panel = started
    go = threading.Event()
    save = panel.session.project.ink_store.save

    def slow(ink):
        assert go.wait(20)
        return save(ink)

    monkeypatch.setattr(panel.session.project.ink_store, "save", slow)
    yield viewer, panel, go
    go.set()


def in_event_loop(work) -> None:
    """Call a function as an application does, from a running event loop."""
    loop = QEventLoop()

    def do():
        try:
            work()
        finally:
            loop.quit()

    QTimer.singleShot(0, do)
    loop.exec()


def when_asked_to_wait(act) -> QTimer:
    """Call a function with the window that tells of saving, as soon as there is one."""
    timer = QTimer()

    def look():
        box = QApplication.activeModalWidget()
        if isinstance(box, QProgressDialog):
            timer.stop()
            act(box)

    timer.timeout.connect(look)
    timer.start(20)
    return timer


def test_a_window_lives_while_a_slow_disk_takes_the_last_strokes(slow_disk, paint):
    viewer, panel, go = slow_disk
    session, ink = panel.session, stroke(panel, paint)
    waited = []

    def act(box):
        waited.append(box.labelText())
        viewer.window._qt_window.close()  # once more: the first close is not answered yet
        assert panel.session is session
        go.set()

    timer = when_asked_to_wait(act)
    in_event_loop(viewer.close)
    assert waited
    assert not timer.isActive()
    assert panel.session is None
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)


def test_a_user_who_will_not_wait_keeps_the_window(slow_disk, paint, until):
    viewer, panel, go = slow_disk
    session, ink = panel.session, stroke(panel, paint)
    window = viewer.window._qt_window
    window.show()
    timer = when_asked_to_wait(lambda box: box.cancel())
    in_event_loop(window.close)
    assert not timer.isActive()
    assert window.isVisible()
    assert panel.session is session
    go.set()
    until(lambda: session.saving.up_to_date)
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)
    viewer.close()
    assert panel.session is None


def test_a_script_waits_for_a_slow_disk_without_a_window(slow_disk, paint):
    viewer, panel, go = slow_disk
    session, ink = panel.session, stroke(panel, paint)
    threading.Timer(2 * closing.PATIENCE, go.set).start()
    viewer.close()
    assert panel.session is None
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)
