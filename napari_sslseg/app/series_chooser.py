"""Which of several volumes to open: a small dialog."""

from __future__ import annotations

from typing import TYPE_CHECKING

import napari
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from ..formats.dicom_series import SeriesInfo

if TYPE_CHECKING:
    from ..formats.choice import Choice, SeveralVolumesError

#: Choices from which the list can be searched.
_MANY = 12


class SeriesChooser(QDialog):
    """A list of volumes, of which one or several are chosen.

    Parameters
    ----------
    source : str
        Path of the file or folder that holds them.
    choices : sequence of Choice
    parent : QWidget, optional
    """

    def __init__(
        self, source: str, choices: tuple[Choice, ...], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Choose a volume")
        self.label = QLabel(f"{source} holds several volumes. Which shall be opened?")
        self.label.setWordWrap(True)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search")
        self.search.setClearButtonEnabled(True)
        self.search.setVisible(len(choices) >= _MANY)
        self.search.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setSelectionMode(QListWidget.SelectionMode.ExtendedSelection)
        self.list.setUniformItemSizes(True)
        for choice in choices:
            item = QListWidgetItem(choice.title)
            item.setData(Qt.ItemDataRole.UserRole, choice.key)
            item.setToolTip(choice.title)
            self.list.addItem(item)
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel
        )
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.list.itemDoubleClicked.connect(self.accept)
        self.list.itemSelectionChanged.connect(self._allow)
        layout = QVBoxLayout(self)
        for widget in (self.label, self.search, self.list, self.buttons):
            layout.addWidget(widget)
        self.list.setCurrentRow(_likeliest(choices))
        self.resize(560, 340)
        self._allow()
        self.list.setFocus()

    def chosen(self) -> list[str]:
        """Return the keys of the chosen volumes, in the order of the list."""
        rows = sorted(self.list.row(item) for item in self.list.selectedItems())
        return [str(self.list.item(row).data(Qt.ItemDataRole.UserRole)) for row in rows]

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for row in range(self.list.count()):
            item = self.list.item(row)
            hidden = not all(word in item.text().lower() for word in words)
            item.setHidden(hidden)
            if hidden:  # what cannot be seen is not opened
                item.setSelected(False)

    def _allow(self) -> None:
        button = self.buttons.button(QDialogButtonBox.StandardButton.Open)
        button.setEnabled(bool(self.list.selectedItems()))


def ask(error: SeveralVolumesError, parent: QWidget | None = None) -> list[str] | None:
    """Ask the user of a viewer which volumes to open.

    Returns
    -------
    list of str or None
        Keys of the chosen volumes, none if the user changed their mind; None where there is no
        viewer and so nobody to ask.
    """
    if parent is None:
        viewer = napari.current_viewer()
        if viewer is None:
            return None
        parent = viewer.window._qt_window
    dialog = SeriesChooser(error.source, error.choices, parent)
    accepted = dialog.exec() == QDialog.DialogCode.Accepted
    keys = dialog.chosen() if accepted else []
    dialog.deleteLater()
    return keys


def _likeliest(choices: tuple[Choice, ...]) -> int:
    """Return the row of the volume with the most slices: scouts have few."""
    slices = [c.shape[2] if isinstance(c, SeriesInfo) and len(c.shape) > 2 else 0 for c in choices]
    return slices.index(max(slices)) if slices else 0
