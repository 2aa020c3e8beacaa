"""*Import labels…*: labels made elsewhere become ink, or a proposal to correct and accept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..formats.errors import FormatError
from ..formats.label_import import (
    GridDiffersError,
    ImportedLabels,
    import_labels,
)
from ..formats.label_survey import Survey, survey, survey_regions
from ..volume.annotation import NOT_ANNOTATED, SliceState, stated
from ..volume.classes import BACKGROUND, ClassTable, SegmentClass, voxel_counts
from ..volume.proposal import IMPORTED, Proposal, proposal_slug
from .background import in_background
from .export_target import bare, remembered_order
from .import_words import words_of_ink
from .ink_colors import Colors, new_color
from .label_chooser import NEW, Decision, LabelChooser, open_labels, usual
from .slice_index import SliceIndex, index_slices
from .step import allow, hint_label, say

if TYPE_CHECKING:
    import numpy.typing as npt

    from .session import Session

_TIP = "Bring labels that were made elsewhere onto this image"


@dataclass(frozen=True)
class _Read:
    """A file of labels that was read."""

    name: str
    as_proposal: bool
    found: ImportedLabels
    shown: npt.NDArray[np.uint8]
    survey: Survey


@dataclass(frozen=True)
class _Ready:
    """What is to be shown of it; for ink what it holds slice by slice, else its label values."""

    labels: npt.NDArray[np.uint8]
    remarks: tuple[str, ...]
    index: SliceIndex | None = None
    ids: tuple[int, ...] = ()


class LabelImport(QWidget):
    """A button with a menu, and what came of it."""

    axis_taken = Signal(int)
    """The session is sliced along another axis now, as the labels are."""
    said = Signal()
    """Something is said below the button."""
    imported = Signal(str, bool)
    """What came into a session that had nothing yet; whether it is a proposal."""

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
        #: What asks about the labels of a file, while it does.
        self.chooser: LabelChooser | None = None
        self.button = QPushButton("Import labels")
        menu = QMenu(self.button)
        references = menu.addAction("As references…")
        references.setToolTip("Labels become ink; what you painted stays")
        proposal = menu.addAction("As a proposal…")
        proposal.setToolTip("To correct and accept slice by slice")
        menu.setToolTipsVisible(True)
        references.triggered.connect(lambda: self._choose(False))
        proposal.triggered.connect(lambda: self._choose(True))
        self.button.setMenu(menu)
        self.hint = hint_label()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        #: Others stand beside the button.
        self.row = QHBoxLayout()
        self.row.addWidget(self.button, 1)
        layout.addLayout(self.row)
        layout.addWidget(self.hint)
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Import into a session from now on."""
        self._session = session
        if self.chooser is not None:
            self.chooser.reject()
        self.setVisible(session is not None)
        say(self.hint, "")
        allow(self.button, "" if session is not None else "start labelling a volume first.", _TIP)

    def import_from(self, path: Path, as_proposal: bool, resample: bool = False) -> None:
        """Import a file, in a thread; asks where it is on another grid, or what it is not clear.

        Parameters
        ----------
        path : Path
            What `import_labels` reads.
        as_proposal : bool
            Make it a proposal; else its labels become ink where nothing is painted yet.
        resample : bool
            As of `import_labels`; it is not asked for then.
        """
        session = self._session
        if session is None:
            return
        order = remembered_order(session.project.info)
        source = session.project.info.source
        classes = session.project.snapshot().classes
        axis = session.project.axis
        self._say_busy(f"Importing {path.name}…")

        def work() -> _Read:
            like = replace(bare(order.source), source=source)
            found = import_labels(path, like, classes=classes, resample=resample)
            shown = np.ascontiguousarray(order.apply(found.labels))
            # What was resampled says nothing at its edges, and so may have whole slices by chance.
            turns = not (as_proposal or found.resampled)
            if found.regions is not None:
                looked = survey_regions(found.regions, axis, turns)
            else:
                looked = survey(shown, axis, turns)
            return _Read(path.name, as_proposal, found, shown, looked)

        def failed(error: Exception) -> None:
            if self._session is not session:
                return
            self._say_idle("")
            if isinstance(error, GridDiffersError) and not resample:
                if self._agreed(f"{error}\n\nResample it, each voxel taking the nearest label?"):
                    self.import_from(path, as_proposal, True)
            else:
                reason = str(error) if isinstance(error, FormatError) else f"{path.name}: {error}"
                self._say_idle(f"Not imported: {reason}")

        in_background(work, lambda read: self._ask(session, read), failed, self)

    def _ask(self, session: Session, read: _Read) -> None:
        """Ask what each label is, where that is not clear, and along which axis they lie."""
        if self._session is not session:
            return  # and the button is another's
        found = read.survey
        if not found.planes and not open_labels(found, read.found.names, session.classes):
            self._take(session, read, Decision(usual(found, session.classes), found.axis))
            return
        names, regions = read.found.names, read.found.regions
        chooser = LabelChooser(session, read.name, read.shown, found, names, self, regions)
        self.chooser = chooser

        def answered(result: int) -> None:
            self.chooser = None
            chooser.deleteLater()
            if self._session is not session:
                return
            if result:
                self._take(session, read, chooser.decision())
            else:
                self._say_idle("")

        chooser.finished.connect(answered)
        chooser.open()  # which waits for nothing

    def _take(self, session: Session, read: _Read, decision: Decision) -> None:
        """Bring the labels into the session as was decided, in a thread."""
        names = read.found.names
        matched = bool(names) and not open_labels(read.survey, names, session.classes)
        try:
            shown = session.class_editing.shown_colors()
            new = _new_classes(session.classes, read, decision, shown)
        except FormatError as error:
            self._say_idle(f"Not imported: {error}")
            return
        table = np.arange(256, dtype=np.uint8)
        for value, target in decision.targets.items():
            table[value] = new[value].id if target == NEW else target
        same = bool((table == np.arange(256)).all())
        regions = read.found.regions

        def work() -> _Ready:
            remarks = read.found.remarks
            if same:
                labels = read.shown
            elif regions is not None:  # what lies under a region that is left out shows
                labels, said = regions.labels({value: int(table[value]) for value in regions.masks})
                remarks = (*regions.remarks, *said)
            else:
                labels = table[read.shown]
            if read.as_proposal:
                return _Ready(labels, remarks, ids=tuple(np.flatnonzero(voxel_counts(labels))))
            ink = stated(labels, decision.axis)
            return _Ready(ink, remarks, index_slices(ink, decision.axis))

        def done(ready: _Ready) -> None:
            if self._session is not session:
                return
            alone = len(session.classes) == 1
            fresh = not (session.references.references() or session.shelf.all())
            painted = bool(session.references.index.painted().size)
            if new:
                session.add_classes(new.values())
            if read.as_proposal:
                if alone and session.classes.ids[0] not in ready.ids:
                    session.class_editing.drop_placeholder()
                self._propose(session, ready, read, fresh)
                return
            if decision.axis != session.project.axis:
                session.set_axis(decision.axis)
                self.axis_taken.emit(decision.axis)
            count = session.adopt(ready.labels)
            if count and ready.index is not None:
                if alone:
                    session.class_editing.drop_placeholder()
                _show(session, ready.index)
            named = " Its labels were matched by their names." if matched and count else ""
            said = words_of_ink(bool(count), read.name, ready.index, painted) + named
            self._say_idle(" ".join([said, *ready.remarks]), "ink" if fresh and count else "")

        def failed(error: Exception) -> None:
            if self._session is session:
                self._say_idle(f"Not imported: {error}")

        in_background(work, done, failed, self)

    def _propose(self, session: Session, found: _Ready, read: _Read, fresh: bool) -> None:
        """Make a proposal; nothing is known of its trust, so it has no regions."""
        info: dict[str, Any] = {"method": "imported", "resampled": read.found.resampled}
        info["shares"] = {}
        slug = proposal_slug(IMPORTED)

        def write() -> int:
            labels = found.labels
            classes = np.where(labels == NOT_ANNOTATED, np.uint8(BACKGROUND), labels)
            nothing = np.zeros_like(classes)
            proposal = Proposal(IMPORTED, classes, nothing, nothing, info)
            return session.project.write_proposal(proposal)

        def ready(version: int) -> None:
            if self._session is session:
                session.activate(slug)
                session.shelf.bring_up([slug])
                said = f"{read.name} is the proposal “{IMPORTED}”: correct and accept it."
                self._say_idle(" ".join([said, *found.remarks]), "proposal" if fresh else "")

        def failed(error: Exception) -> None:
            if self._session is session:
                self._say_idle(f"Not imported: {error}")

        in_background(write, ready, failed, self)

    def _say_busy(self, text: str) -> None:
        """No other import begins: two that are written at the same time would be one version."""
        say(self.hint, text)
        allow(self.button, "an import is under way.", "")
        self.said.emit()

    def _say_idle(self, text: str, first: str = "") -> None:
        """Say what came of an import, and what the session has got first by it."""
        allow(self.button, "", _TIP)
        say(self.hint, text)
        if first:
            self.imported.emit(text, first == "proposal")
        elif text:
            self.said.emit()

    def _choose(self, as_proposal: bool) -> None:
        session = self._session
        if session is None:
            return
        source = session.project.info.source
        folder = str(Path(source).parent) if source else str(Path.home())
        chosen, _ = QFileDialog.getOpenFileName(self, "Import labels", folder)
        if chosen:
            path = Path(chosen)
            # A Zarr folder cannot be chosen as a file, but one of its files can.
            zarr = [p for p in path.parents if p.name.lower().endswith(".zarr")]
            self.import_from(zarr[-1] if zarr else path, as_proposal)

    def _agreed(self, text: str) -> bool:
        answer = QMessageBox.question(self, "Import labels", text)
        return bool(answer == QMessageBox.StandardButton.Yes)


def _new_classes(
    classes: ClassTable, read: _Read, decision: Decision, shown: list[Colors]
) -> dict[int, SegmentClass]:
    """Make the classes that were asked for, by value in the file; its numbers where they are free.

    Raises
    ------
    FormatError
        When there are more than there is room for.
    """
    wanted = [value for value, target in decision.targets.items() if target == NEW]
    had = {*classes.ids, *classes.removed_ids}
    kept = {value for value in wanted if value not in had}
    taken, colors = had | kept, {item.color for item in classes}
    made: dict[int, SegmentClass] = {}
    for value in wanted:
        free = (
            value
            if value in kept
            else next((i for i in range(1, NOT_ANNOTATED) if i not in taken), NOT_ANNOTATED)
        )
        if free == NOT_ANNOTATED:
            raise FormatError("there is no room for so many classes; leave some of them out.")
        taken.add(free)
        name = read.found.names.get(value, "").strip() or f"Class {free}"
        own = _color(read.found, value)
        made[value] = SegmentClass(free, name, own or new_color(free, colors, shown))
        colors.add(made[value].color)
    return made


def _color(found: ImportedLabels, value: int) -> str:
    return found.regions.masks[value].color if found.regions is not None else ""


def _show(session: Session, index: SliceIndex) -> None:
    """Go to the nearest slice that labels came into, if that is another one."""
    there = np.flatnonzero(index.states != SliceState.EMPTY)
    session.go_to(int(min(there, key=lambda z: abs(z - session.references.current_slice()))))
