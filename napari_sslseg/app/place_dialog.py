"""Another computer to train on: a small dialog, which tries it before it is taken."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..jobs.place import USUAL_PYTHON, Place, PlaceError
from ..jobs.surroundings import Surroundings, look_around
from .background import in_background
from .step import hint_label, say

_WHAT = (
    "A computer that you reach by SSH with a key, and on which napari-sslseg is installed. "
    "For training, the volume and your labels are copied there, through the encrypted connection; "
    "proposals come back. Everything else stays on this computer."
)
#: Pixels of the text, which is as high as it needs then; a sentence of error takes two lines.
_WIDTH = 480


class PlaceDialog(QDialog):
    """Asks which computer, and connects before it closes.

    Parameters
    ----------
    before : Place or None
        What the fields begin with.
    parent : QWidget, optional

    Attributes
    ----------
    place : Place or None
        What has been connected to.
    found : Surroundings or None
        What is there.
    """

    def __init__(self, before: Place | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Train on another computer")
        self.place: Place | None = None
        self.found: Surroundings | None = None
        what = QLabel(_WHAT)
        what.setWordWrap(True)
        what.setFixedWidth(_WIDTH)
        self.host = QLineEdit(before.host if before else "")
        self.host.setPlaceholderText("user@gpu-server")
        self.host.setToolTip("As you write it after ssh; names of ~/.ssh/config count")
        self.python = QLineEdit(before.python if before else USUAL_PYTHON)
        self.python.setToolTip(
            "The Python there that has napari-sslseg.\n"
            "On a cluster with what gets you a GPU in front, such as srun --gres=gpu:1"
        )
        form = QFormLayout()
        form.addRow("Computer", self.host)
        form.addRow("Python there", self.python)
        self.state = hint_label()
        self.state.setFixedWidth(_WIDTH)
        self.connect_now = QPushButton("Connect")
        self.connect_now.setDefault(True)
        self.connect_now.clicked.connect(self._on_connect)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        buttons.addButton(self.connect_now, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addWidget(what)
        layout.addLayout(form)
        layout.addWidget(self.state)
        layout.addWidget(buttons)
        layout.setSizeConstraint(QLayout.SizeConstraint.SetFixedSize)

    def _on_connect(self) -> None:
        try:
            place = Place(self.host.text().strip(), self.python.text().strip())
        except PlaceError as error:
            say(self.state, str(error))
            return
        self._wait(True)
        say(self.state, f"Connecting to {place.host}…")
        in_background(
            lambda: look_around(place),
            lambda found: self._on_found(place, found),
            self._on_trouble,
            self,
        )

    def _on_found(self, place: Place, found: Surroundings) -> None:
        self._wait(False)
        self.place, self.found = place, found
        self.accept()

    def _on_trouble(self, error: Exception) -> None:
        self._wait(False)
        say(self.state, str(error))

    def _wait(self, waiting: bool) -> None:
        for widget in (self.host, self.python, self.connect_now):
            widget.setEnabled(not waiting)


def spoken(place: Place, found: Surroundings) -> str:
    """Return what was found in a sentence."""
    if not found.gpu:
        return f"{place.host} is ready; it has no GPU that can be used, so it takes its processor."
    return f"{place.host} is ready, with an {found.gpu}."
