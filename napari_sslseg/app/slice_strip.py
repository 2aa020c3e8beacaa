"""All slices in one bar: where the doubt is, what is known, and where the user is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QPoint, QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QImage, QPainter, QPalette, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QMenu, QSizePolicy, QToolTip, QWidget

from ..volume.annotation import SliceState
from ..volume.extent import Extent
from ..volume.proposal import REGION_WORDS
from .palette import REGION_COLORS

#: Bottom to top in the pile of a slice: what is most likely wrong stands on the ground.
_PILE = (4, 3, 2)
_PILE_HEIGHT, _MARKS_HEIGHT, _SIDE = 30, 10, 5

#: Slices that a key goes forward; Home and End go as far as there are any.
_FAR = 1_000_000
_STEPS = {
    Qt.Key.Key_Left: -1,
    Qt.Key.Key_Right: 1,
    Qt.Key.Key_PageUp: -10,
    Qt.Key.Key_PageDown: 10,
    Qt.Key.Key_Home: -_FAR,
    Qt.Key.Key_End: _FAR,
}

REFERENCE_COLOR, ACCEPTED_COLOR = "#8ab4f8", "#3fb950"


@dataclass
class SliceFacts:
    """What there is to know of the slices along one axis.

    Parameters
    ----------
    states : ndarray of uint8, shape (Z,)
        Values of `SliceState`.
    accepted : set of int
    regions : ndarray of int64, shape (Z, 5), or None
        Open voxels of each region.
    corrected : ndarray of bool, shape (Z,), or None
    extent : Extent
        Where the object lies, as the user says.
    outside : ndarray of bool, shape (Z,), or None
        Slices that are empty because of it.
    word : str
        What a slice is called.
    """

    states: npt.NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    accepted: set[int] = field(default_factory=set)
    regions: npt.NDArray[np.int64] | None = None
    corrected: npt.NDArray[np.bool_] | None = None
    extent: Extent = field(default_factory=Extent)
    outside: npt.NDArray[np.bool_] | None = None
    word: str = "Slice"

    def same_as(self, other: SliceFacts) -> bool:
        """Whether others say the same."""

        def equal(one: npt.NDArray[Any] | None, two: npt.NDArray[Any] | None) -> bool:
            if one is None or two is None:
                return one is two
            return np.array_equal(one, two)

        return (
            self.word == other.word
            and self.accepted == other.accepted
            and self.extent == other.extent
            and equal(self.outside, other.outside)
            and equal(self.states, other.states)
            and equal(self.regions, other.regions)
            and equal(self.corrected, other.corrected)
        )

    def describe(self, index: int) -> str:
        """Say what is known of a slice."""
        words = [f"{self.word} {index}"]
        if index in self.accepted:
            words.append("accepted by you")
        elif self.states[index] == SliceState.WHOLE:
            words.append("a reference")
        elif self.states[index] == SliceState.PARTIAL:
            words.append("partly labelled")
        if self.corrected is not None and self.corrected[index]:
            words.append("corrected")
        text = ", ".join(words)
        if self.outside is not None and self.outside[index]:
            return f"{text}, outside of the object, as you said"
        if self.regions is not None:
            rows = [
                f"{REGION_WORDS[code]}: {int(self.regions[index, code])} voxels"
                for code in _PILE
                if self.regions[index, code]
            ]
            text = "\n".join([text, *(rows or ["no doubt"])])
        return text


class SliceStrip(QWidget):
    """A bar with a column for each slice; a click or drag goes there.

    A right click on a slice lets the user say that the object begins or ends there.
    """

    wanted = Signal(int)
    """The user points at a slice."""
    extent_said = Signal(object)
    """The user says where the object lies: an `Extent`."""

    def __init__(self) -> None:
        super().__init__()
        self.facts = SliceFacts()
        self._current = 0
        self._drawn: QPixmap | None = None
        self.setFixedHeight(_PILE_HEIGHT + _MARKS_HEIGHT + 4)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the keys with the image
        self.setAccessibleName("All slices")

    def show_facts(self, facts: SliceFacts) -> None:
        """Show facts; nothing is drawn where they are the same as before."""
        if facts.same_as(self.facts):
            return
        self.facts = facts
        self._drawn = None
        self.update()

    def show_current(self, index: int) -> None:
        """Mark the slice in view."""
        if index != self._current:
            self._current = index
            self.update()

    @property
    def count(self) -> int:
        """Number of slices."""
        return len(self.facts.states)

    def index_at(self, x: float) -> int:
        """Slice at a place of the bar, pixels."""
        inside = max(self.width() - 2 * _SIDE, 1)
        return int(np.clip((x - _SIDE) * self.count / inside, 0, max(self.count - 1, 0)))

    def middle_of(self, index: int) -> float:
        """Place of a slice in the bar, pixels."""
        return _SIDE + (index + 0.5) * (self.width() - 2 * _SIDE) / max(self.count, 1)

    # -- drawing --------------------------------------------------------------------------

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the bar and the mark of the slice in view."""
        if self._drawn is None:
            self._drawn = self._draw()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._drawn)
        if self.count:
            x = self.middle_of(self._current)
            text = self.palette().color(QPalette.ColorRole.WindowText)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(text, 2))
            painter.drawLine(QPointF(x, 1), QPointF(x, _PILE_HEIGHT + 2))
            painter.setBrush(text)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawPolygon(QPolygonF([QPointF(x - 5, 0), QPointF(x + 5, 0), QPointF(x, 6)]))
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw anew for another width."""
        self._drawn = None

    def changeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw anew in another theme."""
        self._drawn = None
        super().changeEvent(event)

    def _draw(self) -> QPixmap:
        pixmap = QPixmap(self.size())
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        ground = self.palette().color(QPalette.ColorRole.WindowText)
        ground.setAlpha(28)
        inside = QRectF(_SIDE, 2, self.width() - 2 * _SIDE, _PILE_HEIGHT)
        painter.fillRect(inside, ground)
        if self.count and inside.width() >= 1:
            painter.drawImage(QPointF(_SIDE, 2), self._piles(int(inside.width())))
            self._hatch_outside(painter)
            self._draw_marks(painter)
        painter.end()
        return pixmap

    def _piles(self, width: int) -> QImage:
        """Draw the doubt of the slices as an image of `width` columns."""
        picture = np.zeros((_PILE_HEIGHT, width, 4), dtype=np.uint8)
        regions = self.facts.regions
        if regions is not None and len(regions) == self.count:
            doubt = regions[:, list(_PILE)].astype(float)
            heights = _heights(doubt, width)
            level = np.arange(_PILE_HEIGHT)[::-1, None] + 0.5
            ground = np.zeros(width)
            for column, code in enumerate(_PILE):
                top = ground + heights[:, column]
                color = QColor(REGION_COLORS[code])
                here = (level > ground) & (level <= top)
                picture[here] = (color.blue(), color.green(), color.red(), 255)
                ground = top
        image = QImage(picture.data, width, _PILE_HEIGHT, 4 * width, QImage.Format.Format_ARGB32)
        return image.copy()

    def _hatch_outside(self, painter: QPainter) -> None:
        """Cover the slices that are empty, as the user said."""
        outside = self.facts.outside
        if outside is None or not outside.any():
            return
        each = (self.width() - 2 * _SIDE) / self.count
        cover = self.palette().color(QPalette.ColorRole.Window)
        cover.setAlpha(170)
        lines = self.palette().color(QPalette.ColorRole.WindowText)
        lines.setAlpha(110)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], outside.astype(np.int8), [0]])))
        for low, high in edges.reshape(-1, 2):
            box = QRectF(_SIDE + low * each, 2, (high - low) * each, _PILE_HEIGHT)
            painter.fillRect(box, cover)
            painter.fillRect(box, QBrush(lines, Qt.BrushStyle.BDiagPattern))

    def _draw_marks(self, painter: QPainter) -> None:
        top = _PILE_HEIGHT + 4
        each = (self.width() - 2 * _SIDE) / self.count
        wide = float(np.clip(each, 3, 7))
        facts = self.facts
        for index in np.flatnonzero(facts.states != SliceState.EMPTY):
            color = QColor(ACCEPTED_COLOR if int(index) in facts.accepted else REFERENCE_COLOR)
            tall = _MARKS_HEIGHT - 1 if facts.states[index] == SliceState.WHOLE else 4
            x = self.middle_of(int(index))
            painter.fillRect(QRectF(x - wide / 2, top, wide, tall), color)
        if facts.corrected is None:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        outline = self.palette().color(QPalette.ColorRole.Window)
        painter.setPen(QPen(outline, 0.7))
        painter.setBrush(self.palette().color(QPalette.ColorRole.WindowText))
        for index in np.flatnonzero(facts.corrected):
            x, low = self.middle_of(int(index)), top + _MARKS_HEIGHT - 1
            painter.drawPolygon(
                QPolygonF([QPointF(x - 4, low), QPointF(x + 4, low), QPointF(x, low - 6)])
            )

    # -- pointing -------------------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Go to the slice under the pointer."""
        self._point(event)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Go along with a drag; without one, say what is under the pointer."""
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._point(event)
        elif self.count:
            text = self.facts.describe(self.index_at(event.position().x()))
            QToolTip.showText(event.globalPosition().toPoint(), text, self)

    def contextMenuEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Let the user say where the object begins and ends."""
        if not self.count:
            return
        if event.reason() == event.Reason.Keyboard:
            place = QPoint(round(self.middle_of(self._current)), self.height())
            self.menu_at(self._current).popup(self.mapToGlobal(place))
        else:
            self.menu_at(self.index_at(event.pos().x())).popup(event.globalPos())

    def keyPressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Go to other slices with the arrow keys, Page Up and Down, Home and End."""
        step = _STEPS.get(event.key())
        if step is None or not self.count:
            super().keyPressEvent(event)
            return
        index = int(np.clip(self._current + step, 0, self.count - 1))
        if index != self._current:
            self.wanted.emit(index)

    def focusInEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Show that the keys come here."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Show that the keys go elsewhere."""
        super().focusOutEvent(event)
        self.update()

    def menu_at(self, index: int) -> QMenu:
        """Return the menu of a slice: what makes sense to say of it."""
        menu, extent = QMenu(self), self.facts.extent
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(f"{self.facts.word} {index}").setEnabled(False)
        menu.addSeparator()

        def offer(text: str, said: Extent) -> None:
            menu.addAction(text).triggered.connect(lambda: self.extent_said.emit(said))

        if extent.may_begin(index):
            offer("Object begins here", Extent(index, extent.last))
        if extent.may_end(index):
            offer("Object ends here", Extent(extent.first, index))
        if extent:
            offer("Forget where it begins and ends", Extent())
        return menu

    def _point(self, event: Any) -> None:
        if self.count and event.buttons() & Qt.MouseButton.LeftButton:
            index = self.index_at(event.position().x())
            if index != self._current:
                self.wanted.emit(index)


def _heights(doubt: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    """Heights of the piles in each of `width` columns, shape (width, 3), pixels.

    The root of the sum is shown, so that small doubts are seen beside large ones. Where there
    are more slices than columns, the worst slice of a column is the one that is shown.
    """
    total = doubt.sum(axis=1)
    edges = np.arange(width + 1) * len(doubt) / width
    chosen = np.zeros(width, dtype=int)
    for x in range(width):
        low = int(edges[x])
        high = max(low + 1, int(np.ceil(edges[x + 1] - 1e-9)))
        chosen[x] = low + int(total[low : min(high, len(doubt))].argmax())
    most = max(float(total.max()), 1e-12)
    scale = (_PILE_HEIGHT - 1) * np.sqrt(total / most) / np.maximum(total, 1e-12)
    heights: npt.NDArray[np.float64] = (doubt * scale[:, None])[chosen]
    return heights
