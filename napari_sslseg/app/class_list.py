"""The list of classes: colour, key, name; a click chooses what to paint."""

from __future__ import annotations

from qtpy.QtCore import QPoint, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
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

_ID = Qt.ItemDataRole.UserRole
_CODE = Qt.ItemDataRole.UserRole + 1


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
        self.list.setToolTip(
            "Click: paint with this class. Double-click: rename.\n"
            "Right-click: its code in DICOM.\n"
            "Keys: Alt+1 … Alt+9 choose a class, Alt+0 the background."
        )
        self.list.itemClicked.connect(self._on_click)
        self.list.itemChanged.connect(self._on_change)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._on_menu)
        self.add_button = QPushButton("Add class")
        self.color_button = QPushButton("Colour…")
        self.remove_button = QPushButton("Remove")
        self.add_button.clicked.connect(self.add_wanted)
        self.color_button.clicked.connect(self._pick_color)
        self.remove_button.clicked.connect(lambda: self.remove_wanted.emit(self.current()))
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.add_button, self.color_button, self.remove_button):
            row.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.list)
        layout.addLayout(row)

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
        self._add(BACKGROUND, "Background", "#8c9ebf", "Alt+0")
        self._add(NOT_ANNOTATED, "Not annotated (take ink away)", "", "")
        self.list.blockSignals(False)
        rows = self.list.count()
        self.list.setFixedHeight(min(rows, 6) * 24 + 6)
        self.choose(chosen)

    def choose(self, class_id: int) -> None:
        """Highlight a class, without emitting."""
        self.list.blockSignals(True)
        for row in range(self.list.count()):
            if int(self.list.item(row).data(_ID)) == class_id:
                self.list.setCurrentRow(row)
        self.list.blockSignals(False)
        self._allow()

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
        pixmap = QPixmap(14, 14)
        pixmap.fill(QColor(color) if color else QColor(0, 0, 0, 0))
        item.setIcon(QIcon(pixmap))
        parts = [f"{name} (label {class_id})", f"key {key}" if key else "", code]
        item.setToolTip(", ".join(part for part in parts if part))
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        item.setFlags(flags | Qt.ItemFlag.ItemIsEditable if editable else flags)
        self.list.addItem(item)

    def _allow(self) -> None:
        real = self.current() not in (BACKGROUND, NOT_ANNOTATED)
        for button in (self.color_button, self.remove_button):
            button.setEnabled(real)
            button.setToolTip("" if real else "Not now: choose a class in the list first.")

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
        color = QColorDialog.getColor(parent=self)
        if color.isValid():
            self.recolored.emit(self.current(), color.name())
