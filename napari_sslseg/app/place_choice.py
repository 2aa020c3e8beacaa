"""On which computer to train: a row of the form."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QToolButton, QWidget

from ..jobs.place import Place
from .place_dialog import PlaceDialog, spoken
from .step import narrow
from .trainer_places import TrainerPlaces

HERE = "This computer"
_ANOTHER = "Another computer…"


class PlaceChoice(QWidget):
    """A box with this computer, those that the user has named, and one entry that names another."""

    said = Signal(str)
    """What there is to tell of a computer that was just chosen."""
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.box = QComboBox()
        self.box.setToolTip("Where to train; a GPU takes seconds where this computer takes minutes")
        self.forget = QToolButton()
        self.forget.setText("✕")
        self.forget.setToolTip("Take this computer off the list")
        self.forget.clicked.connect(self._on_forget)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(narrow(self.box), 1)
        row.addWidget(self.forget)
        self.box.activated.connect(self._on_activated)
        self.show_saved()

    @property
    def place(self) -> Place | None:
        """The chosen computer; None for this one."""
        return TrainerPlaces.load().place

    def show_saved(self) -> None:
        """Show what was saved last."""
        places = TrainerPlaces.load()
        self.box.clear()
        self.box.addItem(HERE, "")
        for place in places.known:
            self.box.addItem(place.host, place.host)
            self.box.setItemData(self.box.count() - 1, place.python, Qt.ItemDataRole.ToolTipRole)
        self.box.addItem(_ANOTHER, None)
        chosen = places.chosen if places.place is not None else ""
        self.box.setCurrentIndex(self.box.findData(chosen))
        self.forget.setVisible(bool(chosen))

    def ask(self) -> None:
        """Ask for another computer; what was chosen stays until that one has answered."""
        dialog = PlaceDialog(self.place, self)
        if dialog.exec() and dialog.place is not None and dialog.found is not None:
            places = TrainerPlaces.load()
            places.add(dialog.place)
            self._save(places, spoken(dialog.place, dialog.found))
        else:
            self.show_saved()
        dialog.deleteLater()

    def _on_activated(self, index: int) -> None:
        host = self.box.itemData(index)
        if host is None:
            self.ask()
            return
        places = TrainerPlaces.load()
        if places.chosen != host:
            places.chosen = host
            self._save(places, "")

    def _on_forget(self) -> None:
        places = TrainerPlaces.load()
        places.forget(places.chosen)
        self._save(places, "")

    def _save(self, places: TrainerPlaces, words: str) -> None:
        try:
            places.save()
        except OSError as error:
            words = f"The choice could not be saved: {error.strerror or error}."
        self.show_saved()
        self.said.emit(words)
        self.changed.emit()
