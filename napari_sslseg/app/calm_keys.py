"""A click on a button of the panel leaves the keys with the image."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractButton, QApplication, QLineEdit, QWidget


class CalmKeys(QObject):
    """Keeps buttons inside a widget, those that come later among them, from taking the keys.

    Space moves the picture. A button that was clicked and kept the keys would be pressed by it once
    more: another slice would be accepted. Tab still reaches every button.

    Parameters
    ----------
    widget : QWidget
    """

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._watch(widget)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Look at what is shown anew, and end what is being typed when a button is clicked."""
        if event is None:
            return False
        if event.type() == QEvent.Type.ChildPolished:
            child: Any = event
            self._watch(child.child())
        elif event.type() == QEvent.Type.MouseButtonPress and isinstance(watched, QAbstractButton):
            typed_in = QApplication.focusWidget()
            if isinstance(typed_in, QLineEdit):
                typed_in.clearFocus()  # the name of a class is taken over when it loses the keys
        return False

    def _watch(self, found: QObject) -> None:
        if not isinstance(found, QWidget) or (found.isWindow() and found is not self.parent()):
            return
        found.removeEventFilter(self)  # or it would be asked twice
        found.installEventFilter(self)
        if isinstance(found, QAbstractButton) and found.focusPolicy() & Qt.FocusPolicy.ClickFocus:
            found.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        for child in found.children():
            self._watch(child)
