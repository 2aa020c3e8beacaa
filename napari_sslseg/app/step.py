"""One step of the loop: a section with a number, a title and its state in a line."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .panel_style import PART, STEP, name_role

#: Letters of a path that are shown.
_LETTERS = 40


class StepHead(QToolButton):
    """The line that opens and closes a step: by a click, Space or Return, and the arrow keys."""

    def __init__(self) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        # A long state must never widen the dock: it is cut off instead.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        # A click leaves the keys with the image.
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Open with the right arrow, close with the left one, and turn with Return."""
        key = event.key()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.toggle()
        elif key in (Qt.Key.Key_Right, Qt.Key.Key_Left):
            self.setChecked(key == Qt.Key.Key_Right)
        else:
            super().keyPressEvent(event)


class Step(QWidget):
    """A section of the panel that opens and closes with a click on its head.

    Its height always follows from what it shows (ready-made collapsible widgets fix the height
    when they open, and a hint that appears later is squeezed in).

    Parameters
    ----------
    number : int or None
        Position in the loop; None for a part of a step, which looks less important.
    title : str
    """

    opened = Signal()
    """It is to be open, whether it was or not."""

    def __init__(self, number: int | None, title: str) -> None:
        super().__init__()
        self._title = title if number is None else f"{number}  {title}"
        self.head = StepHead()
        name_role(self.head, PART if number is None else STEP)
        self.head.setAccessibleName(title)
        self.head.toggled.connect(self._on_toggle)
        self.body = QWidget()
        self.rows = QVBoxLayout(self.body)
        self.rows.setContentsMargins(6, 3, 6, 7)
        self.rows.setSpacing(5)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.head)
        layout.addWidget(self.body)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.set_state("")
        self.body.hide()
        self._on_toggle(False)

    @property
    def is_open(self) -> bool:
        """Whether the body is shown."""
        return self.head.isChecked()

    def open(self) -> None:
        """Show the body."""
        self.head.setChecked(True)
        self.opened.emit()

    def close_step(self) -> None:
        """Hide the body; the head goes on telling the state."""
        self.head.setChecked(False)

    def set_state(self, text: str) -> None:
        """Show the state behind the title, also while closed."""
        told = f"{self._title} – {text}" if text else self._title
        self.head.setText(told)
        self.head.setToolTip(f"{told}\nClick to open or close")  # the text may be cut off

    def _on_toggle(self, shown: bool) -> None:
        self.head.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
        self.body.setVisible(shown)


def narrow(box: QComboBox) -> QComboBox:
    """Let a combo box be narrower than its longest entry."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def spoken_dice(value: float, spread: float | None) -> str:
    """Return a Dice coefficient with its spread, if there is one."""
    return f"{value:.2f}" if spread is None else f"{value:.2f} ± {spread:.2f}"


def spoken_duration(seconds: float) -> str:
    """Return a time as a person says it."""
    seconds = max(0, round(seconds))
    if seconds < 90:
        return f"{seconds} s"
    if seconds < 5400:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def hint_label() -> QLabel:
    """Make a small wrapped label for hints and reasons."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    label.setMinimumWidth(1)  # one long word, such as a path, must not widen the panel
    label.hide()
    return label


def say(label: QLabel, text: str) -> None:
    """Set a hint, or hide the label when there is nothing to say."""
    if label.text() != text:
        label.setText(text)
    label.setVisible(bool(text))


def brief_path(label: QLabel, path: object) -> str:
    """Return a path cut off in the middle, as long as 40 letters in the font of a label."""
    metrics = label.fontMetrics()
    room = _LETTERS * metrics.averageCharWidth()
    short = metrics.elidedText(str(path), Qt.TextElideMode.ElideMiddle, room)
    return short.replace("…", "\N{WORD JOINER}…\N{WORD JOINER}")  # no line ends there


def allow(button: QPushButton, reason: str, tip: str) -> None:
    """Enable a button, or disable it and let its tooltip say why."""
    button.setEnabled(not reason)
    button.setToolTip(f"Not now: {reason}" if reason else tip)


class _Once(QObject):
    """Passes over the second press of a double click."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802 - Qt's name
        return event is not None and event.type() == QEvent.Type.MouseButtonDblClick


def once(*buttons: QPushButton) -> None:
    """Let a double click press a button once, where the second press would mean something else."""
    for button in buttons:
        button.installEventFilter(_Once(button))
