"""Taking further volumes into a project: files or folders, read one after another in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from ..formats import FormatError
from ..formats.choice import SeveralVolumesError
from ..formats.registry import can_read
from ..volume.project import ProjectError
from .background import in_background
from .channels import channels_of
from .image_source import ImageError, read_layer
from .readers import read_volume, volume_layers
from .series_chooser import ask

if TYPE_CHECKING:
    from ..volume.cohort import Cohort
    from ..volume.image import Volume


def volumes_in(folder: Path) -> list[Path]:
    """Return what a folder holds: itself if it is one volume, else its files and folders.

    Raises
    ------
    FormatError
        When it holds nothing that can be read.
    """
    folder = Path(folder)
    if can_read(folder):
        return [folder]
    try:
        found = [p for p in sorted(folder.iterdir()) if p.name[0] != "." and can_read(p)]
    except OSError as error:
        raise FormatError(f"{folder} cannot be read: {error.strerror}.") from error
    if not found:
        raise FormatError(f"{folder} holds no image that can be read; choose another folder.")
    return found


class VolumeAdding(QObject):
    """Reads volumes and copies them into a project.

    Parameters
    ----------
    cohort : Cohort
    axis : int
        Slicing axis of the new volumes.
    """

    busy = Signal(str)
    """What is being read, empty when all is done."""
    added = Signal(str)
    """A volume is in the project: its key."""
    over = Signal(list)
    """All is done; one sentence for each file that could not be added."""

    def __init__(self, cohort: Cohort, axis: int, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cohort, self._axis = cohort, axis
        self._waiting: deque[tuple[Path, str | None]] = deque()
        self._troubles: list[str] = []
        self._labels: list[str] = []
        self._stopped = False
        self.running = False

    def add(self, paths: Iterable[Path]) -> None:
        """Add files and folders, after what is being added already."""
        for path in paths:
            self._waiting.append((Path(path), None))
        if not self.running:
            self.running = True
            self._next()

    def stop(self) -> None:
        """Add nothing more."""
        self._stopped = True
        self._waiting.clear()

    # -- inside ---------------------------------------------------------------------------

    def _next(self) -> None:
        if self._stopped or not self._waiting:
            self._end()
            return
        path, part = self._waiting.popleft()
        left = len(self._waiting)
        self.busy.emit(f"Reading {path.name}…" + (f" {left} more to go" if left else ""))
        in_background(
            lambda: read_volume(path, part),
            lambda volume: self._on_read(path, volume),
            lambda error: self._on_failed(path, error),
        )

    def _on_read(self, path: Path, volume: Volume) -> None:
        if self._stopped:
            self._end()
            return
        layers = [Layer.create(*data) for data in volume_layers(volume)]
        if type(layers[0]).__name__ != "Image":
            self._labels.append(path.name)
            self._next()
            return
        first: Any = layers[0]
        self._troubles += [f"{volume.name}: {remark}" for remark in volume.warnings]

        def work() -> str:
            array, info = read_layer(first, channels_of(layers, first))
            made = self._cohort.add(array, info, self._axis)
            return self._cohort.key_of(made.path)

        def done(key: str) -> None:
            self.added.emit(key)
            self._next()

        in_background(work, done, lambda error: self._on_failed(path, error))

    def _on_failed(self, path: Path, error: Exception) -> None:
        if self._stopped:
            self._end()
            return
        if isinstance(error, SeveralVolumesError):
            chosen = ask(error)
            self._waiting.extendleft((path, key) for key in reversed(chosen or []))
        else:
            known = isinstance(error, FormatError | ImageError | ProjectError)
            self._troubles.append(str(error) if known else f"{path} cannot be added: {error}")
        self._next()

    def _end(self) -> None:
        self.running = False
        if self._labels:
            count = len(self._labels)
            what = "One file holds" if count == 1 else f"{count} files hold"
            was, them = ("was", "it") if count == 1 else ("were", "them")
            self._troubles.append(
                f"{what} labels, not images ({self._labels[0]}{', …' * (count > 1)}), and {was} "
                f"left out; import {them} in step 1 while the volume is in view."
            )
        troubles, self._troubles, self._labels = self._troubles, [], []
        self.busy.emit("")
        self.over.emit(troubles)
