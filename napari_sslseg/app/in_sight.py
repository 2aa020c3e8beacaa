"""What was just said is scrolled to, where it would lie beyond the edge of what is scrolled."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QScrollArea, QWidget

#: Pixels left below, and milliseconds in which layouts come to rest.
_MARGIN, _SETTLED_MS = 4, 500


class InSight(QObject):
    """Scrolls to a label that says something new.

    Nothing is moved under the pointer, unless that is over the step itself, whose button was
    pressed.

    Parameters
    ----------
    widget : QWidget
    step : QWidget
        The step that it belongs to.
    """

    def __init__(self, widget: QWidget, step: QWidget) -> None:
        super().__init__(step)
        self._widget, self._step = widget, step
        # Two lines need more room than one, and the layouts above learn of it one by one.
        self._soon, self._settling = QTimer(self), QTimer(self)
        for timer, after in ((self._soon, 0), (self._settling, _SETTLED_MS)):
            timer.setSingleShot(True)
            timer.setInterval(after)
        self._soon.timeout.connect(self._scroll)

    def bring(self) -> None:
        """Scroll to it as soon as it is laid out."""
        area = self._area()
        if area is not None and area.widget() is not None:
            area.widget().installEventFilter(self)
        self._settling.start()
        self._soon.start()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Look again when what is scrolled has got its size."""
        if event is not None and event.type() == QEvent.Type.Resize and self._settling.isActive():
            self._soon.start()
        return bool(super().eventFilter(watched, event))

    def _area(self) -> QScrollArea | None:
        above = self._step.parentWidget()
        while above is not None and not isinstance(above, QScrollArea):
            above = above.parentWidget()
        return above

    def _scroll(self) -> None:
        area = self._area()
        if area is None or not self._widget.isVisible():
            return
        if not area.underMouse() or self._step.underMouse():
            area.ensureWidgetVisible(self._widget, 0, _MARGIN)
