"""The classes as a row of chips that is always in sight: colour, key, name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QSize, Qt, QTimer, Signal
from qtpy.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap
from qtpy.QtWidgets import QMenu, QSizePolicy, QToolButton, QWidget

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND, ClassTable
from .palette import BACKGROUND_COLOR
from .panel_style import CHIP, name_role

#: Rows of chips at most; what has no room is in a menu.
_MOST_ROWS = 2
#: Classes that may have a chip at all; two rows never have room for more.
_MOST_CHIPS = 24
#: Letters of a name that a chip shows.
_LETTERS = 15
_GAP = 2
#: Pixels of a side of the square of a colour.
_SIDE = 14


@dataclass(frozen=True)
class Entry:
    """What can be painted with.

    Parameters
    ----------
    id : int
    name : str
    color : str
        Empty for none.
    key : str
        Digit that chooses it together with Alt; empty for none.
    """

    id: int
    name: str
    color: str
    key: str

    @property
    def tip(self) -> str:
        """What a click does."""
        key = f" (Alt+{self.key})" if self.key else ""
        return f"Paint with “{self.name}”{key}"


def entries_of(classes: ClassTable, chosen: int) -> list[Entry]:
    """Return what can be painted with: the classes, background, and what is chosen beside them."""
    found = [
        Entry(item.id, item.name, item.color, str(position) if position < 10 else "")
        for position, item in enumerate(classes, start=1)
    ]
    found.append(Entry(BACKGROUND, "Background", BACKGROUND_COLOR, "0"))
    if chosen not in [entry.id for entry in found]:
        name = "Take ink away" if chosen == NOT_ANNOTATED else classes.name(chosen)
        found.append(Entry(chosen, name, "", ""))
    return found


class ClassChips(QWidget):
    """Says which colour is which class and which one is painted with; a click chooses another."""

    wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self.chips: dict[int, QToolButton] = {}
        self.more = self._chip()
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setText("More ▾")
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.more.setMenu(self.menu)
        self._restyled = QTimer(self)
        self._restyled.setSingleShot(True)
        self._restyled.setInterval(0)
        self._restyled.timeout.connect(self._restyle)
        self._chosen = -1
        self._shown: list[int] = []
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setAccessibleName("Classes")

    def show_classes(self, classes: ClassTable, chosen: int) -> None:
        """Show a class table, and mark one of it."""
        entries = entries_of(classes, chosen)
        self._chosen = chosen
        if entries != self.entries:
            self.entries = entries
            for chip in self.chips.values():
                chip.hide()
                chip.deleteLater()
            near = entries[:_MOST_CHIPS] + [e for e in entries[_MOST_CHIPS:] if e.id == chosen]
            self.chips = {entry.id: self._chip(entry) for entry in near}
        for class_id, chip in self.chips.items():
            chip.setChecked(class_id == chosen)
        self._arrange()
        self.updateGeometry()

    # -- where the chips lie --------------------------------------------------------------

    def hasHeightForWidth(self) -> bool:  # noqa: N802 - Qt's name
        """In a narrow panel there are more rows."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802 - Qt's name
        """Height of as many rows as are needed."""
        places = self._places(width)[0]
        rows = 1 + max((row for row, _ in places.values()), default=0)
        return rows * self._row_height() + (rows - 1) * _GAP

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room in the width that there is."""
        return QSize(self.width(), self.heightForWidth(self.width()))

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Have room for a chip and the menu."""
        widest = max((chip.sizeHint().width() for chip in self.chips.values()), default=0)
        wide = widest + _GAP + self.more.sizeHint().width()
        return QSize(wide, self.heightForWidth(max(self.width(), wide)))

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Lay the chips in the new width."""
        self._arrange()

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Lay the chips in another font."""
        super().changeEvent(event)
        if event.type() in (event.Type.FontChange, event.Type.StyleChange):
            self._restyled.start()  # the chips are told after this

    def _restyle(self) -> None:
        for entry in self.entries:
            if entry.id in self.chips:
                self._name(self.chips[entry.id], entry)
        self._arrange()
        self.updateGeometry()

    def _arrange(self) -> None:
        places, left_out = self._places(self.width())
        high = self._row_height()
        self._shown = [entry.id for entry in self.entries if entry.id in places]
        for class_id, chip in self.chips.items():
            chip.setVisible(class_id in places)
        self.more.setVisible(bool(left_out))
        self.more.setToolTip(f"{left_out} more to paint with")
        for class_id, (row, x) in places.items():
            chip = self.chips.get(class_id, self.more)
            chip.setGeometry(x, row * (high + _GAP), chip.sizeHint().width(), high)

    def _places(self, width: int) -> tuple[dict[int, tuple[int, int]], int]:
        """Return row and x of each chip, of the menu under -1, and how many have no room."""
        ids = [entry.id for entry in self.entries if entry.id in self.chips]
        count = len(ids)
        while True:
            some = ids[:count]
            if self._chosen in self.chips and self._chosen not in some:
                some = [*some[: max(count - 1, 0)], self._chosen]
            left_out = len(self.entries) - len(some)
            widths = {i: self.chips[i].sizeHint().width() for i in some}
            if left_out:
                widths[-1] = self.more.sizeHint().width()
            places = _flow(widths, width)
            rows = max((row for row, _ in places.values()), default=0) + 1
            if rows <= _MOST_ROWS or count <= 1:
                return places, left_out
            count -= 1

    def _row_height(self) -> int:
        return int(self.more.sizeHint().height())

    # -- the chips ------------------------------------------------------------------------

    def _chip(self, entry: Entry | None = None) -> QToolButton:
        chip = QToolButton(self)
        name_role(chip, CHIP)
        chip.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys with the image
        chip.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        chip.setIconSize(QSize(11, 11))
        if entry is not None:
            chip.setCheckable(True)
            chip.setIcon(swatch(entry.color, self.palette()))
            chip.setToolTip(entry.tip)
            chip.setAccessibleName(entry.name)
            chip.clicked.connect(lambda _=False, i=entry.id: self._on_click(i))
            self._name(chip, entry)
        return chip

    def _name(self, chip: QToolButton, entry: Entry) -> None:
        chip.ensurePolished()
        metrics = chip.fontMetrics()
        room = _LETTERS * metrics.averageCharWidth()
        name = metrics.elidedText(entry.name, Qt.TextElideMode.ElideRight, room)
        # Ampersands are no mnemonics here.
        chip.setText(f"{entry.key} {name}".strip().replace("&", "&&"))

    def _on_click(self, class_id: int) -> None:
        chip = self.chips.get(class_id)
        if chip is not None:
            chip.setChecked(class_id == self._chosen)  # the layer says what is chosen
        self.wanted.emit(class_id)

    def _fill_menu(self) -> None:
        self.menu.clear()
        for entry in self.entries:
            if entry.id not in self._shown:
                key = f"\tAlt+{entry.key}" if entry.key else ""
                text = f"{entry.name.replace('&', '&&')}{key}"
                action = self.menu.addAction(swatch(entry.color, self.palette()), text)
                action.triggered.connect(lambda _=False, i=entry.id: self.wanted.emit(i))


def swatch(color: str, palette: QPalette) -> QIcon:
    """Return a square of a colour; an empty one where there is none."""
    pixmap = QPixmap(_SIDE, _SIDE)
    pixmap.fill(QColor(color) if color else QColor(0, 0, 0, 0))
    if not color:
        painter = QPainter(pixmap)
        painter.setPen(palette.color(QPalette.ColorRole.WindowText))
        painter.drawRect(1, 1, _SIDE - 3, _SIDE - 3)
        painter.end()
    icon = QIcon(pixmap)
    icon.addPixmap(pixmap, QIcon.Mode.Selected)  # Qt would tint it in the row that is chosen
    return icon


def _flow(widths: dict[int, int], width: int) -> dict[int, tuple[int, int]]:
    """Lay boxes in rows, and return row and x of each."""
    places: dict[int, tuple[int, int]] = {}
    row = x = 0
    for key, wide in widths.items():
        if x and x + wide > width:
            row, x = row + 1, 0
        places[key] = (row, x)
        x += wide + _GAP
    return places
