"""The window closes when all is saved, and not before without asking."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_sslseg.app import closing
from napari_sslseg.volume.project import Project

BUTTONS = QMessageBox.StandardButton


def test_a_window_that_stays_open_goes_on_saving(with_proposal, paint, until, monkeypatch):
    viewer, panel = with_proposal
    session = panel.session
    window = viewer.window._qt_window
    window.show()
    with monkeypatch.context() as asking:  # the user presses Cancel when napari asks
        asking.setattr(type(window), "closeEvent", lambda window, event: event.ignore())
        window.close()
    assert panel.session is session
    mask = np.zeros((40, 44), bool)
    mask[3:6, 3:6] = True
    paint(session.references.layer, 2, mask, 1)
    until(lambda: not session.autosave.pending)
    ink = session.references.ink.copy()
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)
    viewer.close()
    assert panel.session is None


def stroke(panel, paint) -> np.ndarray:
    mask = np.zeros((40, 44), bool)
    mask[3:6, 3:6] = True
    paint(panel.session.references.layer, 2, mask, 1)
    return panel.session.references.ink.copy()


@pytest.fixture
def full_disk(with_proposal, monkeypatch):
    """Give the panel on a full disk, and the answers that the user gives when asked."""
    viewer, panel = with_proposal
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


def test_nobody_is_asked_when_all_is_saved(with_proposal, paint, monkeypatch):
    viewer, panel = with_proposal
    session, ink = panel.session, stroke(panel, paint)
    monkeypatch.setattr(closing, "_ask", lambda *given: pytest.fail("asked"))
    viewer.close()
    assert np.array_equal(Project.open(session.project.path).ink_store.read(), ink)
