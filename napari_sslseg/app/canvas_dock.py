"""A dock below the canvas that opens and closes, by whichever way."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


class CanvasDock(QWidget):
    """A widget that docks itself below the canvas when it is wanted.

    Parameters
    ----------
    window : napari.window.Window
        Of the viewer.
    name : str
        Title of the dock.
    size : QSize
        Size to begin with.
    """

    shown_changed = Signal(bool)
    """The dock was opened or closed, by the user in napari's own ways too."""

    def __init__(self, window: Any, name: str, size: QSize) -> None:
        super().__init__()
        self.setObjectName(name)
        self._window, self._size = window, size
        self._wanted = self._allowed = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._tell)

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the size to begin with."""
        return self._size

    @property
    def shown(self) -> bool:
        """Whether the dock is open."""
        dock = self._dock()
        return dock is not None and not dock.isHidden()

    def set_shown(self, shown: bool) -> None:
        """Open or close the dock; while it is not allowed, remember what is wanted."""
        self._wanted = shown
        self._apply()

    def set_allowed(self, allowed: bool) -> None:
        """Allow the dock to be open: while there is something to show."""
        if self._allowed and not allowed:
            self._wanted = self.shown
        self._allowed = allowed
        self._apply()

    # -- inside ---------------------------------------------------------------------------

    def _apply(self) -> None:
        shown = self._wanted and self._allowed
        dock = self._dock()
        if shown and dock is None:
            # Taken out of an earlier dock by its cross, the widget itself was hidden.
            self.setVisible(True)
            self._window.add_dock_widget(self, name=self.objectName(), area="bottom")
            self._make_room()
        elif dock is not None:
            dock.setVisible(shown)
        self.shown_changed.emit(self.shown)

    def _dock(self) -> QDockWidget | None:
        parent = self.parent()
        while parent is not None and not isinstance(parent, QDockWidget):
            parent = parent.parent()
        return parent

    def _make_room(self) -> None:
        """Lie below the canvas only, not below the docks beside it."""
        window, dock = self.window(), self._dock()
        if isinstance(window, QMainWindow) and dock is not None:
            area, corner = Qt.DockWidgetArea, Qt.Corner
            window.setCorner(corner.BottomLeftCorner, area.LeftDockWidgetArea)
            window.setCorner(corner.BottomRightCorner, area.RightDockWidgetArea)
            window.resizeDocks([dock], [self._size.height()], Qt.Orientation.Vertical)

    def _tell(self) -> None:
        if self._allowed:
            self._wanted = self.shown
        self.shown_changed.emit(self.shown)

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Tell that the dock was opened."""
        super().showEvent(event)
        self._later.start()

    def hideEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Tell that the dock was closed; the cross takes the widget out of it only after this."""
        super().hideEvent(event)
        self._later.start()
