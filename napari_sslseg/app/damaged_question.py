"""What is to become of corrections that cannot be read: asked where it is always seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from .step import hint_label, say

if TYPE_CHECKING:
    from .unread import Unread


class DamagedQuestion(QWidget):
    """Stands in the panel until it is answered; nothing is trained or exported before."""

    def __init__(self) -> None:
        super().__init__()
        self._unread: Unread | None = None
        self._slug = ""
        self.text = hint_label()
        self.again, self.without = QPushButton("Read it again"), QPushButton("Go on without it")
        self.again.clicked.connect(self._on_again)
        self.without.clicked.connect(self._on_without)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.again)
        row.addWidget(self.without)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 4)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.hide()

    def show_unread(self, unread: Unread | None) -> None:
        """Ask of the first proposal whose corrections cannot be read, if there is any."""
        self._unread = unread
        self._slug = min(unread.unreadable, default="") if unread is not None else ""
        self.setVisible(bool(self._slug))
        if unread is None or not self._slug:
            return
        found = unread.unreadable[self._slug]
        file = "a file of theirs is damaged" if found.damaged else "the disk does not give them"
        say(
            self.text,
            f"Your corrections of “{self._slug}” cannot be read: {file}. Nothing is trained or "
            "exported until you say how to go on.",
        )
        self.text.setToolTip(str(found.error))
        places = " and ".join(str(path) for path in found.damaged)
        self.again.setToolTip(
            f"After you have put back a copy of {places}" if places else "The disk may give it now"
        )
        # What the disk does not give now may be whole, and is not to be given up.
        self.without.setVisible(bool(found.damaged))
        self.without.setToolTip(
            f"With the corrections that can be read, and all your labels; {found.kept}"
        )

    def _on_again(self) -> None:
        if self._unread is not None and self._slug:
            self._unread.readable.emit(self._slug)

    def _on_without(self) -> None:
        if self._unread is not None and self._slug in self._unread.unreadable:
            self._unread.go_on_without(self._slug)
