"""The volumes of a project: a list to switch with, adding further ones, proposing for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QPoint, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QMenu,
    QProgressBar,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
)

from ...formats import suffixes
from ...training import wording
from ...training.events import (
    Cancelled,
    Event,
    Failed,
    Finished,
    Progress,
    Started,
    VolumeBegun,
    VolumeFailed,
    VolumeProposed,
)
from ...volume.project import ProjectError
from ..live_summary import name_in
from ..step import Step, allow, hint_label, say

if TYPE_CHECKING:
    from ...training.facts import SharedLesson
    from ...volume.cohort import VolumeSummary
    from ..cohort_view import CohortView
    from ..session import Session

_KEY = Qt.ItemDataRole.UserRole
#: Rows that the list shows without scrolling.
_ROWS = 8
_REFRESH_MS = 200


class VolumesSection(Step):
    """Shows a `CohortView`; collapsed until there is more than one volume.

    Parameters
    ----------
    view : CohortView
    """

    switch_wanted = Signal(object)
    """Folder of the volume to show."""
    propose_wanted = Signal()
    trouble = Signal(str)

    def __init__(self, view: CohortView) -> None:
        super().__init__(None, "Volumes")
        self._view = view
        self._switching: str | None = None
        self._phase = ""
        self._failed: list[str] = []
        self._untested: list[str] = []
        self._lesson: SharedLesson | None = None
        self._reading = ""
        self.list = QTreeWidget()
        self.list.setColumnCount(3)
        self.list.setHeaderLabels(["Volume", "References", "State"])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        self.list.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._on_menu)
        self.list.itemClicked.connect(self._on_click)
        self.list.itemActivated.connect(self._on_click)
        self.list.setAccessibleName("Volumes of the project")
        self.list.setToolTip("Click on a volume to go there. All is saved; undo begins anew there.")
        header = self.list.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column in (1, 2):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        self.add = QPushButton("Add volumes…")
        self.add.setToolTip("More volumes with the same classes; one network learns from all")
        menu = QMenu(self)
        menu.addAction("Files…", self._choose_files)
        menu.addAction("Folder…", self._choose_folder)
        self.add.setMenu(menu)
        self.propose = QPushButton("Propose for the others")
        self.propose.clicked.connect(self.propose_wanted)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop within a second; finished proposals stay")
        self.cancel.clicked.connect(view.cancel)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.add)
        row.addWidget(self.propose, 1)
        self.next = QPushButton("Next volume")
        self.next.clicked.connect(view.go_to_next_volume)
        self.teach = QCheckBox("Each learns from the others")
        self.teach.setChecked(True)
        self.teach.setToolTip(
            "Train shows the network the labelled slices of the other volumes too. Switch it off "
            "where they show something else, or are labelled by other rules."
        )
        self.bar = QProgressBar()
        self.bar.setRange(0, 1000)
        self.bar.setFormat("%p %")
        progress = QHBoxLayout()
        progress.setSpacing(4)
        progress.addWidget(self.bar, 1)
        progress.addWidget(self.cancel)
        self.hint = hint_label()
        self.rows.addWidget(self.list)
        self.rows.addLayout(row)
        self.rows.addWidget(self.next)
        self.rows.addWidget(self.teach)
        self.rows.addLayout(progress)
        self.rows.addWidget(self.hint)
        # What is shown follows every stroke; a little later will do.
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        view.changed.connect(self._timer.start)
        view.said.connect(self._follow)
        view.reading.connect(self._on_reading)
        view.trouble.connect(self._on_trouble)
        view.switch_wanted.connect(self.switch_wanted)
        view.advice.connect(lambda text: say(self.hint, text))
        self.setVisible(False)
        self.refresh()

    def set_session(self, session: Session | None) -> None:
        """Show a session's project; stays while another volume of it is being opened."""
        if session is None:
            self.refresh()
            return
        self.refresh()
        if self.list.topLevelItemCount() > 1 and not self.is_open:
            self.open()

    def set_switching(self, key: str | None) -> None:
        """Say which volume is being opened; None when that is over."""
        self._switching = key
        self.refresh()

    def refresh(self) -> None:
        """Show all volumes with their states."""
        view = self._view
        summaries = view.summaries()
        self.setVisible(bool(summaries))
        self.list.setEnabled(self._switching is None)
        while self.list.topLevelItemCount() > len(summaries):
            self.list.takeTopLevelItem(self.list.topLevelItemCount() - 1)
        for number, summary in enumerate(summaries):
            item = self.list.topLevelItem(number)
            if item is None:
                item = QTreeWidgetItem()
                item.setTextAlignment(1, Qt.AlignmentFlag.AlignCenter)
                self.list.addTopLevelItem(item)
            self._show_row(item, summary)
        rows = max(1, min(len(summaries), _ROWS))
        height = self.list.sizeHintForRow(0) if summaries else 18
        frame = 2 * self.list.frameWidth()
        self.list.setFixedHeight(rows * height + self.list.header().sizeHint().height() + frame + 2)
        busy = view.working
        reason = view.why_not_propose()
        allow(
            self.propose,
            "proposals are being made." if busy else reason,
            "Labelled volumes are trained one by one; the others get the proposal of a network "
            "that learns from all labelled ones",
        )
        allow(
            self.next,
            view.why_no_next(),
            "Goes to the slice of another volume whose correction should mend most",
        )
        self.next.setVisible(len(summaries) > 1)
        self.teach.setVisible(len(summaries) > 1)
        self.add.setEnabled(view.session is not None)
        self.bar.setVisible(busy)
        self.cancel.setVisible(busy)
        labelled = sum(s.teaches for s in summaries)
        many = f"{len(summaries)}, {labelled} labelled" if len(summaries) > 1 else ""
        self.set_state("proposing…" if busy else many)

    # -- inside ---------------------------------------------------------------------------

    def _show_row(self, item: QTreeWidgetItem, summary: VolumeSummary) -> None:
        view = self._view
        state = summary.state
        if view.working and summary.key == view.at:
            state = "proposing…"
        elif summary.key == self._switching:
            state = "opening…"
        shown = summary.key == view.current
        references = str(summary.references) if summary.references else "–"
        for column, text in enumerate((summary.name, references, state)):
            if item.text(column) != text:
                item.setText(column, text)
            font = item.font(column)
            if font.bold() != shown:
                font.setBold(shown)
                item.setFont(column, font)
        item.setData(0, _KEY, summary.key)
        tips = [summary.name, summary.source, summary.trouble]
        tips.append("In view" if shown else "Click: show this volume")
        item.setToolTip(0, "\n".join(tip for tip in tips if tip))
        if shown and not item.isSelected():
            self.list.setCurrentItem(item)

    def _on_click(self, item: QTreeWidgetItem, column: int = 0) -> None:
        key = str(item.data(0, _KEY))
        cohort = self._view.cohort
        if cohort is not None and key != self._view.current:
            self.switch_wanted.emit(cohort.folder(key))
            QTimer.singleShot(0, self.refresh)  # the row in view stays chosen if it is refused

    def _on_menu(self, place: QPoint) -> None:
        item = self.list.itemAt(place)
        if item is None:
            return
        menu = QMenu(self)
        key = str(item.data(0, _KEY))
        menu.addAction("Remove from the project", lambda: self.remove(key))
        menu.exec(self.list.viewport().mapToGlobal(place))

    def remove(self, key: str) -> None:
        """Remove a volume, or say why not."""
        try:
            self._view.remove(key)
        except ProjectError as error:
            say(self.hint, str(error))
        self.refresh()

    def _choose_files(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in suffixes() if not suffix.endswith("zarr"))
        kinds = f"Volumes ({patterns} DICOMDIR);;All files (*)"
        chosen, _ = QFileDialog.getOpenFileNames(self, "Add volumes", "", kinds)
        if chosen:
            say(self.hint, "")
            self._view.add([Path(name) for name in chosen])

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Add the volumes of a folder")
        if chosen:
            say(self.hint, "")
            self._view.add_folder(Path(chosen))

    def _on_reading(self, text: str) -> None:
        # What was said since, of a volume that cannot be read say, stays.
        if text or self.hint.text() == self._reading:
            say(self.hint, text)
        self._reading = text

    def _on_trouble(self, text: str) -> None:
        lines = text.split("\n")
        more = [f"… and {len(lines) - 3} more."] if len(lines) > 4 else []
        say(self.hint, "\n".join((lines[:3] + more) if more else lines))
        self.trouble.emit(text)

    def _name(self, key: str, name: str) -> str:
        """Return what the list calls a volume."""
        return name_in(self._view.summaries(), key, name)

    def _follow(self, event: Event) -> None:
        if isinstance(event, Started):
            self.bar.setValue(0)
            self._failed, self._untested, self._lesson = [], [], None
            say(self.hint, "Reading the volumes.")
        elif isinstance(event, VolumeBegun):
            name = self._name(event.volume, event.name)
            self._phase = f"{name} ({event.number} of {event.count})"
        elif isinstance(event, Progress):
            self.bar.setValue(int(1000 * event.fraction))
            doing = wording.phase(event)
            say(self.hint, f"{self._phase}: {doing}" if self._phase else doing)
        elif isinstance(event, VolumeProposed):
            name = self._name(event.volume, event.name)
            say(self.hint, f"{name}: {wording.proposed(event)}")
            if event.lesson is not None:
                self._lesson = event.lesson
            elif event.dice is None:
                self._untested.append(name)
        elif isinstance(event, VolumeFailed):
            name = self._name(event.volume, event.name)
            self._failed.append(name)
            say(self.hint, f"{name}: {event.message}")
        elif isinstance(event, Finished | Cancelled | Failed):
            self._phase = ""
            if isinstance(event, Failed):
                say(self.hint, event.message)
            elif isinstance(event, Cancelled):
                say(self.hint, "Stopped; the proposals that were finished stay.")
            else:
                say(self.hint, self._summary())

    def _summary(self) -> str:
        """Return what a batch has come to; all volumes without labels share one lesson."""
        none = f" None for {', '.join(self._failed)}." if self._failed else ""
        lines = [f"Proposals are made; click a volume to review it.{none}"]
        if self._lesson is not None:
            lines.append(wording.lesson(self._lesson))
        if self._untested:
            lines.append(f"No estimate for {', '.join(self._untested)}.")
        return "\n".join(lines)
