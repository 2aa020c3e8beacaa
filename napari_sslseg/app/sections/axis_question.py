"""A question of the volume: whether to slice along another axis than the labelled one."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ..step import hint_label


class AxisQuestion(QWidget):
    """Stands in the panel until it is answered; nothing waits for it."""

    answered = Signal(bool)
    """Whether the axis shall be another one."""

    def __init__(self) -> None:
        super().__init__()
        self.text = hint_label()
        self.turn = QPushButton("Change")
        self.keep = QPushButton("Keep")
        self.turn.setToolTip("Slice along the other axis; you can come back in the same way")
        self.keep.setToolTip("Go on with the slices that you labelled")
        self.turn.clicked.connect(lambda: self._answer(True))
        self.keep.clicked.connect(lambda: self._answer(False))
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.turn)
        row.addWidget(self.keep)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.hide()

    def ask(self, labelled: int) -> None:
        """Ask, with so many slices labelled along the axis that is in use."""
        slices = "a slice" if labelled == 1 else f"{labelled} slices"
        self.text.setText(
            f"You have labelled {slices} along this axis. Along another one all ink stays, but "
            "these are no references there. Change the axis?"
        )
        self.text.show()
        self.show()

    def _answer(self, turn: bool) -> None:
        self.hide()
        self.answered.emit(turn)
