"""One step of the loop: a section with a number, a title and its state in a line."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)


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

    def __init__(self, number: int | None, title: str) -> None:
        super().__init__()
        self._title = title if number is None else f"{number}  {title}"
        self.head = QToolButton()
        self.head.setCheckable(True)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        # A long state must never widen the dock: it is cut off instead.
        self.head.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.head.setStyleSheet("QToolButton { text-align: left; padding: 4px 6px; }")
        self.head.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.head.setAccessibleName(title)
        font = self.head.font()
        font.setBold(number is not None)
        self.head.setFont(font)
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

    def close_step(self) -> None:
        """Hide the body; the head goes on telling the state."""
        self.head.setChecked(False)

    def set_state(self, text: str) -> None:
        """Show the state behind the title, also while closed."""
        self.head.setText(f"{self._title} – {text}" if text else self._title)

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


def brief_path(label: QLabel, path: object, room: int = 270) -> str:
    """Return a path as short as a label has room for, the beginning and the end of it."""
    metrics = label.fontMetrics()
    return metrics.elidedText(str(path), Qt.TextElideMode.ElideMiddle, room)


def allow(button: QPushButton, reason: str, tip: str) -> None:
    """Enable a button, or disable it and let its tooltip say why."""
    button.setEnabled(not reason)
    button.setToolTip(f"Not now: {reason}" if reason else tip)
