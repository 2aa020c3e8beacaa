"""The steps below each other, as wide as what they show must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import QApplication, QFrame, QLayout, QScrollArea, QVBoxLayout, QWidget

from .calm_wheel import CalmWheel
from .step import Step

_MARGIN = 4


class PanelColumn(QScrollArea):
    """Scrolls up and down; it is never narrower than the widest step, open or closed.

    So nothing is cut off with a larger font, and the panel keeps its width when a step opens.

    Parameters
    ----------
    steps : sequence of Step
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        inside = _Inside()
        column = QVBoxLayout(inside)
        column.setContentsMargins(_MARGIN, _MARGIN, _MARGIN, _MARGIN)
        column.setSpacing(2)
        for step in steps:
            column.addWidget(step)
        column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # arrow keys go through the slices
        self.setWidget(inside)
        CalmWheel(inside)
        self._restyled = True
        # Many changes come together; one look at the widths is enough.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.fit)
        inside.installEventFilter(self)
        #: Steps that are to be closed when the pointer has gone.
        self._folding: set[Step] = set()
        for step in steps:
            for turned in (step.head.toggled, step.opened):
                turned.connect(lambda *_, step=step: self._folding.discard(step))
        self.fit()

    def fold(self, step: Step) -> None:
        """Close a step that is done with, but move nothing under the pointer.

        While the pointer is over the steps that waits until it leaves, unless somebody opens or
        closes the step before.
        """
        if self.underMouse():
            self._folding.add(step)
        else:
            step.close_step()

    def leaveEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Close what is done with; a list that has opened over the steps is no leaving."""
        super().leaveEvent(event)
        if QApplication.activePopupWidget() is None:
            for step in list(self._folding):
                step.close_step()

    @property
    def waiting(self) -> bool:
        """Whether the widths are about to be looked at."""
        return self._soon.isActive()

    def fit(self) -> None:
        """Be as wide as the steps need."""
        if self._restyled:
            self._restyled = False
            for step in self.widget().findChildren(Step):
                _restyle(step)
        bar = self.verticalScrollBar()
        # The style may put a margin round what is scrolled.
        around = self.width() - self.viewport().width() - (bar.width() if bar.isVisible() else 0)
        inside = max(
            _width_of(self.widget()) + 2 * _MARGIN, self.widget().minimumSizeHint().width()
        )
        needed = inside + bar.sizeHint().width() + around
        if needed != self.minimumWidth():
            self.setMinimumWidth(needed)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        """Look at the widths again when what the steps show has changed, or their font."""
        kinds = (
            QEvent.Type.LayoutRequest,
            QEvent.Type.FontChange,
            QEvent.Type.StyleChange,
            QEvent.Type.Polish,
        )
        if event is not None and watched is self.widget() and event.type() in kinds:
            self._restyled |= event.type() != QEvent.Type.LayoutRequest
            self._soon.start()
        return bool(super().eventFilter(watched, event))


class _Inside(QWidget):
    """What is scrolled: as high as the steps are at its width.

    Their smallest heights are those of hints that are wrapped into the smallest width. A scroll
    area would take these for the least height, and there would be nothing below the last step.
    """

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return the smallest width; the height follows from the width there is."""
        return QSize(super().minimumSizeHint().width(), 0)


def _restyle(step: Step) -> None:
    """Have a closed step know its font: Qt tells it when it opens, and it would be wider then."""
    if step.body.isVisible():
        return
    for child in step.body.findChildren(QWidget):
        child.ensurePolished()
    for layout in step.body.findChildren(QLayout):
        layout.invalidate()


def _width_of(widget: QWidget) -> int:
    """Width that the steps inside a widget need, those that are closed as well."""
    widths = [0]
    for step in widget.findChildren(Step):
        # A part of a step stands inside its margins.
        above, indent = step.parentWidget(), 0
        while above is not None and above is not widget:
            if isinstance(above, Step):
                margins = above.rows.contentsMargins()
                indent += margins.left() + margins.right()
            above = above.parentWidget()
        widths.append(step.rows.minimumSize().width() + indent)
    return max(widths)
