"""A question of the references: what becomes of a proposed object in a slice that is marked."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ..marking import AtStake
from ..step import hint_label, say


class MarkQuestion(QWidget):
    """Stands in the panel until it is answered or the slice is left; nothing waits for it."""

    accept_wanted = Signal(object)
    background_wanted = Signal(object)
    """The `AtStake` that was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: AtStake | None = None
        self.text = hint_label()
        self.accept = QPushButton("Accept the proposal")
        self.background = QPushButton()
        self.cancel = QPushButton("Cancel")
        self.accept.setToolTip("What is shown becomes the reference, with all that you corrected")
        self.cancel.setToolTip("Leave the slice as it is")
        self.accept.clicked.connect(lambda: self._answer(self.accept_wanted))
        self.background.clicked.connect(lambda: self._answer(self.background_wanted))
        self.cancel.clicked.connect(self.drop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.text, self.accept, self.background, self.cancel):
            layout.addWidget(widget)
        self.hide()

    def ask(self, stake: AtStake) -> None:
        """Ask what the slice shall be."""
        self.asked = stake
        if stake.spoken:
            self.text.setText(
                f"Slice {stake.index}: the proposal shows more than you painted. What is it?"
            )
            self.background.setText("Only what I painted: the rest is background")
        else:
            self.text.setText(
                f"Slice {stake.index}: the proposal shows an object that you have not painted. "
                "What is it?"
            )
            self.background.setText("It is empty: all background")
        self.text.show()
        self.show()

    def drop(self) -> None:
        """Ask no more."""
        self.asked = None
        say(self.text, "")
        self.hide()

    def _answer(self, signal: Signal) -> None:
        stake = self.asked
        self.drop()
        if stake is not None:
            signal.emit(stake)
