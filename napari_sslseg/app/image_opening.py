"""*Open* beside the list of images: a file or a folder becomes layers, read in a thread."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Layer
from napari.utils.notifications import show_warning
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QMenu, QPushButton

from ..formats import FormatError, suffixes
from ..formats.choice import SeveralVolumesError
from .background import in_background
from .readers import read_volume, volume_layers
from .series_chooser import ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel

    from ..volume.image import Volume


class OpenImage(QPushButton):
    """A button with a menu: a file, or a folder of DICOM, OME-Zarr or numbered pictures.

    Signals
    -------
    busy : str
        What is being read, empty when that is over.
    opened : Layer
        The layers that were added, one by one.
    """

    busy = Signal(str)
    opened = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__("Open")
        self.setToolTip("Open a volume from a file or a folder")
        self._viewer = viewer
        menu = QMenu(self)
        menu.addAction("File…", self._choose_file)
        menu.addAction("Folder (DICOM, OME-Zarr, pictures)…", self._choose_folder)
        self.setMenu(menu)

    def open(self, path: Path, parts: Sequence[str | None] = (None,)) -> None:
        """Open a file or folder; asks which volumes where there are several.

        Parameters
        ----------
        path : Path
        parts : sequence of str or None
            Keys of the volumes, where they have been chosen already.
        """
        self.busy.emit(f"Reading {path.name}…")

        def work() -> list[Volume]:
            return [read_volume(path, part) for part in parts]

        def done(volumes: list[Volume]) -> None:
            self.busy.emit("")
            for volume in volumes:
                for data in volume_layers(volume):
                    self.opened.emit(self._viewer.add_layer(Layer.create(*data)))

        def failed(error: Exception) -> None:
            self.busy.emit("")
            if isinstance(error, SeveralVolumesError):
                chosen = ask(error, self.window())
                if chosen:
                    self.open(path, chosen)
            else:
                known = isinstance(error, FormatError)
                show_warning(str(error) if known else f"{path} cannot be opened: {error}")

        in_background(work, done, failed, self)

    def take(self, path: Path) -> bool:
        """Open a file or folder, if an image is to be chosen now; return whether it is."""
        wanted = self.isVisible() and self.isEnabled()
        if wanted:
            self.open(path)
        return wanted

    def _choose_file(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in suffixes() if not suffix.endswith("zarr"))
        kinds = f"Volumes ({patterns} DICOMDIR);;All files (*)"
        chosen, _ = QFileDialog.getOpenFileName(self, "Open image", "", kinds)
        if chosen:
            self.open(Path(chosen))

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open folder")
        if chosen:
            self.open(Path(chosen))
