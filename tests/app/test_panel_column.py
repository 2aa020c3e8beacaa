"""Steps that are done with close by themselves, but nothing moves under the pointer."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import QApplication, QMenu

pytestmark = pytest.mark.usefixtures("without_window")


@pytest.fixture
def pointer(started):
    """Give the panel, and what moves the pointer on and off the steps."""
    _, panel = started

    def move(over: bool) -> None:
        panel.column.setAttribute(Qt.WidgetAttribute.WA_UnderMouse, over)
        kind = QEvent.Type.Enter if over else QEvent.Type.Leave
        QApplication.sendEvent(panel.column, QEvent(kind))

    return panel, move


def label(panel, paint, index: int) -> None:
    references = panel.session.references
    paint(references.layer, index, panel.truth[index] == 1, 1)
    references.mark(index)


def test_the_first_step_is_done_with_the_first_reference(pointer, paint):
    panel, move = pointer
    panel.session.go_to(4)
    paint(panel.session.references.layer, 4, panel.truth[4] == 1, 1)
    assert panel.volume.is_open, "a class may still be missing"
    assert "brush" not in panel.volume.hint.text(), "that is known by now"
    move(True)
    label(panel, paint, 5)
    assert panel.volume.is_open
    move(False)
    assert not panel.volume.is_open
    panel.volume.open()
    label(panel, paint, 6)
    assert panel.volume.is_open, "somebody has opened it"


def test_who_opens_or_closes_a_step_is_not_overruled(pointer, qapp):
    panel, move = pointer
    move(True)
    panel.column.fold(panel.volume)
    menu = QMenu(panel)
    menu.addAction("one")
    menu.popup(panel.pos())
    move(False)
    assert panel.volume.is_open, "the list belongs to it"
    menu.close()
    move(True)
    panel.volume.open()  # as when the project is closed: it is open, and is to stay so
    move(False)
    assert panel.volume.is_open
    move(True)
    panel.column.fold(panel.volume)
    panel.volume.head.click()
    panel.volume.head.click()
    move(False)
    assert panel.volume.is_open
    panel.column.fold(panel.volume)
    assert not panel.volume.is_open


def test_buttons_of_training_stay_where_they_were_pressed(with_proposal, qapp):
    _, panel = with_proposal
    train = panel.train
    for step in panel.steps:
        step.close_step()
    train.open()
    panel.show()
    qapp.processEvents()
    before = train.train.mapTo(panel, train.train.rect().topLeft())
    train.form.hide()  # as while it trains
    train.bar.show()
    qapp.processEvents()
    assert train.train.mapTo(panel, train.train.rect().topLeft()) == before
