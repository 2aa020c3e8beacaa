"""Part of step 4: how good it is, and how large."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from ...formats.volume_table import ClassVolume, class_volumes
from ..agreement_chart import AgreementChart
from ..background import in_background
from ..estimated_classes import estimated_classes, shown_name
from ..export_target import remembered_order
from ..listening import Listening
from ..spoken_training import spoken_basis, without_estimate
from ..step import Step, hint_label, say, spoken_dice

if TYPE_CHECKING:
    from ..accepting import CorrectiveDice
    from ..session import Session

_ROW_HEIGHT = 24
_MOST_ROWS = 6


class MeasurePart(Step):
    """Estimated Dice and volume of each class, and the Dice of what was accepted."""

    def __init__(self) -> None:
        super().__init__(None, "Measure: quality and volumes")
        self._session: Session | None = None
        self._listening = Listening()
        self._volumes: dict[int, ClassVolume] = {}
        self._measuring = self._again = False
        self._scores: list[CorrectiveDice] | None = None
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Class", "Dice (est.)", "Volume"])
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        header = self.table.horizontalHeader()
        # Names take the room that the numbers leave them.
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.setToolTip(
            "Dice: estimated without a ground truth, by leaving references out and by the "
            "confidence of each voxel. "
            "Volume: of the mask as it would be exported now."
        )
        self.spread = hint_label()
        self.chart = AgreementChart()
        self.chart.wanted.connect(self._go)
        self.hint = hint_label()
        for widget in (self.table, self.spread, self.chart, self.hint):
            self.rows.addWidget(widget)
        self.head.toggled.connect(lambda shown: self.measure() if shown else None)

    def set_session(self, session: Session | None) -> None:
        """Show a session."""
        self._listening.end()
        self._session = session
        self._volumes = {}
        self._scores = None
        if session is not None:
            self._listening.to(session.saved, self.measure)
            self._listening.to(session.proposals_changed, self.measure)
            self._listening.to(session.slices_changed, self._show_scores)
            self._listening.to(session.classes_changed, self._show_table)
            self._listening.to(session.estimate_changed, self._show_table)
        self._show_table()
        self._show_scores()

    def measure(self) -> None:
        """Measure the volumes in a thread, if anyone looks; one at a time."""
        session = self._session
        if session is None or not self.is_open:
            return
        self._show_table()
        self._show_scores()
        if self._measuring:
            self._again = True
            return
        self._measuring = True
        make = session.final_labels_later()
        classes = session.project.snapshot().classes
        geometry = remembered_order(session.project.info).source

        def done(rows: list[ClassVolume]) -> None:
            self._measuring = False
            if session.saving.closed:
                return  # with the window, maybe
            if session is self._session:
                self._volumes = {row.id: row for row in rows}
                self._show_table()
            self._go_on()

        def failed(error: Exception) -> None:
            self._measuring = False
            say(self.hint, f"The volumes could not be measured: {error}")

        in_background(lambda: class_volumes(make(), geometry, classes), done, failed, self)

    def _go_on(self) -> None:
        if self._again:
            self._again = False
            self.measure()

    def _show_table(self) -> None:
        session = self._session
        classes = [] if session is None else list(session.classes)
        estimate = None if session is None else session.estimates.get(session.active)
        dice, missing = {}, ""
        if session is not None and estimate is not None:
            told = estimated_classes(estimate, session.classes)
            dice = {row.id: spoken_dice(row.dice, row.spread) for row in told}
            missing = without_estimate(told, session.classes)
        self.table.setRowCount(len(classes))
        for row, item in enumerate(classes):
            name = item.name if session is None else shown_name(item.id, session.classes)
            cells = (name, dice.get(item.id, "–"), self._volume(item.id))
            for column, text in enumerate(cells):
                cell = QTableWidgetItem(text)
                if column == 0:
                    cell.setToolTip(text)
                else:
                    cell.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(row, column, cell)
            self.table.setRowHeight(row, _ROW_HEIGHT)
        self.table.setFixedHeight(_ROW_HEIGHT * min(len(classes), _MOST_ROWS) + 30)
        text = ""
        if estimate is not None:
            text = (
                f"Mean Dice {estimate.mean:.2f}, likely between {estimate.low:.2f} and "
                f"{estimate.high:.2f}. {missing} {spoken_basis(estimate)}".replace("  ", " ")
            )
        say(self.spread, text)

    def _volume(self, class_id: int) -> str:
        row = self._volumes.get(class_id)
        if row is None:
            return "–"
        return f"{row.voxels} voxels" if row.ml is None else spoken_volume(row.ml)

    def _show_scores(self) -> None:
        if not self.is_open:
            return
        scores = self._session.accepting.corrective_dice() if self._session is not None else []
        if scores == self._scores and not self.hint.text():
            return
        self._scores = scores
        self.chart.setVisible(bool(scores))
        self.chart.show_scores(scores)
        none = self._session is not None and not scores
        say(self.hint, "Accept slices to see how much of them was right before." if none else "")

    def _go(self, index: int) -> None:
        if self._session is not None:
            self._session.go_to(index)


def spoken_volume(ml: float) -> str:
    """Return a volume in a unit that suits its size, from organs down to cells."""
    if ml >= 0.01 or ml == 0:
        digits = 1 if ml >= 10 else 2 if ml >= 1 else 3
        return f"{ml:.{digits}f} ml"
    cubic_mm = 1e3 * ml
    return f"{cubic_mm:.2g} mm³" if cubic_mm >= 0.01 else f"{1e9 * cubic_mm:,.0f} µm³"
