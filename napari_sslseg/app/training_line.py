"""How far training is, in a line that is always in sight."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRectF, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QPainter, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

from ..training.events import Cancelled, Event, Failed, Finished, MadeWay, Progress
from .keeping_up import SLOW
from .listening import Listening
from .panel_style import LINE, name_role
from .spoken_training import spoken_left
from .step import spoken_duration
from .training_run import RunState

if TYPE_CHECKING:
    from .session import Session

#: Milliseconds for which the end of a run is told.
END_MS = 12_000

_BAR = 4

UPDATING = "Updating the proposals"

_STATES = {
    RunState.STARTING: "Starting…",
    RunState.PAUSED: "Training is paused",
    RunState.CANCELLING: "Stopping…",
}


class TrainingLine(QWidget):
    """What the trainer does now, above a thin bar.

    It is drawn by hand: a label whose text changes has the whole panel laid out anew, each second
    here, while the user paints.
    """

    shown_changed = Signal(bool)
    """Whether there is something to say."""
    clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.text, self.share = "", 0.0
        self._session: Session | None = None
        self._listening = Listening()
        self._now, self._makes_way = "", False
        self._over = QTimer(self)
        self._over.setSingleShot(True)
        self._over.setInterval(END_MS)
        self._over.timeout.connect(self._forget)  # which Qt forgets with the widget
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        name_role(self, LINE)
        self.setAccessibleName("Training")
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def set_session(self, session: Session | None) -> None:
        """Follow the training of a session."""
        self._listening.end()
        self._session = session
        self._over.stop()
        self._say("", 0.0)
        if session is not None:
            self._listening.to(session.training.said, self.follow)
            self._listening.to(session.training.state_changed, self.show_state)
            self.show_state(session.training.state)

    def show_state(self, state: RunState) -> None:
        """Say what state training is in; its end is an event."""
        if state is RunState.STARTING:
            self._now, self._makes_way = "", False
            self._over.stop()
            update = self._session is not None and self._session.training.update
            self._say(UPDATING if update else _STATES[state], 0.0)
        elif state in _STATES:
            self._say(_STATES[state], self.share)
        elif state is RunState.RUNNING:
            self._show_progress()

    def follow(self, event: Event) -> None:
        """Show what the trainer says."""
        update = self._session is not None and self._session.training.update
        if update and isinstance(event, Finished):
            slow = "; slow, so Retrain when you want it" if event.seconds > SLOW else ""
            self._end(f"Updated in {spoken_duration(event.seconds)}{slow}", 1.0)
        elif update and isinstance(event, Cancelled):
            self._end("", 0.0)
        elif update and isinstance(event, Failed):
            self._end(f"The proposals were not updated: {event.message}", 0.0)
        elif isinstance(event, Progress):
            when = spoken_left(event.seconds_left)
            doing = UPDATING if update else "Training"
            self._now, self.share = f"{doing}, {when}" if when else doing, event.fraction
            self._show_progress()
        elif isinstance(event, MadeWay):
            self._makes_way = event.waiting
            self._show_progress()
        elif isinstance(event, Finished):
            self._end(f"Done in {spoken_duration(event.seconds)}", 1.0)
        elif isinstance(event, Cancelled):
            self._end("Training was cancelled", 0.0)
        elif isinstance(event, Failed):
            self._end(f"Training stopped: {event.message}", 0.0)

    def _show_progress(self) -> None:
        if self._session is None or self._session.training.state is RunState.RUNNING:
            now = self._now or "Training…"
            self._say("Makes way while you work" if self._makes_way else now, self.share)

    def _end(self, text: str, share: float) -> None:
        self._say(text, share)
        self._over.start()

    def _forget(self) -> None:
        self._say("", 0.0)

    def _say(self, text: str, share: float) -> None:
        told = bool(self.text)
        if text != self.text:
            self.setToolTip(f"{text}\nClick to open step 3, to pause or cancel it")
            self.setAccessibleDescription(text)
        self.text, self.share = text, share
        self.update()
        if bool(text) != told:
            self.shown_changed.emit(bool(text))

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for a line and the bar."""
        return QSize(80, self.fontMetrics().height() + _BAR + 3)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Text that has no room is cut off; the tooltip says it all."""
        return self.sizeHint()

    def mouseReleaseEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Lead to where training is paused and cancelled."""
        self.clicked.emit()

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the text and the bar."""
        painter = QPainter(self)
        text = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(text)
        high = self.fontMetrics().height()
        top = max((self.height() - high - _BAR - 2) // 2, 0)
        told = self.fontMetrics().elidedText(self.text, Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(QRectF(0, top, self.width(), high), Qt.AlignmentFlag.AlignLeft, told)
        bar = QRectF(0, top + high + 2, self.width(), _BAR)
        text.setAlpha(60)
        painter.fillRect(bar, text)
        text.setAlpha(255)
        bar.setWidth(bar.width() * min(max(self.share, 0.0), 1.0))
        painter.fillRect(bar, text)
        painter.end()
