"""The list of classes: colour, key, name; a click chooses what to paint."""

from __future__ import annotations

from collections import Counter
from typing import Any

from qtpy.QtCore import QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, ClassTable
from ..volume.terminology import SNOMED
from .class_chips import swatch
from .palette import BACKGROUND_COLOR
from .panel_style import ROWS, name_role
from .step import allow, hint_label, say

_ID = Qt.ItemDataRole.UserRole
_CODE = Qt.ItemDataRole.UserRole + 1
_COLOR = Qt.ItemDataRole.UserRole + 2

#: Rows that are seen at once.
_MOST_ROWS = 6


class ClassList(QWidget):
    """Shows a class table and says what the user wants changed; changes nothing itself."""

    chosen = Signal(int)
    renamed = Signal(int, str)
    recolored = Signal(int, str)
    recoded = Signal(int, str)
    """Class, and the code that was typed for it; empty to let its name decide."""
    add_wanted = Signal()
    remove_wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.list = QListWidget()
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        name_role(self.list, ROWS)
        self.list.setToolTip(
            "Click: paint with this class. Double-click: rename.\n"
            "Right-click: its code in DICOM.\n"
            "Keys: Alt+1 … Alt+9 choose a class, Alt+0 the background."
        )
        self.list.itemClicked.connect(self._on_click)
        self.list.currentItemChanged.connect(self._on_current)  # with the arrow keys
        self.list.itemChanged.connect(self._on_change)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._on_menu)
        self.add_button = QPushButton("Add class")
        self.color_button = QPushButton("Colour…")
        self.remove_button = QPushButton("Remove")
        self.add_button.clicked.connect(self.add_wanted)
        self.color_button.clicked.connect(self._pick_color)
        self.remove_button.clicked.connect(self._on_remove)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.add_button, self.color_button, self.remove_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.hint = hint_label()
        self._restyled = QTimer(self)
        self._restyled.setSingleShot(True)
        self._restyled.setInterval(0)
        self._restyled.timeout.connect(self._fit)
        allow(self.add_button, "", "Add a class, name it, and paint with it")
        layout.addWidget(self.list)
        layout.addLayout(row)
        layout.addWidget(self.hint)

    def current(self) -> int:
        """Id of the chosen class."""
        item = self.list.currentItem()
        return int(item.data(_ID)) if item is not None else BACKGROUND

    def show_table(self, classes: ClassTable, chosen: int) -> None:
        """Show a class table."""
        self.list.blockSignals(True)
        self.list.clear()
        for position, class_item in enumerate(classes, start=1):
            key = f"Alt+{position}" if position < 10 else ""
            kind = class_item.terms.kind
            code = f"in DICOM: {kind.meaning} ({kind.scheme} {kind.value})"
            self._add(class_item.id, class_item.name, class_item.color, key, code, editable=True)
            typed = "" if kind.scheme == SNOMED else f"{kind.scheme}:"
            said = f"{typed}{kind.value} {kind.meaning}" if class_item.code else ""
            self.list.item(self.list.count() - 1).setData(_CODE, said)
        self._add(BACKGROUND, "Background", BACKGROUND_COLOR, "Alt+0")
        self._add(NOT_ANNOTATED, "Not annotated (take ink away)", "", "")
        self.list.blockSignals(False)
        self._fit()
        self.choose(chosen)
        say(self.hint, _alike([item.name for item in classes]))

    def choose(self, class_id: int) -> None:
        """Highlight a class, without emitting; none where the class is not in the list."""
        self.list.blockSignals(True)
        self.list.setCurrentRow(self._row_of(class_id))
        self.list.blockSignals(False)
        self._allow()

    def ask_name(self, class_id: int) -> None:
        """Open the name of a class for editing."""
        row = self._row_of(class_id)
        if row >= 0 and self.list.isVisible():
            self.list.setFocus()
            self.list.scrollToItem(self.list.item(row))
            self.list.editItem(self.list.item(row))

    def refuse(self, reason: str) -> None:
        """Say below the list why something was not done."""
        say(self.hint, reason)

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Give the rows room in another font."""
        super().changeEvent(event)
        if event.type() in (event.Type.FontChange, event.Type.StyleChange):
            self._restyled.start()  # the list is told after this

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Give the rows room in the font of the window, which is not known before."""
        super().showEvent(event)
        self._fit()

    def _row_of(self, class_id: int) -> int:
        rows = range(self.list.count())
        return next((r for r in rows if int(self.list.item(r).data(_ID)) == class_id), -1)

    def _fit(self) -> None:
        """Be as high as the rows."""
        rows = min(self.list.count(), _MOST_ROWS)
        high = sum(self.list.sizeHintForRow(row) for row in range(rows))
        margins = self.list.contentsMargins()
        self.list.setFixedHeight(high + margins.top() + margins.bottom() + 2)

    def _add(
        self,
        class_id: int,
        name: str,
        color: str,
        key: str,
        code: str = "",
        editable: bool = False,
    ) -> None:
        item = QListWidgetItem(name)
        item.setData(_ID, class_id)
        item.setData(_COLOR, color)
        item.setIcon(swatch(color, self.palette()))
        parts = [f"{name} (label {class_id})", f"key {key}" if key else "", code]
        item.setToolTip(", ".join(part for part in parts if part))
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        item.setFlags(flags | Qt.ItemFlag.ItemIsEditable if editable else flags)
        self.list.addItem(item)

    def _allow(self) -> None:
        real = self.current() not in (BACKGROUND, NOT_ANNOTATED)
        reason = "" if real else "choose a class in the list first."
        allow(self.color_button, reason, "Draw this class in another colour")
        allow(self.remove_button, reason, "Remove this class, if nothing is painted with it")

    def _on_remove(self) -> None:
        say(self.hint, "")
        self.remove_wanted.emit(self.current())

    def _on_current(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            self._on_click(item)

    def _on_click(self, item: QListWidgetItem) -> None:
        self._allow()
        self.chosen.emit(int(item.data(_ID)))

    def _on_change(self, item: QListWidgetItem) -> None:
        self.renamed.emit(int(item.data(_ID)), item.text())

    def _on_menu(self, place: QPoint) -> None:
        item = self.list.itemAt(place)
        if item is None or not item.flags() & Qt.ItemFlag.ItemIsEditable:
            return
        menu = QMenu(self)
        menu.addAction("Code in DICOM…", lambda: self._ask_code(item))
        menu.exec(self.list.viewport().mapToGlobal(place))

    def _ask_code(self, item: QListWidgetItem) -> None:
        text, accepted = QInputDialog.getText(
            self,
            "Code in DICOM",
            f"SNOMED CT code of “{item.text()}” and its meaning, such as “80891009 Heart”.\n"
            "For another terminology: “DCM:121191 Referenced segment”. Empty: by the name.",
            QLineEdit.EchoMode.Normal,
            str(item.data(_CODE) or ""),
        )
        if accepted:
            self.recoded.emit(int(item.data(_ID)), text)

    def _pick_color(self) -> None:
        item = self.list.currentItem()
        now = QColor(str(item.data(_COLOR))) if item is not None else QColor()
        color = QColorDialog.getColor(now, self, "Colour of the class")
        if color.isValid():
            self.recolored.emit(self.current(), color.name())


def _alike(names: list[str]) -> str:
    """Return a remark on names that cannot be told apart; empty when there are none."""
    counts = Counter(name.casefold() for name in names)
    alike = next((name for name in names if counts[name.casefold()] > 1), "")
    return f"Two classes are called “{alike}”. Double-click one to rename it." if alike else ""
