"""A click on a button leaves the keys with the image: Space moves it, and presses nothing again."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QAbstractButton, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_sslseg.app.calm_keys import CalmKeys


def test_a_button_is_reached_by_tab_alone(qtbot):
    inside = QWidget()
    qtbot.addWidget(inside)
    layout = QVBoxLayout(inside)
    CalmKeys(inside)
    inside.show()
    button = QPushButton("later")  # comes after the keys were calmed
    layout.addWidget(button)
    qtbot.waitUntil(button.isVisible)
    assert button.focusPolicy() == Qt.FocusPolicy.TabFocus


def test_what_was_typed_is_taken_over_before_a_button_does_its_work(qtbot):
    inside = QWidget()
    qtbot.addWidget(inside)
    layout = QVBoxLayout(inside)
    line, button = QLineEdit(), QPushButton("on")
    layout.addWidget(line)
    layout.addWidget(button)
    CalmKeys(inside)
    inside.show()
    inside.activateWindow()
    line.setFocus()
    qtbot.waitUntil(line.hasFocus)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    assert not line.hasFocus()


def test_no_button_of_the_panel_takes_the_keys(started, until):
    viewer, panel = started
    viewer.window.show()
    for step in (*panel.steps, *panel.review.parts):
        step.open()
    until(panel.export.body.isVisible)
    buttons = [button for button in panel.findChildren(QAbstractButton) if button.isVisible()]
    taking = [b.text() for b in buttons if b.focusPolicy() & Qt.FocusPolicy.ClickFocus]
    assert buttons
    assert not taking
    assert panel.column.focusPolicy() == Qt.FocusPolicy.NoFocus  # it would take the arrow keys
