"""Step 5: the mask, in a file, where the image is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QMessageBox,
    QPushButton,
)

from ...formats import FORMATS, ExportFormat, FormatError, export, format_for, losses, why_not
from ...formats.dicom_opening import is_dicom
from ...formats.exporting import named, possible_files
from ..background import in_background
from ..export_record import SessionFacts
from ..export_target import bare, project_target, remembered_order
from ..final_labels import final_maker
from ..in_sight import InSight
from ..step import Step, allow, hint_label, narrow, say

if TYPE_CHECKING:
    from ..session import Session

#: Formats that refer to the DICOM images that the labels were drawn on.
_DERIVED = ("dicom-seg", "rtstruct")

#: Name to suggest where the image's own might say who the patient is.
_NEUTRAL_NAME = "labels"


class ExportSection(Step):
    """Writes what the user said last, and elsewhere the shown proposal."""

    exported = Signal(str)

    def __init__(self) -> None:
        super().__init__(5, "Export")
        self._session: Session | None = None
        self.format = narrow(QComboBox())
        self.format.setAccessibleName("Format")
        self.format.setToolTip("Format of the file")
        for kind in FORMATS:
            self.format.addItem(kind.title, kind)
        self.format.currentIndexChanged.connect(self.refresh)
        self.per_class = QCheckBox("One file for each class")
        self.per_class.setToolTip("Each with 1 where the class is; the name says which it is")
        self.anonymous = QCheckBox("Anonymous")
        self.anonymous.setToolTip(
            "Names of image and files stay out of the record beside the export, and patient and "
            "study out of DICOM files (their UIDs stay, to be found with the images)"
        )
        self.losses = hint_label()
        self.button = QPushButton("Export labels…")
        self.button.clicked.connect(self._choose)
        self.hint = hint_label()
        self._in_sight, why = InSight(self.hint, self), InSight(self.losses, self)
        self.format.activated.connect(lambda index: why.bring())  # the user has chosen
        # The button comes first: it is to be seen without scrolling.
        how, row = QHBoxLayout(), QHBoxLayout()
        how.addWidget(self.format, 1)
        how.addWidget(self.button)
        row.addWidget(self.per_class, 1)
        row.addWidget(self.anonymous)
        self.rows.addLayout(how)
        self.rows.addLayout(row)
        for widget in (self.losses, self.hint):
            self.rows.addWidget(widget)
        self.set_session(None)

    @property
    def kind(self) -> ExportFormat:
        """The chosen format."""
        kind: ExportFormat = self.format.currentData()
        return kind

    def choose_format(self, key: str) -> None:
        """Choose a format by its key."""
        self.format.setCurrentIndex([kind.key for kind in FORMATS].index(key))

    def set_session(self, session: Session | None) -> None:
        """Show a session; the format of its image is chosen."""
        self._session = session
        say(self.hint, "")
        self.set_state("")
        if session is not None:
            self.choose_format(_suggested(session))
        self.refresh()

    def refresh(self) -> None:
        """Enable what makes sense now, and say what the format cannot hold."""
        session, kind = self._session, self.kind
        if session is None:
            reason = "start labelling a volume first."
        elif not session.references.references() and not session.shelf.all():
            reason = "there is nothing to export yet."
        else:
            reason = session.shelf.unread.why_not
        said: list[str] = []
        if session is not None:
            like = bare(remembered_order(session.project.info).source)
            said = losses(kind.key, like)
            if kind.key in _DERIVED and not _is_dicom(session):
                said = [why_not(kind, like)]
                reason = reason or said[0]
        say(self.losses, "\n".join(said))
        self.per_class.setEnabled(kind.split == "choice")
        allow(self.button, reason, "Your labels, and the shown proposal where you gave none")

    def export_to(self, path: Path) -> None:
        """Write the mask, in a thread; says how it went. The suffix goes before the choice."""
        session = self._session
        if session is None:
            return
        if unread := session.shelf.unread.why_not:
            self._say(f"Not exported: {unread}", "not exported")
            return
        if session.shelf.choice.coming:
            self._say(
                "Not exported: the proposal is still being read; wait a moment.", "not exported"
            )
            return
        try:
            kind = self.kind
            if not path.name.lower().endswith(kind.suffixes):
                kind = format_for(path)
        except FormatError as error:
            self._say(f"Not exported: {error}", "not exported")
            return
        project = session.project
        info, classes = project.info, project.snapshot().classes
        proposal, accepted = session.shelf.in_view(), list(project.accepted)
        make = final_maker(session.references, proposal, accepted, project.axis, session.shelf)
        facts = SessionFacts(session)
        per_class, anonymous = self.per_class.isChecked(), self.anonymous.isChecked()

        def work() -> list[Path]:
            order, like = project_target(info)
            final = make()
            return export(
                path,
                order.invert(final.labels),
                like,
                classes,
                kind=kind,
                per_class=per_class,
                anonymous=anonymous,
                provenance=facts.provenance(order, final),
            )

        def failed(error: Exception) -> None:
            reason = getattr(error, "strerror", None) or str(error)
            self._say(f"Not exported: {reason}", "not exported")

        def done(written: list[Path]) -> None:
            known, total = len(session.references.references()), len(session.references.states)
            *files, _ = written
            what = f"to {files[0]}" if len(files) == 1 else f"{len(files)} files to {path.parent}"
            rest = "proposed" if proposal is not None else "background"
            self._say(
                f"Exported {what}: {known} of {total} slices confirmed by you, the rest {rest}.",
                f"exported {files[0].name if len(files) == 1 else f'{len(files)} files'}",
            )
            self.exported.emit(str(path))

        self._say("Exporting…", "exporting…")
        in_background(work, done, failed, self)

    def _say(self, text: str, state: str) -> None:
        """Say what becomes of an export, in sight: in the head where nothing may be scrolled."""
        say(self.hint, text)
        self.set_state(state)
        self._in_sight.bring()

    def _choose(self) -> None:
        session = self._session
        if session is None:
            return
        info, kind = session.project.info, self.kind
        folder = Path(info.source).parent if info.source else Path.home()
        name = _NEUTRAL_NAME if self.anonymous.isChecked() else f"{info.name}_seg"
        suffixes = " ".join(f"*{suffix}" for suffix in kind.suffixes)
        chosen, _ = QFileDialog.getSaveFileName(
            self,
            "Export labels",
            str(folder / f"{name}{kind.suffixes[0]}"),
            f"{kind.title} ({suffixes})",
        )
        if not chosen:
            return
        path = named(chosen, kind)
        split = self.per_class.isChecked() and self.per_class.isEnabled()
        # A proposal may still hold voxels of a class that was removed.
        classes = session.classes.covering(session.classes.removed_ids)
        files = possible_files(path, kind, classes, split)
        # The dialog has asked about the name that it knew, not about those made from it.
        there = [f.name for f in files if os.path.exists(f) and f != Path(chosen)]
        if not there or self._may_replace(there):
            self.export_to(path)

    def _may_replace(self, names: list[str]) -> bool:
        text = f"Replace {', '.join(names[:5])}" + (" and others?" if len(names) > 5 else "?")
        answer = QMessageBox.question(self, "Export labels", text)
        return bool(answer == QMessageBox.StandardButton.Yes)


def _source(session: Session) -> str:
    return str(session.project.info.layer.get("metadata", {}).get("source") or "")


def _is_dicom(session: Session) -> bool:
    """Whether the image came from DICOM files; whether they are complete is seen at the export."""
    source = Path(_source(session))
    return source.is_file() and (is_dicom(source) or source.suffix.lower() in (".dcm", ".ima"))


def _suggested(session: Session) -> str:
    """Key of the format of the image's own file, else of NIfTI."""
    if _is_dicom(session):
        return "dicom-seg"
    try:
        kind = format_for(_source(session))
    except FormatError:
        return "nifti"
    return kind.key if kind.split == "choice" and kind.key != "dicom-seg" else "nifti"
