"""The legend of trust: what the colours mean, their shares, and a switch for each."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget

from ..volume.proposal import REGION_MEANINGS, REGION_NAMES, REGION_REASONS, REGION_WORDS
from .palette import REGION_COLORS

#: Pixels of a line of these words at most.
_ROOM = 200


class _Share(QLabel):
    """A share in percent; always as wide as the widest, or the legend would move with it."""

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for any share in the label's font."""
        return self.sizeHint()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for any share in the label's font."""
        hint: QSize = super().sizeHint()
        widest = self.fontMetrics().horizontalAdvance("100.0 %") + 4
        return QSize(max(widest, hint.width()), hint.height())


class _Meaning(QLabel):
    """Words on one line, unless a large font would make the panel too wide."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setWordWrap(True)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Room for one line where that is not too much."""
        whole = self.fontMetrics().horizontalAdvance(self.text()) + 16
        return QSize(min(whole, _ROOM), int(super().minimumSizeHint().height()))


class RegionLegend(QWidget):
    """Four rows: switch with colour, meaning, share of the object's neighbourhood."""

    shown_changed = Signal(object)

    def __init__(self, shown: set[int]) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(6)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(1, 1)
        self.boxes: dict[int, QCheckBox] = {}
        self.shares: dict[int, QLabel] = {}
        for row, code in enumerate(sorted(REGION_NAMES)):
            box = QCheckBox(REGION_WORDS[code])
            pixmap = QPixmap(12, 12)
            pixmap.fill(QColor(REGION_COLORS[code]))
            box.setIcon(QIcon(pixmap))
            box.setChecked(code in shown)
            box.setToolTip(
                f"Colour the voxels where {REGION_MEANINGS[code]} ({REGION_NAMES[code]} in MetaSSL)"
            )
            box.toggled.connect(self._emit)
            meaning = _Meaning(REGION_REASONS[code])
            meaning.setToolTip(f"{REGION_MEANINGS[code].capitalize()} ({REGION_NAMES[code]})")
            share = _Share("–")
            share.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            share.setToolTip("Share of the open voxels on and around the object")
            grid.addWidget(box, row, 0)
            grid.addWidget(meaning, row, 1)
            grid.addWidget(share, row, 2)
            self.boxes[code], self.shares[code] = box, share

    def set_shares(self, shares: dict[str, float]) -> None:
        """Show the shares, by region name; none where there are no regions at all."""
        some = any(shares.values())
        for code, label in self.shares.items():
            value = shares.get(REGION_NAMES[code]) if some else None
            label.setText("–" if value is None else f"{100 * value:.1f} %")

    def shown(self) -> set[int]:
        """Codes of the regions that are switched on."""
        return {code for code, box in self.boxes.items() if box.isChecked()}

    def _emit(self) -> None:
        self.shown_changed.emit(self.shown())
