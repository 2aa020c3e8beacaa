"""What the panel's plots have in common: still, of one height, in the colours of the theme."""

from __future__ import annotations

from typing import Any

import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

#: Pixels above the plot: half of a label, which stands beside the axis' upper end.
_ABOVE = 9

#: Pixels below: pyqtgraph puts the name of the axis so much too low.
_BELOW = 5


class Plot(QWidget):
    """A plot that neither zooms nor has a menu.

    Parameters
    ----------
    height : int
        Pixels.
    left, bottom : str
        What the axes are called.
    tip : str
        Tooltip.
    """

    def __init__(self, height: int, left: str, bottom: str, tip: str) -> None:
        super().__init__()
        self._plot = pg.PlotWidget()
        self._plot.setMenuEnabled(False)
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.hideButtons()
        self._item: pg.PlotItem = self._plot.getPlotItem()
        self._item.setLabel("left", left)
        self._item.setLabel("bottom", bottom)
        self._item.setContentsMargins(0, _ABOVE, 0, _BELOW)
        self.promise = QLabel(self._plot)
        self.promise.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.promise.setWordWrap(True)
        self.promise.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.promise.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._plot)
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(tip)

    def say_empty(self, text: str) -> None:
        """Say in an empty plot what it will show; empty when there is something."""
        self.promise.setText(text)
        self.promise.setVisible(bool(text))
        self._place_promise()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Keep what is said in the middle of the axes."""
        super().resizeEvent(event)
        self._place_promise()

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Find the middle of the axes, which are laid out now."""
        super().showEvent(event)
        self._place_promise()

    def _place_promise(self) -> None:
        inside = self._plot.rect().adjusted(48, _ABOVE, -48, -40)
        self.promise.setGeometry(inside)

    def set_colors(self, background: str, text: str) -> None:
        """Follow the application's theme."""
        self._plot.setBackground(QColor(background))
        self.promise.setStyleSheet(f"background: transparent; color: {text}")
        for name in ("left", "right", "bottom"):
            axis = self._item.getAxis(name)
            axis.setPen(text)
            axis.setTextPen(text)
