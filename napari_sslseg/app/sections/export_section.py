"""Step 5: the mask, in a file, where the image is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QPushButton

from ...formats import suffix_of, write_labels
from ..background import in_background
from ..image_source import export_target
from ..step import Step, allow, hint_label, say

if TYPE_CHECKING:
    from ..session import Session

_FILTER = "NIfTI (*.nii.gz *.nii);;NRRD (*.nrrd);;MetaImage (*.mha *.mhd);;TIFF (*.tif *.tiff)"


class ExportSection(Step):
    """Writes ink where there is any, the shown proposal elsewhere."""

    exported = Signal(str)

    def __init__(self) -> None:
        super().__init__(5, "Export")
        self._session: Session | None = None
        self.button = QPushButton("Export labels…")
        self.button.clicked.connect(self._choose)
        self.hint = hint_label()
        self.rows.addWidget(self.button)
        self.rows.addWidget(self.hint)
        self.set_session(None)

    def set_session(self, session: Session | None) -> None:
        """Show a session."""
        self._session = session
        say(self.hint, "")
        self.refresh()

    def refresh(self) -> None:
        """Enable what makes sense now."""
        session = self._session
        if session is None:
            reason = "start labelling a volume first."
        elif not session.references.references() and not session.proposals:
            reason = "there is nothing to export yet."
        else:
            reason = ""
        allow(self.button, reason, "Your labels, and the shown proposal where you gave none")

    def export_to(self, path: Path) -> None:
        """Write the mask to a file, in a thread; says how it went."""
        session = self._session
        if session is None:
            return
        make = session.final_labels_later()
        info = session.project.info

        def work() -> None:
            order, like = export_target(info)
            write_labels(path, order.invert(make()), like)

        def failed(error: Exception) -> None:
            reason = getattr(error, "strerror", None) or str(error)
            say(self.hint, f"Not exported: {reason}")

        def done(result: None) -> None:
            known, total = len(session.references.references()), len(session.references.states)
            say(
                self.hint,
                f"Exported to {path}: {known} of {total} slices confirmed by you, "
                "the rest proposed.",
            )
            self.exported.emit(str(path))

        say(self.hint, "Exporting…")
        in_background(work, done, failed)

    def _choose(self) -> None:
        if self._session is None:
            return
        info = self._session.project.info
        folder = Path(info.source).parent if info.source else Path.home()
        suffix = suffix_of(info.source) or ".nii.gz"
        suggested = folder / f"{info.name}_seg{suffix}"
        chosen, _ = QFileDialog.getSaveFileName(self, "Export labels", str(suggested), _FILTER)
        if chosen:
            self.export_to(Path(chosen) if suffix_of(chosen) else Path(chosen + ".nii.gz"))
