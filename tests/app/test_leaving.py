"""Closing a project with the button: saved first, and only then gone."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app.shown_slice import remembered_slice
from napari_sslseg.volume.project import Project

pytestmark = pytest.mark.usefixtures("without_window")


def test_leaving_saves_every_stroke_even_one_painted_meanwhile(with_proposal, paint, until):
    viewer, panel = with_proposal
    session = panel.session
    mask = np.zeros((40, 44), bool)
    mask[3:6, 3:6] = True
    paint(session.references.layer, 2, mask, 1)
    panel.volume.leave.click()
    paint(session.references.layer, 3, mask, 1)
    ink = session.references.ink.copy()
    until(lambda: panel.session is None)
    assert [layer.name for layer in viewer.layers] == ["cone"]
    assert panel.volume.leave.isEnabled()
    assert np.array_equal(Project.open(session.project.path).ink_store.load(), ink)


def test_a_project_that_cannot_be_saved_is_not_closed(with_proposal, until, monkeypatch):
    viewer, panel = with_proposal
    session = panel.session

    def full(ink):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session.project.ink_store, "save", full)
    heard = []
    session.trouble.connect(heard.append)
    panel.volume.leave.click()
    until(lambda: bool(heard) and panel.volume.leave.isEnabled())
    assert panel.session is session
    assert "References" in viewer.layers
    monkeypatch.undo()


def test_a_project_opens_at_the_slice_that_was_left(with_proposal, until):
    _, panel = with_proposal
    path = panel.session.project.path
    panel.session.go_to(9)
    panel.volume.leave.click()
    until(lambda: panel.session is None)
    panel.open(path)
    until(lambda: panel.session is not None)
    until(lambda: panel.session.references.current_slice() == 9)
    # What was left along another axis tells nothing of this one.
    panel.session.project.settings["shown_slice"] = [1, 9]
    assert remembered_slice(panel.session.project) is None
    panel.session.project.settings["shown_slice"] = [0, 99]
    assert remembered_slice(panel.session.project) is None
