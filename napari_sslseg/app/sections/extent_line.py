"""A line of the references: where the object begins and ends, as the user says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ...volume.extent import Extent
from ..step import allow, hint_label, say

if TYPE_CHECKING:
    from ..session import Session

_FORGET = '<a href="forget" style="color: #3d8bfd">forget</a>'


class ExtentLine(QWidget):
    """What was said of the object's first and last slice, and two buttons to say it."""

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        self.label = hint_label()
        self.label.setTextFormat(Qt.TextFormat.RichText)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.label.linkActivated.connect(lambda link: self._say(Extent()))
        self.begins, self.ends = QPushButton("Begins here"), QPushButton("Ends here")
        for button in (self.begins, self.ends):
            button.setStyleSheet("QPushButton { padding: 2px 6px; }")
        self.begins.clicked.connect(self._on_begins)
        self.ends.clicked.connect(self._on_ends)
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self.name = QLabel("Object")
        row.addWidget(self.name)
        row.addWidget(self.begins, 1)
        row.addWidget(self.ends, 1)
        self.hint = hint_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row)
        layout.addWidget(self.label)
        layout.addWidget(self.hint)
        self.refresh()

    def set_session(self, session: Session | None) -> None:
        """Show what was said in a session; nothing is shown without one."""
        self._session = session
        self.refresh()

    def refresh(self) -> None:
        """Another slice is in view, or something else was said or inked."""
        session = self._session
        self.setVisible(session is not None)
        if session is None:
            return
        said, index = session.extent.said, session.references.current_slice()
        say(self.label, f"Object: {said.describe()} &nbsp;{_FORGET}" if said else "")
        self.label.setToolTip("Nothing is proposed or suggested outside of these slices.")
        self.name.setToolTip(
            "If you say in which slices the object begins and ends, nothing is proposed or "
            "suggested outside of them, and fewer references are needed."
        )
        late = said.last is not None and index > said.last
        early = said.first is not None and index < said.first
        allow(
            self.begins,
            f"you said that the object ends in slice {said.last}; forget that first."
            if late
            else "you have said so."
            if index == said.first
            else "",
            f"Slice {index} is the first one that shows the object",
        )
        allow(
            self.ends,
            f"you said that the object begins in slice {said.first}; forget that first."
            if early
            else "you have said so."
            if index == said.last
            else "",
            f"Slice {index} is the last one that shows the object",
        )
        say(self.hint, session.extent.contradicted())

    def _on_begins(self) -> None:
        if self._session is not None:
            index = self._session.references.current_slice()
            self._say(Extent(index, self._session.extent.said.last))

    def _on_ends(self) -> None:
        if self._session is not None:
            index = self._session.references.current_slice()
            self._say(Extent(self._session.extent.said.first, index))

    def _say(self, extent: Extent) -> None:
        if self._session is not None:
            self._session.extent.say(extent)
