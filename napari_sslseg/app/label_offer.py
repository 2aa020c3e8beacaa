"""A file of labels that is dropped while a volume is labelled: asked what shall become of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.notifications import show_info, show_warning
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractButton, QMessageBox, QPushButton, QWidget

from .background import in_background
from .layer_roles import METADATA, role_of
from .readers import holds_labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from .label_importing import LabelImport


class LabelOffer(QMessageBox):
    """The question: ink where nothing is stated yet, a proposal, or a picture beside the project.

    Parameters
    ----------
    name : str
        Of the file.
    parent : QWidget
    """

    def __init__(self, name: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Labels")
        self.setText(f"{name} holds labels. What shall they be?")
        self.setInformativeText(
            "References: they become ink where nothing is painted yet; what you painted stays.\n"
            "A proposal: to be corrected and accepted slice by slice.\n"
            "Only shown: a layer beside the project, which is neither trained on nor exported."
        )
        role = QMessageBox.ButtonRole.AcceptRole
        self.references: QPushButton = self.addButton("References", role)
        self.proposal: QPushButton = self.addButton("A proposal", role)
        self.shown: QPushButton = self.addButton("Only shown", role)
        self.setEscapeButton(self.addButton(QMessageBox.StandardButton.Cancel))
        self.setDefaultButton(self.references)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)


def offer_labels(path: Path, importing: LabelImport, show: Callable[[], object]) -> None:
    """Ask about a file if it holds labels, and import it as is answered; else show it.

    Parameters
    ----------
    path : Path
    importing : LabelImport
        Of a session.
    show : callable
        Shows what is no labels, or is only to be looked at.
    """

    def ask(labels: bool) -> None:
        if not labels or not isalive(importing):
            show()
        elif not importing.button.isEnabled():
            show_warning(f"Labels are being imported; drop {path.name} again when that is done.")
        else:
            box = LabelOffer(path.name, importing.window())
            box.buttonClicked.connect(lambda button: answered(box, button))
            box.open()  # which waits for nothing

    def answered(box: LabelOffer, button: QAbstractButton) -> None:
        if button is box.shown:
            show()
        elif button in (box.references, box.proposal):
            importing.import_from(path, button is box.proposal)

    in_background(lambda: holds_labels(path), ask, lambda error: show())


def say_how_to_import(layer: Any) -> None:
    """Say of labels that came from a file what makes them part of the project."""
    from_file = layer.source.path or layer.metadata.get(METADATA, {}).get("source")
    if isinstance(layer, Labels) and from_file and not role_of(layer):
        show_info(f"Import labels, in step 1, makes “{layer.name}” a part of the project.")
