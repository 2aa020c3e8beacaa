"""Slices that were labelled are not turned away from by an accident."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.usefixtures("without_window")


def choose(panel, axis: int) -> None:
    """Choose an axis as the user does."""
    row = panel.volume.axis.findData(axis)
    panel.volume.axis.setCurrentIndex(row)
    panel.volume.axis.activated.emit(row)


def test_another_axis_is_asked_about_when_there_is_ink(started, paint):
    _, panel = started
    volume, project = panel.volume, panel.session.project
    choose(panel, 1)
    assert project.axis == 1  # nothing was labelled
    assert volume.axis_question.isHidden()
    choose(panel, 0)
    ink = panel.session.references.ink
    paint(panel.session.references.layer, 3, panel.truth[3] == 1, 1)
    panel.session.references.mark(3)
    painted = ink.copy()
    choose(panel, 2)
    assert project.axis == 0
    assert not volume.axis_question.isHidden()
    assert "a slice" in volume.axis_question.text.text()
    volume.axis_question.keep.click()
    assert volume.axis_question.isHidden()
    assert (project.axis, volume.axis.currentData()) == (0, 0)
    choose(panel, 2)
    volume.axis_question.turn.click()
    assert (project.axis, volume.axis.currentData()) == (2, 2)
    assert (panel.session.references.ink == painted).all()
    choose(panel, 2)
    assert volume.axis_question.isHidden()  # it is the one in use
    choose(panel, 0)
    assert volume.axis_question.isHidden()  # along this one there are no references to leave
    assert (project.axis, panel.session.references.references()) == (0, [3])
