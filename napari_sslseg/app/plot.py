"""What the panel's plots have in common: still, of one height, in the colours of the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    import pyqtgraph as pg

#: Pixels above the plot: half of a label, which stands beside the axis' upper end.
_ABOVE = 9

#: Pixels below: pyqtgraph puts the name of the axis so much too low.
_BELOW = 5


class Plot(QWidget):
    """A plot that neither zooms nor has a menu.

    It is made when it is shown for the first time: without its plots a panel is made in two thirds
    of the time, and pyqtgraph takes a while to import. Until then it only keeps what it will show.

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
        self._names = left, bottom
        self._colors: tuple[str, str] | None = None
        self._made = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(tip)

    def setVisible(self, visible: bool) -> None:  # noqa: N802 - Qt's name
        """Show or hide it."""
        if visible:
            self._make()
        super().setVisible(visible)

    def showEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Find the middle of the axes, which are laid out now."""
        self._make()  # shown with what it is in, without a call of its own
        super().showEvent(event)
        self._place_promise()

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 - Qt's name
        """Keep what is said in the middle of the axes."""
        super().resizeEvent(event)
        self._place_promise()

    def set_colors(self, background: str, text: str) -> None:
        """Follow the application's theme."""
        self._colors = background, text
        if self._made:
            self._color(background, text)

    def _fill(self, item: pg.PlotItem) -> None:
        """Put empty curves into the axes, once."""
        raise NotImplementedError

    def _show(self) -> None:
        """Give the curves what is known now; called once they are there."""
        raise NotImplementedError

    def _draw(self) -> None:
        """Show what is known now, if there is somebody to see it."""
        if self._made:
            self._show()

    def _make(self) -> None:
        if self._made:
            return
        import pyqtgraph as pg

        self._plot = pg.PlotWidget()
        self._plot.setMenuEnabled(False)
        self._plot.setMouseEnabled(x=False, y=False)
        self._plot.hideButtons()
        self._item: pg.PlotItem = self._plot.getPlotItem()
        for side, name in zip(("left", "bottom"), self._names, strict=True):
            self._item.setLabel(side, name)
        self._item.setContentsMargins(0, _ABOVE, 0, _BELOW)
        self.promise = QLabel(self._plot)
        self.promise.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.promise.setWordWrap(True)
        self.promise.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.promise.hide()
        self.layout().addWidget(self._plot)
        self._fill(self._item)
        self._made = True
        if self._colors is not None:
            self._color(*self._colors)
        self._show()

    def _say_empty(self, text: str) -> None:
        """Say in an empty plot what it will show; empty when there is something."""
        self.promise.setText(text)
        self.promise.setVisible(bool(text))
        self._place_promise()

    def _place_promise(self) -> None:
        if self._made:
            inside = self._plot.rect().adjusted(48, _ABOVE, -48, -40)
            self.promise.setGeometry(inside)

    def _color(self, background: str, text: str) -> None:
        self._plot.setBackground(QColor(background))
        self.promise.setStyleSheet(f"background: transparent; color: {text}")
        for name in ("left", "right", "bottom"):
            axis = self._item.getAxis(name)
            axis.setPen(text)
            axis.setTextPen(text)
