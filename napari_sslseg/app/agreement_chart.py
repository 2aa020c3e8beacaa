"""The corrective Dice of each round: how much of what was proposed the user left as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal

from .plot import Plot

if TYPE_CHECKING:
    import pyqtgraph as pg

    from .accepting import CorrectiveDice

_POINT, _MEAN = "#3fb950", "#9aa7b8"

_TIP = (
    "How much of each slice was right before you accepted it: 1 means that you changed "
    "nothing. Click on a point to go to its slice."
)


class AgreementChart(Plot):
    """A point for each accepted slice, over the rounds; a click on one goes to its slice."""

    wanted = Signal(int)

    def __init__(self) -> None:
        super().__init__(150, "Dice", "training round", _TIP)
        self._scores: list[CorrectiveDice] = []

    def show_scores(self, scores: Sequence[CorrectiveDice]) -> None:
        """Show the slices that are accepted."""
        self._scores = list(scores)
        self._draw()

    def _fill(self, item: pg.PlotItem) -> None:
        import pyqtgraph as pg

        item.getAxis("bottom").setStyle(maxTickLevel=0)
        self.points = pg.ScatterPlotItem(
            size=9, brush=pg.mkBrush(_POINT), pen=None, hoverable=True, hoverSize=13, tip=_tip
        )
        self.points.sigClicked.connect(self._on_click)
        self._means = item.plot(pen=pg.mkPen(_MEAN, width=2))
        item.addItem(self.points)

    def _show(self) -> None:
        scores = self._scores
        rounds = sorted({s.round for s in scores})
        x: list[float] = []
        for number in rounds:
            count = sum(s.round == number for s in scores)
            spread = np.linspace(-0.25, 0.25, count) if count > 1 else np.zeros(1)
            x.extend(number + spread)
        y = [s.mean for s in scores]
        self.points.setData(x=x, y=y, data=scores)
        means = [float(np.mean([s.mean for s in scores if s.round == n])) for n in rounds]
        self._means.setData(rounds, means)
        self._plot.setYRange(min([*y, 0.8]), 1.0, padding=0.08)
        if rounds:
            self._plot.setXRange(rounds[0] - 0.5, rounds[-1] + 0.5, padding=0.02)
            ticks = [(n, str(n)) for n in rounds[:: max(1, len(rounds) // 8)]]
            self._item.getAxis("bottom").setTicks([ticks])

    def _on_click(self, item: Any, points: Any, event: Any = None) -> None:
        if len(points):
            self.wanted.emit(int(points[0].data().index))


def _tip(x: float, y: float, data: CorrectiveDice) -> str:
    return f"slice {data.index}, round {data.round}: {y:.3f}"
