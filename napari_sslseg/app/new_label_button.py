"""napari's button for a new label: in our layers it adds a class.

By itself it takes the label above the highest one. In References, where that is 255 for what is not
annotated, there is none, and napari advises to convert the layer, which ours must not be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QPushButton, QWidget

from .layer_roles import role_of

if TYPE_CHECKING:
    from .session import Session

_NAME = "newLabelButton"


class NewLabelButton(QObject):
    """Takes over the buttons in napari's controls of a session's layers.

    Parameters
    ----------
    near : QWidget
        In the window that holds the controls.
    session : Session
    """

    def __init__(self, near: QWidget, session: Session) -> None:
        super().__init__(near)
        self._near, self._session = near, session
        session.viewer.layers.events.inserted.connect(self._soon)
        self._soon()

    def close(self) -> None:
        """Leave the buttons of other layers alone."""
        self._session.viewer.layers.events.inserted.disconnect(self._soon)
        self.deleteLater()

    def _soon(self, event: Any = None) -> None:
        QTimer.singleShot(0, self._take_over)  # napari makes the controls as late

    def _take_over(self) -> None:
        for button in self._near.window().findChildren(QPushButton, _NAME):
            if button.property(_NAME) is None and _is_ours(button):
                button.setProperty(_NAME, True)
                button.clicked.disconnect()
                button.clicked.connect(lambda: self._session.add_class())
                button.setToolTip("Add a class and paint with it")


def _is_ours(button: QPushButton) -> bool:
    """Whether a button is among the controls of a layer of ours."""
    parent = button.parentWidget()
    while parent is not None:
        if (layer := getattr(parent, "layer", None)) is not None and hasattr(layer, "metadata"):
            return bool(role_of(layer))
        parent = parent.parentWidget()
    return False
