"""*Import labels…*: labels made elsewhere become ink, or a proposal to correct and accept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog, QMenu, QMessageBox, QPushButton, QVBoxLayout, QWidget

from ..formats.errors import FormatError
from ..formats.label_import import (
    GridDiffersError,
    ImportedLabels,
    UnknownClassesError,
    import_labels,
)
from ..volume.annotation import NOT_ANNOTATED, stated
from ..volume.classes import BACKGROUND, ClassTable, SegmentClass, voxel_counts
from ..volume.proposal import Proposal, proposal_slug
from .background import in_background
from .export_target import bare, remembered_order
from .step import allow, hint_label, say

if TYPE_CHECKING:
    import numpy.typing as npt

    from .session import Session

#: Name of the proposal that imported labels become; training never writes it.
IMPORTED = "Imported"

_TIP = "Bring labels that were made elsewhere onto this image"


class LabelImport(QWidget):
    """A button with a menu, and what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self._session: Session | None = None
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
        layout.addWidget(self.button)
        layout.addWidget(self.hint)
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Import into a session from now on."""
        self._session = session
        self.setVisible(session is not None)
        say(self.hint, "")
        allow(self.button, "" if session is not None else "start labelling a volume first.", _TIP)

    def import_from(
        self, path: Path, as_proposal: bool, resample: bool = False, new_classes: bool = False
    ) -> None:
        """Import a file, in a thread; asks where it is on another grid or has other classes.

        Parameters
        ----------
        path : Path
            What `import_labels` reads.
        as_proposal : bool
            Make it a proposal; else its labels become ink where nothing is painted yet.
        resample, new_classes : bool
            As of `import_labels`; what is true is not asked for.
        """
        session = self._session
        if session is None:
            return
        order = remembered_order(session.project.info)
        classes = session.project.snapshot().classes
        axis = session.project.axis
        say(self.hint, f"Importing {path.name}…")
        allow(self.button, "an import is under way.", "")

        def work() -> tuple[ImportedLabels, npt.NDArray[np.uint8]]:
            found = import_labels(
                path,
                bare(order.source),
                classes=classes,
                resample=resample,
                new_classes=new_classes,
            )
            shown = np.ascontiguousarray(order.apply(found.labels))
            if as_proposal:
                return found, shown
            return found, stated(shown, axis)

        def done(result: tuple[ImportedLabels, npt.NDArray[np.uint8]]) -> None:
            if self._session is not session:
                return  # and the button is another's
            found, shown = result
            if as_proposal:
                # Two that are written at the same time would be the same version.
                _add_classes(session, shown, found.names)
                self._propose(session, shown, found, path.name)
            else:
                allow(self.button, "", _TIP)
                _add_classes(session, shown, found.names)
                count = session.adopt(shown)
                say(self.hint, " ".join([_said(count, path.name), *found.remarks]))

        def failed(error: Exception) -> None:
            if self._session is not session:
                return
            allow(self.button, "", _TIP)
            say(self.hint, "")
            if isinstance(error, GridDiffersError) and not resample:
                if self._agreed(f"{error}\n\nResample it, each voxel taking the nearest label?"):
                    self.import_from(path, as_proposal, True, new_classes)
            elif isinstance(error, UnknownClassesError) and not new_classes:
                if self._agreed(f"{error}\n\nAdd {_listed(error)} as classes?"):
                    self.import_from(path, as_proposal, resample, True)
            else:
                reason = str(error) if isinstance(error, FormatError) else f"{path.name}: {error}"
                say(self.hint, f"Not imported: {reason}")

        in_background(work, done, failed)

    def _propose(
        self, session: Session, shown: npt.NDArray[np.uint8], found: ImportedLabels, name: str
    ) -> None:
        """Make a proposal; nothing is known of its trust, so it has no regions."""
        info: dict[str, Any] = {"method": "imported", "resampled": found.resampled, "shares": {}}
        slug = proposal_slug(IMPORTED)

        def write() -> int:
            classes = np.where(shown == NOT_ANNOTATED, np.uint8(BACKGROUND), shown)
            nothing = np.zeros_like(classes)
            proposal = Proposal(IMPORTED, classes, nothing, nothing, info)
            return session.project.write_proposal(proposal)

        def ready(version: int) -> None:
            if self._session is session:
                allow(self.button, "", _TIP)
                session.activate(slug)
                session.shelf.bring_up([slug])
                said = f"{name} is the proposal “{IMPORTED}”: correct and accept it."
                say(self.hint, " ".join([said, *found.remarks]))

        def failed(error: Exception) -> None:
            if self._session is session:
                allow(self.button, "", _TIP)
                say(self.hint, f"Not imported: {error}")

        in_background(write, ready, failed)

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


def _add_classes(session: Session, shown: npt.NDArray[np.uint8], names: dict[int, str]) -> None:
    present = np.flatnonzero(voxel_counts(shown)).tolist()
    missing: list[SegmentClass] = []
    for item in ClassTable.from_ids(i for i in present if i not in session.classes):
        name = names.get(item.id, "").strip()
        missing.append(replace(item, name=name) if name else item)
    if missing:
        session.add_classes(missing)


def _listed(error: UnknownClassesError) -> str:
    return ", ".join(error.names.get(i) or str(i) for i in error.ids)


def _said(count: int, name: str) -> str:
    if not count:
        return (
            f"Nothing imported: {name} says nothing where you have not already painted, or a "
            "stroke was being drawn; then import again."
        )
    return f"{count} voxels of {name} are References now; what you had painted stays."
