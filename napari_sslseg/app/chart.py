"""The live plot: loss, and Dice on left-out references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt

from .plot import Plot

if TYPE_CHECKING:
    import pyqtgraph as pg

_LOSS, _DICE, _MATCHING = "#56b4e9", "#e69f00", "#9aa7b8"

_TIP = (
    "Blue: training loss. Orange: Dice of the trained model on references that were left "
    "out of training; grey: the same for reference matching."
)


#: The first points come with the first training steps, after matching and tests.
_PROMISE = "Loss and Dice, once training steps begin"


class TrainingChart(Plot):
    """Loss (left axis) and Dice (right axis) over seconds of training."""

    def __init__(self) -> None:
        super().__init__(120, "loss", "seconds", _TIP)
        self.clear()

    def clear(self) -> None:
        """Start a new run."""
        self.losses: list[tuple[float, float]] = []
        self.dices: list[tuple[float, float]] = []
        self.baselines: list[tuple[float, float]] = []
        self._draw()

    def add_loss(self, seconds: float, loss: float) -> None:
        """Append a point of the loss curve."""
        self.losses.append((seconds, loss))
        self._draw()

    def add_quality(self, seconds: float, dice: float, baseline: float | None) -> None:
        """Append a point of the quality curve."""
        self.dices.append((seconds, dice))
        if baseline is not None:
            self.baselines.append((seconds, baseline))
        self._draw()

    def _fill(self, item: pg.PlotItem) -> None:
        import pyqtgraph as pg

        item.showAxis("right")
        item.setLabel("right", "Dice")
        self._dice_view = pg.ViewBox(enableMenu=False)
        self._dice_view.setMouseEnabled(x=False, y=False)
        item.scene().addItem(self._dice_view)
        item.getAxis("right").linkToView(self._dice_view)
        self._dice_view.setXLink(item)
        self._dice_view.setYRange(0, 1, padding=0.02)
        item.vb.sigResized.connect(self._follow)
        self._loss = item.plot(pen=pg.mkPen(_LOSS, width=2))
        self._dice = pg.PlotDataItem(
            pen=pg.mkPen(_DICE, width=2),
            symbol="o",
            symbolSize=6,
            symbolBrush=_DICE,
            symbolPen=None,
        )
        dashed = pg.mkPen(_MATCHING, width=1, style=Qt.PenStyle.DashLine)
        self._baseline = pg.PlotDataItem(pen=dashed)
        self._dice_view.addItem(self._dice)
        self._dice_view.addItem(self._baseline)

    def _show(self) -> None:
        for curve, points in (
            (self._loss, self.losses),
            (self._dice, self.dices),
            (self._baseline, self.baselines),
        ):
            curve.setData([p[0] for p in points], [p[1] for p in points])
        self._say_empty("" if self.losses or self.dices else _PROMISE)

    def _follow(self) -> None:
        item = self._item
        self._dice_view.setGeometry(item.vb.sceneBoundingRect())
        self._dice_view.linkedViewChanged(item.vb, self._dice_view.XAxis)
