"""Taking further volumes into a project: files or folders, read one after another in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
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
from .contrast import reach
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


@dataclass(frozen=True)
class _Wanted:
    """A file or folder to add: slicing axis of its volumes, and which one if it holds several."""

    path: Path
    axis: int
    part: str | None = None


class VolumeAdding(QObject):
    """Reads volumes and copies them into a project.

    Parameters
    ----------
    cohort : Cohort
    """

    busy = Signal(str)
    """What is being read, empty when all is done."""
    added = Signal(str)
    """A volume is in the project: its key."""
    over = Signal(list)
    """All is done; one sentence for each file that could not be added."""

    def __init__(self, cohort: Cohort, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cohort = cohort
        self._waiting: deque[_Wanted] = deque()
        self._troubles: list[str] = []
        self._labels: list[str] = []
        self._stopped = False
        self.running = False

    def add(self, paths: Iterable[Path], axis: int) -> None:
        """Add files and folders, after what is being added already.

        Parameters
        ----------
        paths : iterable of Path
        axis : int
            Slicing axis of the new volumes.
        """
        self._waiting.extend(_Wanted(Path(path), axis) for path in paths)
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
        wanted = self._waiting.popleft()
        left = len(self._waiting)
        self.busy.emit(f"Reading {wanted.path.name}…" + (f" {left} more to go" if left else ""))
        in_background(
            lambda: read_volume(wanted.path, wanted.part),
            lambda volume: self._on_read(wanted, volume),
            lambda error: self._on_failed(wanted, error),
            self,
        )

    def _on_read(self, wanted: _Wanted, volume: Volume) -> None:
        if self._stopped:
            self._end()
            return
        layers = [Layer.create(*data) for data in volume_layers(volume)]
        if type(layers[0]).__name__ != "Image":
            self._labels.append(wanted.path.name)
            self._next()
            return
        for layer in layers:
            reach(layer)  # no viewer does, as they are in none
        first: Any = layers[0]
        self._troubles += [f"{volume.name}: {remark}" for remark in volume.warnings]

        def work() -> str:
            array, info = read_layer(first, channels_of(layers, first))
            made = self._cohort.add(array, info, wanted.axis)
            return self._cohort.key_of(made.path)

        def done(key: str) -> None:
            self.added.emit(key)
            self._next()

        in_background(work, done, lambda error: self._on_failed(wanted, error), self)

    def _on_failed(self, wanted: _Wanted, error: Exception) -> None:
        if self._stopped:
            self._end()
            return
        if isinstance(error, SeveralVolumesError):
            chosen = ask(error)
            parts = [replace(wanted, part=key) for key in chosen or []]
            self._waiting.extendleft(reversed(parts))
        else:
            known = isinstance(error, FormatError | ImageError | ProjectError)
            told = str(error) if known else f"{wanted.path} cannot be added: {error}"
            self._troubles.append(told)
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
