"""What the panel's plots have in common: still, of one height, in the colours of the theme."""

from __future__ import annotations

import pyqtgraph as pg
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget


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
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._plot)
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(tip)

    def set_colors(self, background: str, text: str) -> None:
        """Follow the application's theme."""
        self._plot.setBackground(QColor(background))
        for name in ("left", "right", "bottom"):
            axis = self._item.getAxis(name)
            axis.setPen(text)
            axis.setTextPen(text)
