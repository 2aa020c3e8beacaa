"""The wheel over the panel scrolls the panel: it changes no choice that the pointer passes."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QWidget

_CHOOSERS = (QComboBox, QAbstractSpinBox, QAbstractSlider)


class CalmWheel(QObject):
    """Keeps the wheel from the choosers inside a widget, those that come later among them.

    One that was clicked or reached with the keyboard still heeds it.

    Parameters
    ----------
    widget : QWidget
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._watch(widget)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Pass a wheel on to what the chooser lies on, and look at what is shown anew."""
        if watched is None or event is None:
            return False
        if event.type() == QEvent.Type.ChildPolished:
            child: Any = event
            self._watch(child.child())
        elif (
            event.type() == QEvent.Type.Wheel
            and _is_chooser(watched)
            and isinstance(watched, QWidget)
            and not watched.hasFocus()
        ):
            event.ignore()
            return True
        return False

    def _watch(self, found: QObject) -> None:
        if not isinstance(found, QWidget) or found.isWindow():
            return
        found.removeEventFilter(self)  # or it would be asked twice
        found.installEventFilter(self)
        if _is_chooser(found):
            # Qt gives these the focus when the wheel turns over them.
            found.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        for child in found.children():
            self._watch(child)


def _is_chooser(found: QObject) -> bool:
    return isinstance(found, _CHOOSERS) and not isinstance(found, QScrollBar)
