"""What is said where a project is to be made of an image that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from qtpy.compat import isalive
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from ..background import in_background
from ..image_source import finest, projects_folder, source_of
from ..known_projects import KnownProject, ago, projects_of
from ..panel_style import FIRST, name_role
from ..step import hint_label

if TYPE_CHECKING:
    from napari.layers import Image


class KnownImage(QWidget):
    """Tells of the project that an image has, and offers to continue it; hidden without one."""

    continue_wanted = Signal(object)
    """Folder of the volume that is the image."""
    found = Signal(list)
    """The projects that hold the image, as `KnownProject`; none when another one is chosen."""

    def __init__(self) -> None:
        super().__init__()
        self.text = hint_label()
        self.button = QPushButton("Continue")
        name_role(self.button, FIRST)
        self.button.clicked.connect(self._on_click)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(5)
        layout.addWidget(self.text)
        layout.addWidget(self.button)
        self._known: list[KnownProject] = []
        self._image: ref[Image] | None = None
        #: What is looked for; another one when something else is.
        self._search = object()
        self.hide()

    def look_for(self, image: Image | None) -> None:
        """Look in a thread for projects of an image, unless it was the one looked for last.

        Parameters
        ----------
        image : Image or None
            Of several channels one; None for none, after which any is looked for anew.
        """
        if image is not None and self._image is not None and self._image() is image:
            return
        self._image = None if image is None else ref(image)
        search = self._search = object()
        self._show([])
        folder = projects_folder()
        if image is None or next(folder.glob("*/project.json"), None) is None:
            return
        array, rgb, source = finest(image), bool(image.rgb), source_of(image)

        asking = ref(self)  # the panel may be closed meanwhile, and work must not hold it

        def done(known: list[KnownProject]) -> None:
            widget = asking()
            if widget is not None and search is widget._search and isalive(widget):
                widget._show(known)

        # A search that fails leaves what there was without it: a new project can be made.
        in_background(lambda: projects_of(array, rgb, source, folder), done, lambda error: None)

    def _show(self, known: list[KnownProject]) -> None:
        if known == self._known:
            return
        self._known = known
        if known:
            self.text.setText(spoken(known))
            self.text.show()
            self.button.setToolTip(f"Open {known[0].path} with its labels, proposals and model")
        self.setVisible(bool(known))
        self.found.emit(known)

    def _on_click(self) -> None:
        if self._known:
            self.continue_wanted.emit(self._known[0].path)


def spoken(known: list[KnownProject]) -> str:
    """Return what projects an image has, in a sentence or two; the first one is offered."""
    first = known[0]
    slices = {0: "nothing", 1: "1 slice"}.get(first.labelled, f"{first.labelled} slices")
    state = f"{slices} labelled, {ago(first.saved)}"
    if len(known) > 1:
        which = "latest with labels" if first.labelled else "latest"
        told = f"This image has {len(known)} projects, all in the list above. The {which}: {state}."
    elif first.several:
        told = f"This image is in the project “{first.name}”: {state}."
    else:
        told = f"This image has a project: {state}."
    return f"{told} Continue it, or start a new one."
