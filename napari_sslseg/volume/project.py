"""The project folder: everything of one segmentation job, and the only module that knows its files.

::

    project.json                 image identity, geometry, axis, classes, where the object lies,
                                 accepted slices, rounds
    image.npy                    the image as shown, (Z, Y, X) or (Z, Y, X, C)
    ink.NNNNNN.npy / .journal    the user's References
    background.*                 how the background in it came to be
    proposals/<slug>/            proposal.json and the arrays of its versions (`proposal_files`),
                                 corrections.* = what the user changed in it
    models/                      checkpoints, written by the trainer
    kept/                        what an update takes over of the last run; can be made anew
    log/                         what the trainer said
    volumes/<key>/               further volumes, each such a folder itself (see `cohort`)

Every file is replaced atomically. Application and trainer share the folder and nothing else:
the application alone writes ink, corrections, project.json and the proposal that imported labels
become; the trainer alone writes all other proposals, the models and what it keeps.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .annotation import Ink, merge_ink
from .array_files import map_array, write_hashed
from .classes import ClassTable
from .extent import Extent, extents_from_json, extents_to_json
from .folders import classes_of, new_folder
from .inkstore import InkStore
from .proposal import Proposal, proposal_slug
from .proposal_files import ProposalFiles
from .replacing import read_text, replace_text
from .stored_ink import JoinedInk
from .unusable import unusable
from .user_error import ProjectError as ProjectError

FORMAT = 1


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

    Parameters
    ----------
    path, info, classes, axis
        As of `create`.
    """

    def __init__(self, path: Path, info: ImageInfo, classes: ClassTable, axis: int) -> None:
        self.path = Path(path)
        self.info = info
        self.classes = classes
        self.axis = axis
        #: Where the object lies, by slicing axis; what was said of one waits while it is another.
        self.extents: dict[int, Extent] = {}
        self.accepted: list[AcceptedSlice] = []
        self.rounds: list[dict[str, Any]] = []
        self.settings: dict[str, Any] = {}
        self.created = time.time()
        self.saved = self.created
        self.ink_store = InkStore(self.path, "ink", info.shape)
        self.background_store = InkStore(self.path, "background", info.shape)
        #: By slug; snapshots have the same ones, so that there is one lock for the same files.
        self._correction_stores: dict[str, InkStore] = {}
        self.proposals = ProposalFiles(self.path / "proposals", info.shape)

    @classmethod
    def create(
        cls, path: Path, image: npt.NDArray[Any], info: ImageInfo, classes: ClassTable, axis: int
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
            When the folder holds a project already, or cannot be written, or the image has another
            shape than `info` says. After this or any other error, such as that of a lazy image
            being decoded, nothing is left of what was written.
        """
        path = Path(path)
        if (path / "project.json").exists():
            raise ProjectError(f"{path} already holds a project; open it or choose another folder.")
        expected = tuple(info.shape) + ((info.channels,) if info.channels > 1 else ())
        if tuple(image.shape) != expected:
            raise ProjectError(f"The image has the shape {image.shape}, expected {expected}.")
        try:
            with new_folder(path, ("image.npy", "project.json")):
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
            data = json.loads(read_text(path / "project.json"))
            if data["format"] > FORMAT:
                raise ProjectError(f"{path} is of a newer version; update napari-sslseg.")
            info = ImageInfo(**data["image"])
            info.shape, info.spacing = tuple(info.shape), tuple(info.spacing)
            project = cls(path, info, classes_of(path, data), int(data["axis"]))
            if not 0 <= project.axis < len(info.shape) == len(info.spacing):
                raise ValueError(f"axis {project.axis} of a shape {info.shape}")
            project.accepted = [AcceptedSlice(**row) for row in data["accepted"]]
            project.extents = extents_from_json(data.get("extents", {}), info.shape)
            project.rounds = list(data["rounds"])
            project.settings = dict(data["settings"])
            project.created, project.saved = data["created"], data["saved"]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ProjectError(f"{path} is not a napari-sslseg project folder.") from error
        except ProjectError:
            raise
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise unusable(path / "project.json", error) from error
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
            "extents": extents_to_json(self.extents),
            "accepted": [asdict(row) for row in self.accepted],
            "rounds": self.rounds,
            "settings": self.settings,
        }
        replace_text(self.path / "project.json", json.dumps(data, indent=1))

    def snapshot(self) -> Project:
        """Return a copy whose `save` may run in a thread while this one changes."""
        head = copy.copy(self)
        head.classes = copy.deepcopy(self.classes)
        head.extents = dict(self.extents)
        head.accepted = list(self.accepted)
        head.rounds = [dict(row) for row in self.rounds]
        return head

    @property
    def extent(self) -> Extent:
        """Where the object lies along the slicing axis, as the user says."""
        return self.extents.get(self.axis, Extent())

    @extent.setter
    def extent(self, extent: Extent) -> None:
        self.extents[self.axis] = extent.within(self.info.shape[self.axis])

    # -- arrays ---------------------------------------------------------------------------

    def image(self) -> npt.NDArray[Any]:
        """Return the image, memory-mapped read-only.

        Raises
        ------
        ProjectError
            When its file is missing, cannot be read, or holds another image.
        """
        try:
            return map_array(self.path / "image.npy", self.info.shape)
        except (OSError, ValueError, EOFError) as error:
            raise unusable(self.path / "image.npy", error) from error

    def correction_store(self, slug: str) -> InkStore:
        """Store of what the user changed in the proposal `slug`; the same one each time."""
        made = InkStore(self.path / "proposals" / slug, "corrections", self.info.shape)
        return self._correction_stores.setdefault(slug, made)  # threads may ask at the same time

    def all_ink(self) -> Ink:
        """Return the user's latest word on each voxel: corrections, and elsewhere References.

        Ink that is set over a correction is written into the proposal as well, so a correction that
        differs from ink is the later of the two.
        """
        first, *others = self._ink_stores()
        return merge_ink(first.read(), (store.read() for store in others))

    def stored_ink(self) -> JoinedInk:
        """Return the same as `all_ink` slice by slice, for a volume too large for the memory."""
        return JoinedInk([store.stored() for store in self._ink_stores()])

    def _ink_stores(self) -> list[InkStore]:
        """Return where the user's words are, those that count first in front."""
        corrected = [self.correction_store(slug) for slug in self.proposal_slugs()]
        return [*corrected, self.ink_store]

    # -- proposals ------------------------------------------------------------------------

    def proposal_slugs(self) -> list[str]:
        """Folders of the proposals that exist, sorted."""
        return self.proposals.slugs()

    def proposal_version(self, slug: str) -> int:
        """Newest version of a proposal, 0 when there is none."""
        return self.proposals.version(slug)

    @property
    def shown(self) -> dict[str, int]:
        """Version of each proposal that the application shows; older than the newest if held."""
        return dict(self.settings.get("shown", {}))

    @shown.setter
    def shown(self, versions: dict[str, int]) -> None:
        # A new object: the old one may just be written by the thread that saves.
        self.settings = {**self.settings, "shown": dict(versions)}

    def write_proposal(self, proposal: Proposal) -> int:
        """Store a new version of a proposal and return its number; as `write_proposal_slabs`."""
        slabs = zip(proposal.classes, proposal.regions, proposal.confidence, strict=True)
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
        """Store a new version of a proposal slab by slab; the one before stays whole until then.

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
        shown = self.shown.get(proposal_slug(name))
        return self.proposals.write(name, shape, slabs, info, shown)

    def read_proposal(self, slug: str, version: int | None = None) -> Proposal:
        """Read a version of a proposal, by default the newest; a large one is memory-mapped.

        Raises
        ------
        ProjectError
            When there is none, or it is damaged.
        """
        try:
            found = self.proposals.read(slug, version)
        except (OSError, ValueError, EOFError) as error:
            raise ProjectError(f"The proposal “{slug}” is damaged; train again.") from error
        if found is None:
            raise ProjectError(f"There is no proposal “{slug}” in {self.path}.")
        return found

    # -- other folders --------------------------------------------------------------------

    @property
    def models(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "models"

    @property
    def kept(self) -> Path:
        """Folder of what an update takes over."""
        return self.path / "kept"
