"""What stays in sight above the steps: all slices, undo and redo, and the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QPainter, QPalette, QPen, QPixmap
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from .slice_strip import ACCEPTED_COLOR, REFERENCE_COLOR, SliceFacts, SliceStrip
from .step import allow

if TYPE_CHECKING:
    from ..volume.extent import Extent
    from .session import Session

_MARKS = (
    f'<span style="color:{REFERENCE_COLOR}">▮</span>reference '
    f'<span style="color:{ACCEPTED_COLOR}">▮</span>accepted ▲corrected'
)


class TopBar(QWidget):
    """The slice strip with its legend, undo, redo, and help."""

    help_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        self.strip = SliceStrip()
        self.strip.wanted.connect(self._go)
        self.strip.extent_said.connect(self._on_extent)
        self.marks = QLabel(_MARKS)
        self.marks.setTextFormat(Qt.TextFormat.RichText)
        self.marks.setStyleSheet("QLabel { font-size: 10px; }")
        self.marks.setToolTip(
            "The bar shows all slices. The higher a column, the more doubt: red and orange where "
            "the predictions disagree, yellow where they are unsure. Click or drag to go there; "
            "a right click lets you say where the object begins and ends."
        )
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        self.undo.clicked.connect(self._on_undo)
        self.redo.clicked.connect(self._on_redo)
        self.help = QToolButton()
        self.help.setText("?")
        self.help.setToolTip("All keys, and how to change them")
        self.help.setAccessibleName("Keys")
        self.help.clicked.connect(self.help_wanted)
        self.planes = QToolButton()
        self.planes.setCheckable(True)
        self.planes.setIconSize(QSize(18, 18))
        self.planes.setAccessibleName("Other planes")
        for button in (self.undo, self.redo):
            button.setFixedWidth(46)
        row = QHBoxLayout()
        row.setSpacing(3)
        row.addWidget(self.marks, 1)
        for button in (self.planes, self.undo, self.redo, self.help):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 3, 4, 0)
        layout.setSpacing(2)
        layout.addWidget(self.strip)
        layout.addLayout(row)
        self.planes.setIcon(_planes_icon(self.palette()))
        self.name_key("")
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Show a session; nothing is shown without one."""
        self._session = session
        self.setVisible(session is not None)
        if session is not None:
            session.history.changed.connect(self.show_history)
            self.refresh()
            self.show_history()

    def name_key(self, key: str) -> None:
        """Say which key opens the planes."""
        tip = "Show the two other planes below the slice; they follow the cursor"
        self.planes.setToolTip(f"{tip} ({key})" if key else tip)

    def refresh(self) -> None:
        """Ink, proposals or what is counted in them have changed."""
        session = self._session
        if session is None:
            return
        counts = session.shelf.counts()
        self.strip.show_facts(
            SliceFacts(
                session.references.states.copy(),
                set(session.accepted_slices()),
                None if counts is None else counts.regions,
                None if counts is None else counts.corrected > 0,
                session.extent.said,
                session.extent.outside(),
            )
        )
        self.show_slice()

    def show_slice(self) -> None:
        """Another slice is in view."""
        if self._session is not None:
            self.strip.show_current(self._session.references.current_slice())

    def show_history(self) -> None:
        """There is something else to undo or redo."""
        if self._session is None:
            return
        history = self._session.history
        # Another volume's layers take the place of this one's, and their histories with them.
        none = "there is nothing to undo since this volume was opened."
        for button, text, word, reason in (
            (self.undo, history.next_undo, "Undo", none),
            (self.redo, history.next_redo, "Redo", "there is nothing to redo."),
        ):
            key = "Ctrl+Z" if word == "Undo" else "Ctrl+Shift+Z"
            allow(button, "" if text else reason, "")
            if text:
                button.setToolTip(f"{word}: {text} ({key})")

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the icon in the colours of the theme."""
        super().changeEvent(event)
        if hasattr(self, "planes"):
            self.planes.setIcon(_planes_icon(self.palette()))

    def _on_undo(self) -> None:
        if self._session is not None:
            self._session.history.undo()

    def _on_redo(self) -> None:
        if self._session is not None:
            self._session.history.redo()

    def _on_extent(self, extent: Extent) -> None:
        if self._session is not None:
            self._session.extent.say(extent)

    def _go(self, index: int) -> None:
        if self._session is not None:
            self._session.go_to(index)


def _planes_icon(palette: QPalette) -> QIcon:
    """Draw a large picture above two small ones."""
    pixmap = QPixmap(36, 36)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setPen(QPen(palette.color(QPalette.ColorRole.WindowText), 2.5))
    for box in (QRectF(4, 5, 28, 15), QRectF(4, 23, 12, 9), QRectF(20, 23, 12, 9)):
        painter.drawRect(box)
    painter.end()
    return QIcon(pixmap)
