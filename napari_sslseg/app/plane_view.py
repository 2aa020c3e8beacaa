"""A small view of one plane, with a crosshair; a click goes to where it points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from ..volume.letters import EdgeLetters

if TYPE_CHECKING:
    import numpy.typing as npt

_TITLE_PIXELS, _LETTER_PIXELS = 12, 13

#: Free of the crosshair around the point, pixels: what is looked at is not covered.
_GAP = 7

_CROSS = QColor(255, 255, 255, 190)
_CROSS_EDGE = QColor(0, 0, 0, 140)


@dataclass(frozen=True)
class PlanePicture:
    """A plane as it is drawn, rows and columns as on the screen.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3)
    labels : ndarray of uint8, shape (H, W, 4) or finer by whole numbers, or None
    """

    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8] | None = None


class PlaneView(QWidget):
    """Shows one plane as large as there is room, or nearer around the crosshair.

    Places are rows and columns of the picture, that is of the screen.
    """

    pointed = Signal(float, float)
    """Row and column that the user points at."""
    stepped = Signal(int)
    """The user turns the wheel: planes forward or back."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._labels: QImage | None = None
        self._size = (1, 1)
        self._pixel = (1.0, 1.0)
        self._cross: tuple[float, float] = (0.0, 0.0)
        self._wheel = 0
        self.title = ""
        self.letters = EdgeLetters()
        self.nearness = 1.0
        self.ground, self.text = QColor("black"), QColor("white")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(110, 90)
        self.setCursor(Qt.CursorShape.CrossCursor)

    def show_picture(self, picture: PlanePicture, pixel: tuple[float, float]) -> None:
        """Show a plane.

        Parameters
        ----------
        picture : PlanePicture
        pixel : tuple of float
            Height and width of a pixel, any unit.
        """
        self._image = _qimage(picture.image, QImage.Format.Format_RGB888)
        self._labels = (
            None
            if picture.labels is None
            else _qimage(picture.labels, QImage.Format.Format_RGBA8888)
        )
        self._size, self._pixel = picture.image.shape[:2], pixel
        self.update()

    def clear(self) -> None:
        """Show nothing."""
        self._image = self._labels = None
        self.update()

    def set_cross(self, row: float, column: float) -> None:
        """Move the crosshair."""
        if (row, column) != self._cross:
            self._cross = (row, column)
            self.update()

    def set_nearness(self, nearness: float) -> None:
        """Show the plane this many times larger than it fits, around the crosshair."""
        nearness = max(1.0, nearness)
        if nearness != self.nearness:
            self.nearness = nearness
            self.update()

    def set_colors(self, ground: str, text: str) -> None:
        """Follow the application's theme."""
        self.ground, self.text = QColor(ground), QColor(text)
        self.update()

    # -- places ---------------------------------------------------------------------------

    def target(self) -> QRectF:
        """Where the whole plane lies, in pixels of the widget; it may reach beyond it."""
        rows, columns = self._size
        tall, wide = rows * self._pixel[0], columns * self._pixel[1]
        scale = self.nearness * min(self.width() / wide, self.height() / tall)
        left = _start(self.width(), wide * scale, (self._cross[1] + 0.5) / columns)
        top = _start(self.height(), tall * scale, (self._cross[0] + 0.5) / rows)
        return QRectF(left, top, wide * scale, tall * scale)

    def place_of(self, row: float, column: float) -> QPointF:
        """Return where the middle of a pixel is drawn."""
        target, (rows, columns) = self.target(), self._size
        return QPointF(
            target.left() + (column + 0.5) * target.width() / columns,
            target.top() + (row + 0.5) * target.height() / rows,
        )

    def pixel_at(self, place: QPointF) -> tuple[float, float]:
        """Return the row and column drawn at a place, held inside the plane."""
        target, (rows, columns) = self.target(), self._size
        row = (place.y() - target.top()) * rows / target.height() - 0.5
        column = (place.x() - target.left()) * columns / target.width() - 0.5
        return float(np.clip(row, 0, rows - 1)), float(np.clip(column, 0, columns - 1))

    # -- drawing --------------------------------------------------------------------------

    def paintEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Draw the plane, the crosshair, and the words."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.ground)
        if self._image is not None:
            target = self.target()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(target, self._image)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
            if self._labels is not None:
                painter.drawImage(target, self._labels)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._draw_cross(painter)
            self._draw_words(painter)
        painter.end()

    def _draw_cross(self, painter: QPainter) -> None:
        at, w, h = self.place_of(*self._cross), self.width(), self.height()
        x, y = at.x(), at.y()
        for color, width in ((_CROSS_EDGE, 3.0), (_CROSS, 1.0)):
            painter.setPen(QPen(color, width))
            painter.drawLine(QPointF(0, y), QPointF(x - _GAP, y))
            painter.drawLine(QPointF(x + _GAP, y), QPointF(w, y))
            painter.drawLine(QPointF(x, 0), QPointF(x, y - _GAP))
            painter.drawLine(QPointF(x, y + _GAP), QPointF(x, h))

    def _draw_words(self, painter: QPainter) -> None:
        font = QFont(self.font())
        font.setPixelSize(_TITLE_PIXELS)
        self._write(painter, font, 6, 3 + _TITLE_PIXELS, self.title)
        font.setPixelSize(_LETTER_PIXELS)
        font.setBold(True)
        metrics, w, h = QFontMetricsF(font), self.width(), self.height()

        def wide(text: str) -> float:
            return metrics.horizontalAdvance(text)

        letters, middle = self.letters, h / 2 + _LETTER_PIXELS / 3
        places = (
            (letters.top, (w - wide(letters.top)) / 2, 3 + _LETTER_PIXELS),
            (letters.bottom, (w - wide(letters.bottom)) / 2, h - 5),
            (letters.left, 5, middle),
            (letters.right, w - wide(letters.right) - 5, middle),
        )
        for text, x, y in places:
            self._write(painter, font, x, y, text)

    def _write(self, painter: QPainter, font: QFont, x: float, y: float, text: str) -> None:
        """Write with an outline, to be read on any picture."""
        path = QPainterPath()
        path.addText(QPointF(x, y), font, text)
        painter.strokePath(path, QPen(self.ground, 3.5))
        painter.fillPath(path, self.text)

    # -- pointing -------------------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Go to the place under the pointer."""
        self._point(event)

    def mouseMoveEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Go along with a drag."""
        self._point(event)

    def wheelEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Go through the planes."""
        self._wheel += event.angleDelta().y()
        steps = int(self._wheel / 120)
        self._wheel -= 120 * steps
        if steps:
            self.stepped.emit(steps)
        event.accept()

    def _point(self, event: Any) -> None:
        if self._image is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self.pointed.emit(*self.pixel_at(event.position()))


def _start(room: float, size: float, at: float) -> float:
    """Where something begins that fills the room around a point of it, or lies in its middle."""
    if size <= room:
        return (room - size) / 2
    return float(np.clip(room / 2 - at * size, room - size, 0.0))


def _qimage(picture: npt.NDArray[np.uint8], form: QImage.Format) -> QImage:
    picture = np.ascontiguousarray(picture)
    height, width, depth = picture.shape
    return QImage(picture.data, width, height, depth * width, form).copy()
