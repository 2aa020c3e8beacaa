"""Whether the file that a project's image came from holds another image by now.

A project keeps its own copy of the voxels, so labels stay where they were made. Who goes on with it
may have the file in mind, though, and is to know.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..formats import FormatError, read
from ..formats.grids import difference, same_grid
from ..formats.sparing import files_of
from .export_target import remembered_order
from .image_layers import alike

if TYPE_CHECKING:
    from ..volume.image import Volume
    from ..volume.project import Project

#: Where a project's settings hold a `SourceState`.
_SETTING = "source_state"

#: More files than these are remembered by the folders that they lie in.
_FEW_FILES = 8


@dataclass(frozen=True)
class SourceState:
    """A file that was found to hold the image of a project, as the disk knows it.

    Parameters
    ----------
    paths : tuple of str
        Files and folders that the image was read from.
    stamp : str
        SHA-256 of the sizes of all these files, of the times at which they were last written, and
        at which the disk last changed its record of them: a copy that keeps the former has another
        one of the latter.
    """

    paths: tuple[str, ...]
    stamp: str

    @classmethod
    def of(cls, paths: Sequence[str]) -> SourceState:
        """Look at files, and at all that folders hold; takes time where they hold many."""
        digest = hashlib.sha256()
        for file in _files(paths):
            about = os.stat(file)
            known = (file, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
            digest.update(repr(known).encode())
        return cls(tuple(paths), digest.hexdigest())


@dataclass(frozen=True)
class SourceLook:
    """What a look at the file of a project's image found.

    Parameters
    ----------
    trouble : str
        That it holds another image, as a sentence or two for the user; else empty.
    state : SourceState or None
        Of a file that holds the image; None where it does not, or that could not be told.
    """

    trouble: str = ""
    state: SourceState | None = None

    def remember(self, project: Project) -> None:
        """Note in a project's settings, which its next head is written with, what was found."""
        if self.state is not None:
            found = {"paths": list(self.state.paths), "stamp": self.state.stamp}
            project.settings = {**project.settings, _SETTING: found}


def source_of_project(project: Project) -> str:
    """Return the file that a project's image was read from by this plugin, else an empty text."""
    entry = project.info.layer.get("metadata", {})
    return str(entry.get("source") or "") if "order" in entry else ""


def look_at_source(project: Project) -> SourceLook:
    """Compare the file of a project's image with the project; takes time, so use a thread.

    A file that the disk knows as it was when it held the image is not read. Any other one is read
    as far as is needed: the grid, and voxels of slices spread from end to end (see `alike`), so of
    a mapped or lazy image little. A file that has gone, or cannot be read, is nothing to tell of.
    """
    source = source_of_project(project)
    known = project.settings.get(_SETTING)
    try:
        if not source or not os.path.exists(source):
            return SourceLook()
        if known and known["stamp"] == SourceState.of(known["paths"]).stamp:
            return SourceLook()
        volume = read(source, project.info.layer["metadata"].get("part") or None)
        state = SourceState.of(_paths(volume))
        reason = _what_differs(project, volume)
    except (OSError, FormatError):
        return SourceLook()
    if not reason:
        return SourceLook(state=state)
    return SourceLook(
        f"The file {source} holds another image than this project was made of: {reason}. Your "
        "labels stay on the image shown here, which is the project's own copy; to label what the "
        "file holds now, close the project, open the file and start a new one."
    )


def _what_differs(project: Project, volume: Volume) -> str:
    """Return in which way a volume is not the image of a project, empty when it is."""
    order = remembered_order(project.info)
    if not same_grid(volume.geometry, order.source):
        return difference(volume.geometry, order.source)
    stored, shown = project.image(), order.apply(volume.array)
    if project.info.rgb:
        same = shown.shape == stored.shape and alike(shown, stored)
    else:
        # Of several channels the file may hold only one, and others may be left out.
        first = stored[..., 0] if project.info.channels > 1 else stored
        same = any(alike(channel, first) for channel in _channels(volume, shown))
    return "" if same else "its voxels have other values"


def _channels(volume: Volume, shown: Any) -> Iterator[Any]:
    if volume.has_channel_axis:
        yield from (shown[..., channel] for channel in range(volume.channels))
    else:
        yield shown


def _paths(volume: Volume) -> list[str]:
    files = [str(file) for file in files_of(volume)]
    return files if len(files) <= _FEW_FILES else sorted({str(Path(f).parent) for f in files})


def _files(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if os.path.isdir(path):
            for folder, below, names in os.walk(path):
                below.sort()
                yield from (os.path.join(folder, name) for name in sorted(names))
        else:
            yield path
