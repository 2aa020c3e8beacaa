"""What stays in sight above the steps: all slices, training, undo and redo, keys, and classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QRectF, QSize, Qt, Signal
from qtpy.QtGui import QIcon, QPainter, QPalette, QPen, QPixmap
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .axis_words import slice_word
from .class_chips import ClassChips
from .damaged_question import DamagedQuestion
from .listening import Listening
from .new_label_button import NewLabelButton
from .panel_style import SMALL, name_role
from .slice_strip import ACCEPTED_COLOR, REFERENCE_COLOR, SliceFacts, SliceStrip
from .step import allow
from .training_line import TrainingLine

if TYPE_CHECKING:
    from ..volume.extent import Extent
    from .session import Session

_MARKS = (
    f'<span style="color:{REFERENCE_COLOR}">▮</span>reference '
    f'<span style="color:{ACCEPTED_COLOR}">▮</span>accepted ▲corrected'
)


class _InTurn(QWidget):
    """A label, or a line that takes its place: what lies below must not move while it is clicked.

    Always as high as the higher of the two. (Qt's stack of widgets takes the height that a wrapped
    label needs from the one in view only.)

    Parameters
    ----------
    usual : QLabel
    other : QWidget
    """

    def __init__(self, usual: QLabel, other: QWidget) -> None:
        super().__init__()
        self._usual, self._other = usual, other
        for widget in (usual, other):
            widget.setParent(self)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.turn(False)

    def turn(self, other: bool) -> None:
        """Show the one or the other."""
        self._usual.setVisible(not other)
        self._other.setVisible(other)

    def hasHeightForWidth(self) -> bool:  # noqa: N802 - Qt's name
        """Follow the label, which wraps."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Height of the higher one."""
        return max(self._usual.heightForWidth(width), self._other.sizeHint().height())

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for the wider one."""
        wide = max(self._usual.minimumSizeHint().width(), self._other.sizeHint().width())
        return QSize(wide, self.heightForWidth(max(self.width(), wide)))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for the wider one."""
        return self.sizeHint()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Give both all the room."""
        for widget in (self._usual, self._other):
            widget.setGeometry(self.rect())


class TopBar(QWidget):
    """The slice strip with its legend or the state of training, undo, redo, help, the classes."""

    help_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        self._listening = Listening()
        self._new_label: NewLabelButton | None = None
        self.strip = SliceStrip()
        self.strip.wanted.connect(self._go)
        self.strip.extent_said.connect(self._on_extent)
        self.marks = QLabel(_MARKS)
        self.marks.setTextFormat(Qt.TextFormat.RichText)
        self.marks.setWordWrap(True)  # with a large font
        name_role(self.marks, SMALL)
        self.marks.setToolTip(
            "The bar shows all slices. The higher a column, the more doubt: red where it is likely "
            "wrong, orange where the predictions disagree, yellow where they are unsure. Click or "
            "drag to go there; "
            "a right click lets you say where the object begins and ends."
        )
        self.training = TrainingLine()
        told = _InTurn(self.marks, self.training)
        self.training.shown_changed.connect(told.turn)
        self.chips = ClassChips()
        self.chips.wanted.connect(self._on_class)
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
        row = QHBoxLayout()
        row.setSpacing(3)
        row.addWidget(told, 1)
        for button in (self.planes, self.undo, self.redo, self.help):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 3, 4, 0)
        layout.setSpacing(2)
        self.damaged = DamagedQuestion()
        layout.addWidget(self.strip)
        layout.addLayout(row)
        layout.addWidget(self.damaged)
        layout.addWidget(self.chips)
        self.planes.setIcon(_planes_icon(self.palette()))
        self.name_key("")
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Show a session; nothing is shown without one."""
        self._listening.end()
        self._session = session
        self.setVisible(session is not None)
        self.training.set_session(session)
        if self._new_label is not None:
            self._new_label.close()
        self._new_label = None if session is None else NewLabelButton(self, session)
        if session is None:
            self.damaged.show_unread(None)  # it would keep the session, and its image, alive
        else:
            self._listening.to(session.history.changed, self.show_history)
            self._listening.to(session.classes_changed, self.show_classes)
            self._listening.to(session.class_editing.chosen, self.show_classes)
            self._listening.to(session.shares_changed, self.refresh)
            self.show_classes()
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
        self.damaged.show_unread(session.shelf.unread)
        counts = session.shelf.counts()
        self.strip.show_facts(
            SliceFacts(
                session.references.states.copy(),
                set(session.accepted_slices()),
                None if counts is None else counts.regions,
                None if counts is None else counts.corrected > 0,
                session.extent.said,
                session.extent.outside(),
                slice_word(session.image, session.project.axis),
            )
        )
        self.show_slice()

    def show_classes(self, chosen: int | None = None) -> None:
        """Show the table, and which class is painted with."""
        if self._session is not None:
            self.chips.show_classes(self._session.classes, self._session.class_editing.current())

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

    def _on_class(self, class_id: int) -> None:
        if self._session is not None:
            self._session.choose_class(class_id)

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
