"""The session ends with the window or the panel; what cannot be saved is asked about before."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

from qtpy.QtCore import QEvent, QObject, Qt, QThread, QTimer
from qtpy.QtWidgets import QApplication, QDockWidget, QMessageBox, QProgressDialog, QWidget

if TYPE_CHECKING:
    from .panel import LoopPanel
    from .session import Session

#: Seconds for which closing waits for the disk without a word.
PATIENCE = 0.3


class WindowClosing(QObject):
    """Watches a panel and the viewer's window that it is docked to.

    A panel that is hidden, or that floats as a window of its own, is still docked there.

    Parameters
    ----------
    panel : LoopPanel
    end : callable
        Ends the session; called when the window has closed.
    """

    def __init__(self, panel: LoopPanel, end: Callable[[], object]) -> None:
        super().__init__(panel)
        self._panel, self._end = panel, end
        # Weak, as the window would otherwise outlive its viewer.
        self._window: Callable[[], QWidget | None] = lambda: None
        #: Name that the panel is docked by, empty before it is.
        self._name = ""
        self._closes = self._asked = False
        #: Whether the window has closed, or the panel was taken out of it.
        self.over = False
        panel.installEventFilter(self)

    def watch(self) -> None:
        """Watch the window that the panel is docked to now."""
        dock, window = _dock_and_window(self._panel)
        if dock is not None and window is not None:
            if window is not self._window():
                window.destroyed.connect(self._on_window_gone)
            self._name, self._window = dock.windowTitle(), ref(window)
            self.over = False
            window.installEventFilter(self)
        elif self._removed:  # while a project was being opened
            self._leave_soon()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Let the window close when all is saved, and end the session when it has closed.

        napari may ask as well, and the window stay open: a close that was asked for is none yet.
        """
        if watched is self._panel:
            if event.type() == QEvent.Type.ParentChange and self._removed:
                self._leave_soon()
            return False
        window = self._window()
        if window is None or watched is not window:
            return False
        if event.type() == QEvent.Type.Close:
            if self._asked or not self._may_close():
                event.ignore()
                return True
            # Handled here to learn the answer. A window that stays open hides later for other
            # reasons, as when its flags change, and nothing but this tells the one from the other.
            window.event(event)
            self._closes = event.isAccepted()
        gone = event.type() == QEvent.Type.Hide and not event.spontaneous()
        if self._closes and (gone or window.isHidden()):
            self._closes, self.over = False, True
            self._end()
        return event.type() == QEvent.Type.Close

    def _may_close(self) -> bool:
        session = self._panel.session
        if session is None:
            return True
        # While something is asked or waited for, events go on, and another close may be one.
        self._asked = True
        try:
            return saved_or_given_up(session)
        finally:
            self._asked = False

    # -- a panel without a window ---------------------------------------------------------

    @property
    def _removed(self) -> bool:
        """Whether the panel was taken out of its window, as napari's *close this panel* does."""
        return bool(self._name) and self._panel.parentWidget() is None

    def _on_window_gone(self) -> None:
        """Let a panel that was taken out go as well, as it would if it were docked.

        PyQt would delete it when Python ends, and may crash then: it walks over all that it has
        wrapped, and wraps each event that a filter of ours is shown meanwhile.
        """
        if self._removed:
            self._panel.deleteLater()

    def _leave_soon(self) -> None:
        # Who takes it out may be about to dock it elsewhere. The function keeps the panel alive.
        QTimer.singleShot(0, lambda: self._leave())

    def _leave(self) -> None:
        """Save and end the session of a panel that nobody sees again; no other could go on."""
        session = self._panel.session
        if session is not None and self._removed:
            session.save_then(partial(self._saved, session), partial(self._not_saved, session))

    def _saved(self, session: Session) -> None:
        if self._panel.session is session and self._removed:
            self.over = True
            self._panel.close_session(saved=True)
            self._end()

    def _not_saved(self, session: Session) -> None:
        if self._panel.session is not session or not self._removed:
            return
        if saved_or_given_up(session):
            self._saved(session)
        else:
            self._panel.viewer.window.add_dock_widget(self._panel, name=self._name)
            self._panel.show()


def _dock_and_window(panel: QWidget) -> tuple[QDockWidget | None, QWidget | None]:
    """Return what a panel is docked in and to; `QWidget.window` is the dock while that floats."""
    dock, widget = None, panel
    while (parent := widget.parentWidget()) is not None:
        widget = parent
        if dock is None and isinstance(widget, QDockWidget):
            dock = widget
    return dock, None if widget is dock else widget


def saved_or_given_up(session: Session) -> bool:
    """Save what is left; when that fails, ask.

    Returns
    -------
    bool
        Whether the window may close: all is saved, or the user gives the rest up.
    """
    while not (session.saving.closed or session.saving.up_to_date):
        try:
            if not session.autosave.flush(_wait_for):
                return False
        except Exception as error:
            wish = _ask(getattr(error, "strerror", None) or str(error), session)
            if wish != QMessageBox.StandardButton.Retry:
                return wish == QMessageBox.StandardButton.Discard
    return True


def _wait_for(save: Future[Any]) -> bool:
    """Wait for a save; where the disk is slow the window stays alive, and the user may go back."""
    with suppress(TimeoutError):
        save.exception(PATIENCE)
    # Without an event loop nobody sees a window, and one begun here would delete what is still
    # wanted of a viewer that a script closes.
    if save.done() or QThread.currentThread().loopLevel() == 0:
        return True
    box = QProgressDialog(
        "Saving your last strokes…", "Keep the window open", 0, 0, QApplication.activeWindow()
    )
    box.setWindowTitle("Saving")
    box.setWindowModality(Qt.WindowModality.ApplicationModal)
    timer = QTimer(box)
    timer.timeout.connect(lambda: box.accept() if save.done() else None)
    timer.start(30)
    box.exec()
    timer.stop()
    box.deleteLater()
    return not box.wasCanceled()


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
