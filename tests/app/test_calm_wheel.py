"""The wheel over the panel changes no choice that the pointer happens to be over."""

from __future__ import annotations

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QScrollArea,
    QSlider,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_sslseg.app.calm_wheel import CalmWheel


def roll(widget: QWidget) -> bool:
    """Turn the wheel a notch towards the user over a widget; returns whether it took that."""
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle,
        QPointF(widget.mapToGlobal(widget.rect().center())),
        QPoint(),
        QPoint(0, -120),
        Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)
    return bool(event.isAccepted())


def value(chooser: QWidget) -> int:
    return chooser.currentIndex() if isinstance(chooser, QComboBox) else chooser.value()


def make(kind: str) -> QWidget:
    chooser = {"list": QComboBox, "number": QSpinBox, "slider": QSlider}[kind]()
    if kind == "list":
        chooser.addItems(["one", "two", "three"])
    else:
        chooser.setRange(0, 100)
    if kind == "list":
        chooser.setCurrentIndex(1)
    else:
        chooser.setValue(50)
    return chooser


@pytest.fixture
def scrolled(qtbot):
    """Give a scrolled column with a calm wheel, and its layout."""
    area, inside = QScrollArea(), QWidget()
    qtbot.addWidget(area)
    layout = QVBoxLayout(inside)
    area.setWidgetResizable(True)
    area.setWidget(inside)
    inside.setMinimumHeight(2000)
    area.resize(200, 300)
    CalmWheel(inside)
    area.show()
    return area, layout


@pytest.mark.parametrize("kind", ["list", "number", "slider"])
def test_the_wheel_scrolls_the_panel_and_leaves_a_choice_alone(scrolled, kind, qtbot):
    _, layout = scrolled
    chooser = make(kind)  # comes after the wheel was calmed
    layout.addWidget(chooser)
    qtbot.waitUntil(chooser.isVisible)
    before = value(chooser)
    assert not roll(chooser)  # Qt passes on to the panel what is not taken
    assert value(chooser) == before
    assert not chooser.hasFocus()


@pytest.mark.parametrize("kind", ["list", "number", "slider"])
def test_what_was_clicked_heeds_the_wheel(scrolled, kind, qtbot, monkeypatch):
    _, layout = scrolled
    chooser = make(kind)
    layout.addWidget(chooser)
    qtbot.waitUntil(chooser.isVisible)
    monkeypatch.setattr(chooser, "hasFocus", lambda: True)
    before = value(chooser)
    roll(chooser)
    assert value(chooser) != before


def test_no_choice_of_the_panel_follows_the_wheel(started, until):
    viewer, panel = started
    viewer.window.show()
    for step in (*panel.steps, *panel.review.parts):
        step.open()
    choosers = [
        panel.volume.axis,
        panel.train.method.native,
        panel.train.budget.native,
        panel.export.format,
        panel.review.correct.scope,
        *panel.review.look.sliders.values(),
    ]
    until(lambda: all(chooser.isVisible() for chooser in choosers))
    before = [value(chooser) for chooser in choosers]
    assert not any([roll(chooser) for chooser in choosers])
    assert [value(chooser) for chooser in choosers] == before
    assert panel.session.project.axis == 0
