"""Which projects were made of an image that is in view: work on it that could be gone on with.

An image is known by its voxels. Names of layers change, files are moved, and a layer of another
plugin has none; two images of the same shape differ in some slice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..volume.array_files import MAPPED
from ..volume.cohort import Cohort
from ..volume.folders import list_projects
from ..volume.project import Project, ProjectError
from .image_layers import alike, alike_throughout


@dataclass(frozen=True)
class KnownProject:
    """A project that holds an image.

    Parameters
    ----------
    path : Path
        Folder of the volume that the image is, in a project of several that of a further one.
    home : Path
        Folder of the project.
    name : str
        Of the project, as lists show it.
    labelled : int
        Slices that carry ink.
    saved : float
        When it was last saved, in seconds since 1970.
    several : bool
        Whether the project has further volumes.
    """

    path: Path
    home: Path
    name: str
    labelled: int
    saved: float
    several: bool


def projects_of(image: Any, rgb: bool, source: str, folder: Path) -> list[KnownProject]:
    """Return the projects below a folder that hold an image; takes time, so use a thread.

    Parameters
    ----------
    image : ndarray, or anything that gives slices of its first axis
        Voxels as shown, of one channel or colours.
    rgb : bool
        Whether the last axis holds colours.
    source : str
        File that they came from, empty when there is none.
    folder : Path

    Returns
    -------
    list of KnownProject
        Those with labels before those without, the newest first.
    """
    found = []
    for home, name, saved in list_projects(folder):
        cohort = Cohort(home)
        keys = cohort.keys
        for key in keys:
            if _is_of(cohort, key, image, rgb, source):
                summary = cohort.summary(key)
                labelled = summary.references + summary.partial
                path = cohort.folder(key)
                found.append(KnownProject(path, home, name, labelled, saved, len(keys) > 1))
    return sorted(found, key=lambda known: (known.labelled == 0, -known.saved))


def ago(when: float, now: float | None = None) -> str:
    """Return how long ago something was, as a person says it; times in seconds since 1970."""
    now = time.time() if now is None else now
    minutes = max(0, now - when) / 60
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{int(minutes)} min ago"
    day, today = time.localtime(when), time.localtime(now)
    if day[:3] == today[:3] or minutes < 6 * 60:
        return f"{int(minutes // 60)} h ago"
    if day[:3] == time.localtime(time.mktime((*today[:2], today[2] - 1, 12, 0, 0, 0, 0, -1)))[:3]:
        return "yesterday"
    return time.strftime("%d %b %Y", day)


def _is_of(cohort: Cohort, key: str, image: Any, rgb: bool, source: str) -> bool:
    """Whether the image of a volume is the one given, or that is one of its channels."""
    try:
        project = cohort.open(key)
        info = project.info
        shape = (*info.shape, info.channels) if rgb else info.shape
        if info.rgb != rgb or tuple(image.shape) != tuple(shape):
            return False
        # Some slices tell another image at once; all are compared where no file says that it is
        # the same one, as slices without anything in them are alike in many images.
        whole = not (source and source == info.source) and image.size <= MAPPED
        return any(
            alike(image, stored) and (not whole or alike_throughout(image, stored))
            for stored in _channels(project)
        )
    except (ProjectError, OSError, ValueError):  # damaged: then there is nothing to go on with
        return False


def _channels(project: Project) -> Iterator[Any]:
    array = project.image()
    if project.info.rgb or project.info.channels == 1:
        yield array
    else:
        yield from (array[..., channel] for channel in range(project.info.channels))
