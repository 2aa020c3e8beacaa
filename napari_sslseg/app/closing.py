"""The session ends with the window; what cannot be saved is asked about before."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QApplication, QMessageBox, QWidget

if TYPE_CHECKING:
    from .session import Session


class WindowClosing(QObject):
    """Watches the window that holds a panel.

    Parameters
    ----------
    panel : QWidget
    session : callable
        Returns the session, None when there is none.
    end : callable
        Ends it; called when the window has closed.
    """

    def __init__(
        self, panel: QWidget, session: Callable[[], Session | None], end: Callable[[], object]
    ) -> None:
        super().__init__(panel)
        self._panel, self._session, self._end = panel, session, end
        self._asked = False

    def watch(self) -> None:
        """Watch the window that the panel is in now."""
        window = self._panel.window()
        if window is not None and window is not self._panel:
            window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Let the window close when all is saved, and end the session when it has closed.

        napari may ask as well, and stay open: a close that was asked for is none yet.
        """
        window = self._panel.window()
        if window is None or watched is not window:
            return False
        if event.type() == QEvent.Type.Close:
            session = self._session()
            if session is not None and not saved_or_given_up(session):
                event.ignore()
                return True
            self._asked = True
        gone = event.type() == QEvent.Type.Hide and not event.spontaneous()
        if self._asked and (gone or window.isHidden()):
            self._end()
        return False


def saved_or_given_up(session: Session) -> bool:
    """Save what is left; when that fails, ask.

    Returns
    -------
    bool
        Whether the window may close: all is saved, or the user gives the rest up.
    """
    while not (session.saving.closed or session.saving.up_to_date):
        try:
            session.autosave.flush()
        except Exception as error:
            wish = _ask(getattr(error, "strerror", None) or str(error), session)
            if wish != QMessageBox.StandardButton.Retry:
                return wish == QMessageBox.StandardButton.Discard
    return True


def _ask(reason: str, session: Session) -> QMessageBox.StandardButton:
    buttons = QMessageBox.StandardButton
    box = QMessageBox(
        QMessageBox.Icon.Warning,
        "Not saved",
        f"Your last strokes could not be saved: {reason}.",
        buttons.Retry | buttons.Discard | buttons.Cancel,
        QApplication.activeWindow(),
    )
    box.setInformativeText(
        f"They are still in the viewer. Make room, or make {session.project.path} accessible "
        "again, and retry; or cancel, and export the labels to another disk."
    )
    box.button(buttons.Discard).setText("Close and lose them")
    box.setDefaultButton(buttons.Retry)
    return buttons(box.exec())
