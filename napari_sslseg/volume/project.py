"""The project folder: everything of one segmentation job, and the only module that knows its files.

::

    project.json                 image identity, geometry, axis, classes, accepted slices, rounds
    image.npy                    the image as shown, (Z, Y, X) or (Z, Y, X, C)
    ink.NNNNNN.npy / .journal    the user's References
    proposals/<slug>/            proposal.json and the arrays of its newest version,
                                 corrections.* = what the user changed in it
    models/                      checkpoints, written by the trainer
    log/                         what the trainer said
    volumes/<key>/               further volumes, each such a folder itself (see `cohort`)

Every file is replaced atomically. Application and trainer share the folder and nothing else:
the application alone writes ink and project.json, the trainer alone proposals and models.
"""

from __future__ import annotations

import contextlib
import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .annotation import Ink, merge_ink
from .array_files import MAPPED, write_hashed, write_slabs
from .classes import ClassTable
from .folders import classes_of
from .inkstore import InkStore, JoinedInk
from .proposal import Proposal, proposal_slug

FORMAT = 1
_ARRAYS = ("classes", "regions", "confidence")


class ProjectError(ValueError):
    """A project folder that cannot be used; the message is for the user."""


@dataclass
class ImageInfo:
    """What a project remembers about its image.

    Parameters
    ----------
    name : str
        Shown name.
    shape : tuple of int
        Spatial shape as stored, slowest axis first.
    spacing : tuple of float
        Voxel size along each stored axis, mm (or the image's unit).
    channels : int
        1, or the length of the last axis of ``image.npy``.
    rgb : bool
        Whether the channels are colours.
    source : str
        Path of the file the image came from; empty when there is none.
    layer : dict
        JSON values with which the application shows the image again (scale, translate, units,
        axis labels, metadata for exact export).
    digest : str
        SHA-256 of the stored voxels, to recognise the image.
    """

    name: str
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    channels: int = 1
    rgb: bool = False
    source: str = ""
    layer: dict[str, Any] = field(default_factory=dict)
    digest: str = ""


@dataclass
class AcceptedSlice:
    """A slice that the user accepted, and from where."""

    axis: int
    index: int
    proposal: str
    round: int


class Project:
    """A project folder, open.

    Use `create` or `open`, not the constructor.
    """

    def __init__(self, path: Path, info: ImageInfo, classes: ClassTable, axis: int) -> None:
        self.path = Path(path)
        self.info = info
        self.classes = classes
        self.axis = axis
        self.accepted: list[AcceptedSlice] = []
        self.rounds: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {}
        self.created = time.time()
        self.saved = self.created
        self.ink_store = InkStore(self.path, "ink", info.shape)

    @classmethod
    def create(
        cls,
        path: Path,
        image: npt.NDArray[Any],
        info: ImageInfo,
        classes: ClassTable,
        axis: int,
    ) -> Project:
        """Make a project folder for an image.

        Parameters
        ----------
        path : Path
            New or empty folder.
        image : ndarray, shape `info.shape` (+ channels)
            Copied into the project, so that the trainer can memory-map it and a later session
            does not depend on the file.
        info, classes, axis
            See `ImageInfo`, `ClassTable`; `axis` is the slicing axis.

        Raises
        ------
        ProjectError
            When the folder holds a project already, or cannot be written.
        """
        path = Path(path)
        if (path / "project.json").exists():
            raise ProjectError(f"{path} already holds a project; open it or choose another folder.")
        expected = tuple(info.shape) + ((info.channels,) if info.channels > 1 else ())
        if tuple(image.shape) != expected:
            raise ProjectError(f"The image has the shape {image.shape}, expected {expected}.")
        try:
            path.mkdir(parents=True, exist_ok=True)
            info.digest = write_hashed(path / "image.npy", image)
            project = cls(path, info, classes, axis)
            project.save()
        except OSError as error:
            raise ProjectError(
                f"The project cannot be written to {path} ({error.strerror or error}); "
                "choose another folder."
            ) from error
        return project

    @classmethod
    def open(cls, path: Path) -> Project:
        """Open a project folder; a volume of several has the class table of the first one.

        Raises
        ------
        ProjectError
            When it is no project, damaged, or from a newer version.
        """
        path = Path(path)
        try:
            data = json.loads((path / "project.json").read_text(encoding="utf-8"))
            if data["format"] > FORMAT:
                raise ProjectError(
                    f"{path} was saved by a newer version of napari-sslseg; update to open it."
                )
            info = ImageInfo(**data["image"])
            info.shape, info.spacing = tuple(info.shape), tuple(info.spacing)
            project = cls(path, info, classes_of(path, data), int(data["axis"]))
            project.accepted = [AcceptedSlice(**row) for row in data["accepted"]]
            project.rounds = list(data["rounds"])
            project.settings = dict(data["settings"])
            project.created, project.saved = data["created"], data["saved"]
        except FileNotFoundError as error:
            raise ProjectError(f"{path} is not a napari-sslseg project folder.") from error
        except (OSError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, ProjectError):
                raise
            raise ProjectError(f"The project in {path} is damaged: {error}.") from error
        return project

    def save(self) -> None:
        """Write project.json (not the ink: see `ink_store`)."""
        self.saved = time.time()
        data = {
            "format": FORMAT,
            "created": self.created,
            "saved": self.saved,
            "image": asdict(self.info),
            "axis": self.axis,
            "classes": self.classes.to_json(),
            "accepted": [asdict(row) for row in self.accepted],
            "rounds": self.rounds,
            "settings": self.settings,
        }
        _replace_text(self.path / "project.json", json.dumps(data, indent=1))

    def snapshot(self) -> Project:
        """Return a copy whose `save` may run in a thread while this one changes."""
        head = copy.copy(self)
        head.classes = copy.deepcopy(self.classes)
        head.accepted = list(self.accepted)
        head.rounds = [dict(row) for row in self.rounds]
        return head

    # -- arrays ---------------------------------------------------------------------------

    def image(self) -> npt.NDArray[Any]:
        """Return the image, memory-mapped read-only."""
        try:
            mapped: npt.NDArray[Any] = np.load(self.path / "image.npy", mmap_mode="r")
        except (OSError, ValueError) as error:
            raise ProjectError(f"The image of the project in {self.path} is missing.") from error
        return mapped

    def correction_store(self, slug: str) -> InkStore:
        """Store of what the user changed in the proposal `slug`."""
        return InkStore(self.path / "proposals" / slug, "corrections", self.info.shape)

    def all_ink(self) -> Ink:
        """Return References and, where they are silent, the corrections painted into proposals."""
        ink = InkStore(self.path, "ink", self.info.shape).read()
        return merge_ink(ink, (self.correction_store(s).read() for s in self.proposal_slugs()))

    def stored_ink(self) -> JoinedInk:
        """Return the same as `all_ink` slice by slice, for a volume too large for the memory."""
        stores = [InkStore(self.path, "ink", self.info.shape)]
        stores += [self.correction_store(slug) for slug in self.proposal_slugs()]
        return JoinedInk([store.stored() for store in stores])

    # -- proposals ------------------------------------------------------------------------

    def proposal_slugs(self) -> list[str]:
        """Folders of the proposals that exist, sorted."""
        return sorted(p.parent.name for p in (self.path / "proposals").glob("*/proposal.json"))

    def write_proposal(self, proposal: Proposal) -> int:
        """Store a new version of a proposal; the one before stays whole until this one is.

        Returns
        -------
        int
            Version number, rising by one each time.
        """
        arrays = (proposal.classes, proposal.regions, proposal.confidence)
        slabs = zip(*arrays, strict=True)
        return self.write_proposal_slabs(
            proposal.name, proposal.classes.shape, slabs, lambda: proposal.info
        )

    def write_proposal_slabs(
        self,
        name: str,
        shape: tuple[int, ...],
        slabs: Iterable[Sequence[npt.NDArray[np.uint8]]],
        info: Callable[[], dict[str, object]],
    ) -> int:
        """Store a new version of a proposal that is never held in memory as a whole.

        Parameters
        ----------
        name, shape
            Of the proposal.
        slabs : iterable of three ndarrays of uint8
            Classes, regions and confidence of one index of the first axis, in order.
        info : callable
            Returns the proposal's `info`; called when all slabs are written.

        Returns
        -------
        int
            Version number, rising by one each time.
        """
        slug = proposal_slug(name)
        folder = self.path / "proposals" / slug
        folder.mkdir(parents=True, exist_ok=True)
        version = self.proposal_version(slug) + 1
        paths = [folder / f"{array}.{version:06d}.npy" for array in _ARRAYS]
        write_slabs(paths, shape, np.dtype(np.uint8), slabs)
        head = {"name": name, "version": version, "info": info()}
        _replace_text(folder / "proposal.json", json.dumps(head, indent=1))
        for path in folder.glob("*.npy"):
            stem, _, number = path.stem.partition(".")
            # The version before is kept for a reader that has just read the old head.
            if stem in _ARRAYS and number.isdigit() and int(number) < version - 1:
                _unlink_quietly(path)
        return version

    def proposal_version(self, slug: str) -> int:
        """Newest version of a proposal, 0 when there is none."""
        head = self._proposal_head(slug)
        return int(head["version"]) if head else 0

    def read_proposal(self, slug: str) -> Proposal:
        """Read the newest version of a proposal; a large one is memory-mapped, read-only.

        Raises
        ------
        ProjectError
            When there is none, or it is damaged.
        """
        head = self._proposal_head(slug)
        if head is None:
            raise ProjectError(f"There is no proposal “{slug}” in {self.path}.")
        folder = self.path / "proposals" / slug
        try:
            version = f"{int(head['version']):06d}"
            mode: Literal["r"] | None = "r" if math.prod(self.info.shape) > MAPPED else None
            paths = {n: folder / f"{n}.{version}.npy" for n in _ARRAYS}
            arrays = {n: np.load(path, mmap_mode=mode) for n, path in paths.items()}
            return Proposal(name=str(head["name"]), info=dict(head["info"]), **arrays)
        except (OSError, ValueError, EOFError) as error:
            raise ProjectError(f"The proposal “{slug}” is damaged; train again.") from error

    def _proposal_head(self, slug: str) -> dict[str, Any] | None:
        try:
            text = (self.path / "proposals" / slug / "proposal.json").read_text(encoding="utf-8")
            head: dict[str, Any] = json.loads(text)
            return head
        except (OSError, ValueError):
            return None

    # -- other folders --------------------------------------------------------------------

    @property
    def models(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "models"

    @property
    def log(self) -> Path:
        """Folder of the trainer's logs."""
        return self.path / "log"


def _replace_text(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _unlink_quietly(path: Path) -> None:
    with contextlib.suppress(OSError):  # still open on Windows: goes with the next version
        path.unlink()
