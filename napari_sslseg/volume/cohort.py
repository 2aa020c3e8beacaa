"""Several volumes in one project: one class table, and a folder for each volume.

::

    <project>/               the first volume, exactly as in a project of one volume
        volumes/001-name/    a further volume: image, ink, proposals and models of its own
        volumes/002-name/
        volumes/shown        which one was shown last
        shared/              the network that learned from all labelled volumes

So a project of one volume becomes one of several by getting a folder more. The class table of the
first volume is that of all (`Project.open` sees to that). As in any project the application alone
writes ink, heads and ``shown``, the trainer alone models, and each proposal has one writer.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .annotation import NOT_ANNOTATED
from .classes import BACKGROUND, ClassTable
from .folders import VOLUMES, home_of
from .project import ImageInfo, Project, ProjectError

_SHOWN = "shown"

#: What a folder of models tells about the last one.
_HEAD = "model.json"


@dataclass(frozen=True)
class VolumeSummary:
    """What a list of volumes tells of one of them.

    Parameters
    ----------
    key : str
        Folder of the volume inside of ``volumes``; empty for the first one.
    name : str
        Shown name.
    source : str
        File that the image came from; empty when there is none.
    depth : int
        Slices along the slicing axis.
    references, partial, accepted : int
        Slices that are wholly labelled, partly labelled, and those of the former that were
        accepted from a proposal.
    proposed : bool
        Whether there is a proposal.
    painted : frozenset of int
        Ids of the classes that ink uses.
    trouble : str
        Why the volume cannot be used; empty when it can.
    """

    key: str
    name: str
    source: str = ""
    depth: int = 0
    references: int = 0
    partial: int = 0
    accepted: int = 0
    proposed: bool = False
    painted: frozenset[int] = frozenset()
    trouble: str = ""

    @property
    def state(self) -> str:
        """The state in a few words."""
        if self.trouble:
            return "damaged"
        if self.accepted:
            return f"accepted {self.accepted} of {self.depth}"
        if self.proposed:
            return "proposed"
        return "labelled" if self.references or self.partial else "no labels"

    @property
    def teaches(self) -> bool:
        """Whether a network can learn from its ink."""
        return bool(self.painted)


def told_apart(summaries: Sequence[VolumeSummary]) -> list[VolumeSummary]:
    """Return summaries no two of which have the same name, in the order given.

    Where a name repeats, as when each patient has a folder with the same files, it begins with the
    folders that its file lies in, as many of them as are needed; without a file, it is numbered.
    """
    names = [summary.name for summary in summaries]
    folders = [Path(s.source).parts[:-1] if s.source else () for s in summaries]
    for depth in range(1, max(map(len, folders), default=0) + 1):
        counts = Counter(names)
        repeated = [i for i, name in enumerate(names) if counts[name] > 1]
        for i in repeated:
            names[i] = "/".join((*folders[i][-depth:], summaries[i].name))
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        seen[name] += 1
        names[i] = f"{name} ({seen[name]})" if seen[name] > 1 else name
    return [replace(s, name=name) for s, name in zip(summaries, names, strict=True)]


@dataclass(frozen=True)
class InkFacts:
    """What is inked in a volume, corrections included.

    Parameters
    ----------
    stated : ndarray of int64, shape (Z,)
        Annotated voxels of each slice along the slicing axis.
    whole : frozenset of int
        Slices without any other voxel.
    painted : frozenset of int
        Ids of the classes that occur.
    """

    stated: npt.NDArray[np.int64]
    whole: frozenset[int]
    painted: frozenset[int]


def ink_facts(project: Project) -> InkFacts:
    """Look through the saved ink of a volume of three axes, slice by slice.

    Raises
    ------
    ProjectError
        When it cannot be read, or has another shape than the image.
    """
    stored, shape, axis = project.stored_ink(), project.info.shape, project.axis
    stated = np.zeros(shape[axis], dtype=np.int64)
    present = np.zeros(256, dtype=bool)
    for z in range(shape[0]):
        slab = stored[z]
        if slab is None:
            continue
        present |= np.bincount(slab.ravel(), minlength=256) > 0
        known = slab != NOT_ANNOTATED
        if axis == 0:
            stated[z] = np.count_nonzero(known)
        else:
            stated += np.count_nonzero(known, axis=2 - axis)
    size = math.prod(shape) // max(shape[axis], 1)
    return InkFacts(
        stated,
        frozenset(int(i) for i in np.flatnonzero(stated == size)),
        frozenset(int(i) for i in np.flatnonzero(present) if i not in (BACKGROUND, NOT_ANNOTATED)),
    )


class Cohort:
    """The volumes of a project.

    Parameters
    ----------
    path : Path
        Folder of the project, or of any volume in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = home_of(Path(path))

    @property
    def shared(self) -> Path:
        """Folder of the network that learned from all labelled volumes."""
        return self.path / "shared"

    @property
    def keys(self) -> list[str]:
        """Volumes in the order in which they were added; the first one's key is empty."""
        further = (self.path / VOLUMES).glob("*/project.json")
        return ["", *sorted(head.parent.name for head in further)]

    def folder(self, key: str) -> Path:
        """Project folder of one volume, whether it is there or not."""
        return self.path / VOLUMES / key if key else self.path

    def key_of(self, path: Path) -> str:
        """Key of the volume in a project folder of this cohort, whether it is there or not."""
        return "" if Path(path) == self.path else Path(path).name

    def models_for(self, key: str) -> Path:
        """Folder of the model that training on a volume goes on from.

        Its own one; else the newest in the project that has not seen this volume's labels: what
        is measured by leaving references out must not rest on a network that knows them. Without
        any, its own one again, which may be missing. Models without a readable head do not count.
        """
        own = self.folder(key) / "models"
        if (own / _HEAD).exists():
            return own
        folders = [self.shared, *(self.folder(k) / "models" for k in self.keys if k != key)]
        found = []
        for folder in folders:
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                head = json.loads((folder / _HEAD).read_text(encoding="utf-8"))
                if key not in head["seen"]:
                    found.append(((folder / _HEAD).stat().st_mtime, folder))
        return max(found)[1] if found else own

    def open(self, key: str) -> Project:
        """Open one volume by its key.

        Raises
        ------
        ProjectError
            When it is not there, or damaged.
        """
        return Project.open(self.folder(key))

    @property
    def shown(self) -> str:
        """Key of the volume that was shown last."""
        with contextlib.suppress(OSError, ValueError):
            key = (self.path / VOLUMES / _SHOWN).read_text(encoding="utf-8").strip()
            if key in self.keys:
                return key
        return ""

    def show(self, key: str) -> None:
        """Remember for the next session which of several volumes, by its key, is shown."""
        if len(self.keys) > 1:
            with contextlib.suppress(OSError):
                (self.path / VOLUMES / _SHOWN).write_text(key, encoding="utf-8")

    def add(self, image: npt.NDArray[Any], info: ImageInfo, axis: int) -> Project:
        """Take a further volume into the project; copies its voxels, which takes time.

        Parameters
        ----------
        image : ndarray, shape `info.shape` (+ channels)
        info : ImageInfo
        axis : int
            Slicing axis.

        Raises
        ------
        ProjectError
            When it is there already, has other channels than the first volume, or cannot be
            written.
        """
        first = self.open("")
        if (info.channels, info.rgb) != (first.info.channels, first.info.rgb):
            raise ProjectError(
                f"“{info.name}” has {_channels(info)} and the volumes of this project "
                f"{_channels(first.info)}; one network cannot learn from both, so it was not added."
            )
        known = {}
        for key in self.keys:
            with contextlib.suppress(ProjectError):
                there = self.open(key).info
                known[there.digest] = there.name
        folder = self._new_folder(info.name)
        made = Project.create(folder, image, info, first.classes, axis)
        if info.digest in known:
            shutil.rmtree(folder, ignore_errors=True)
            raise ProjectError(
                f"“{info.name}” has the same voxels as “{known[info.digest]}”, which is in the "
                "project already; it was not added again."
            )
        return made

    def remove(self, key: str) -> None:
        """Take a volume that nobody has labelled out of the project, with its proposals.

        Raises
        ------
        ProjectError
            When it is the first one, or carries ink: that is never thrown away; also when it is not
            there, damaged, or its folder cannot be removed.
        """
        if not key:
            raise ProjectError("The first volume holds the project and cannot be removed.")
        project = self.open(key)
        if ink_facts(project).stated.any():
            raise ProjectError(
                f"“{project.info.name}” has labels; erase them before removing the volume."
            )
        try:
            shutil.rmtree(self.folder(key))
        except OSError as error:
            reason = error.strerror or error
            raise ProjectError(f"{self.folder(key)} could not be removed: {reason}.") from error

    def save_classes(self, classes: ClassTable) -> None:
        """Write the class table of all volumes; the first one must not be open meanwhile.

        Where that is damaged, each volume goes on with what it remembers itself.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        with contextlib.suppress(ProjectError):
            first = self.open("")
            if first.classes != classes:
                first.classes = classes
                first.save()

    def summary(self, key: str) -> VolumeSummary:
        """Tell about a volume, as it lies on disk; reads its ink.

        One that cannot be used says why in `trouble`; if not even its name can be read, it has its
        key or folder for one.
        """
        name, source = key or self.path.name, ""
        try:
            project = self.open(key)
            name, source = project.info.name, project.info.source
            project.image()
            facts = ink_facts(project)
        except (ProjectError, ValueError, OSError) as error:
            return VolumeSummary(key, name, source, trouble=str(error))
        accepted = {a.index for a in project.accepted if a.axis == project.axis}
        return VolumeSummary(
            key,
            name,
            source,
            len(facts.stated),
            len(facts.whole),
            int(np.count_nonzero(facts.stated)) - len(facts.whole),
            len(accepted & facts.whole),
            bool(project.proposal_slugs()),
            facts.painted,
        )

    def _new_folder(self, name: str) -> Path:
        stem = "-".join("".join(c if c.isalnum() else " " for c in name).split())[:40] or "volume"
        folder = self.path / VOLUMES
        numbers = [int(p.name[:3]) for p in folder.glob("[0-9][0-9][0-9]-*")]
        return folder / f"{max(numbers, default=0) + 1:03d}-{stem}"


def _channels(info: ImageInfo) -> str:
    if info.rgb:
        return "colours"
    return f"{info.channels} channel" + ("s" if info.channels > 1 else "")
