"""The proposals of a project on disk: the newest version of each, and those that are still needed.

::

    proposals/<slug>/proposal.json           name, newest version, what is known of it (``info``),
                                             and the same of the earlier versions that are kept
    proposals/<slug>/classes.NNNNNN.npy      and so on: the arrays of a version

Of each proposal one process writes the versions: the trainer of those it makes, the application of
the one that imported labels become. Which version it shows, the application says in project.json.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from .array_files import MAPPED, write_slabs
from .folders import folder_within
from .proposal import Proposal, proposal_slug
from .replacing import read_text, replace_text

_ARRAYS = ("classes", "regions", "confidence")

#: Key of the estimated quality in a proposal's `info`.
ESTIMATE = "estimate"


class ProposalFiles:
    """Versions of proposals in a folder.

    Parameters
    ----------
    folder : Path
        Of the project's proposals; made when missing, the project's own folder never.
    shape : tuple of int
        Shape of the volume.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...]) -> None:
        self.folder, self.shape = Path(folder), tuple(shape)

    def slugs(self) -> list[str]:
        """Folders of the proposals that exist, sorted."""
        return sorted(p.parent.name for p in self.folder.glob("*/proposal.json"))

    def version(self, slug: str) -> int:
        """Newest version of a proposal, 0 when there is none, or its head cannot be read."""
        head = self._head(slug)
        return int(head["version"]) if head else 0

    def info(self, slug: str, version: int | None = None) -> dict[str, Any] | None:
        """Return what is known of a version, by default the newest; None when it is not there."""
        head = self._head(slug)
        return None if head is None else _info_in(head, version)

    def write(
        self,
        name: str,
        shape: tuple[int, ...],
        slabs: Iterable[Sequence[npt.NDArray[np.uint8]]],
        info: Callable[[], Mapping[str, object]],
        shown: int | None = None,
    ) -> int:
        """Store a new version; the one before stays whole until this one is.

        Parameters
        ----------
        name, shape, slabs, info
            See `Project.write_proposal_slabs`.
        shown : int, optional
            A version that the application shows, and that is kept therefore.

        Returns
        -------
        int
            Version number, rising by one each time.

        Raises
        ------
        ProjectError
            When the project folder is no longer there.
        OSError
            When the disk does not take it.
        """
        slug = proposal_slug(name)
        folder = folder_within(self.folder.parent, self.folder.name, slug)
        before = self._head(slug)
        version = int(before["version"]) + 1 if before else 1
        paths = [self._path(slug, array, version) for array in _ARRAYS]
        write_slabs(paths, shape, np.dtype(np.uint8), slabs)
        # The version before is kept for a reader that has just read the old head.
        keep = {version - 1, shown}
        known = {**before.get("kept", {}), str(version - 1): before["info"]} if before else {}
        kept = {number: about for number, about in known.items() if int(number) in keep}
        self._write_head(
            slug, {"name": name, "version": version, "info": dict(info()), "kept": kept}
        )
        for path in folder.glob("*.npy"):
            stem, _, number = path.stem.partition(".")
            if stem in _ARRAYS and number.isdigit() and int(number) not in {version, *keep}:
                with contextlib.suppress(OSError):  # open on Windows: goes with the next version
                    path.unlink()
        return version

    def write_estimate(self, slug: str, estimate: Mapping[str, object]) -> None:
        """Add to the newest version of a proposal how good it is estimated to be.

        Parameters
        ----------
        slug : str
            Of the proposal; nothing is done where there is none.
        estimate : mapping
            JSON values; replaces an estimate that is there.

        Raises
        ------
        OSError
            When the disk does not take it.
        """
        head = self._head(slug)
        if head is not None:
            self._write_head(slug, {**head, "info": {**head["info"], ESTIMATE: dict(estimate)}})

    def read(self, slug: str, version: int | None = None) -> Proposal | None:
        """Read a version of a proposal.

        Parameters
        ----------
        slug : str
        version : int, optional
            The newest by default.

        Returns
        -------
        Proposal or None
            None when it is not there. More than 2**28 voxels are memory-mapped, read-only.

        Raises
        ------
        ValueError, OSError, EOFError
            When its arrays are missing or damaged.
        """
        # Read once: the trainer may publish the next version meanwhile.
        head = self._head(slug)
        info = None if head is None else _info_in(head, version)
        if head is None or info is None:
            return None
        number = int(head["version"]) if version is None else version
        mode: Literal["r"] | None = "r" if math.prod(self.shape) > MAPPED else None
        paths = {array: self._path(slug, array, number) for array in _ARRAYS}
        arrays = {array: np.load(path, mmap_mode=mode) for array, path in paths.items()}
        return Proposal(name=str(head["name"]), info=info, **arrays)

    def _path(self, slug: str, array: str, version: int) -> Path:
        return self.folder / slug / f"{array}.{version:06d}.npy"

    def _head(self, slug: str) -> dict[str, Any] | None:
        try:
            head = json.loads(read_text(self.folder / slug / "proposal.json"))
        except (OSError, ValueError):
            return None
        return head if _is_head(head) else None

    def _write_head(self, slug: str, head: Mapping[str, object]) -> None:
        replace_text(self.folder / slug / "proposal.json", json.dumps(head, indent=1))


def _is_head(head: Any) -> bool:
    """Whether JSON says what the head of a proposal says, in values that can be meant."""
    kinds = {"name": str, "version": int, "info": dict}
    return (
        isinstance(head, dict)
        and all(isinstance(head.get(key), kind) for key, kind in kinds.items())
        and isinstance(head.get("kept", {}), dict)
    )


def _info_in(head: Mapping[str, Any], version: int | None) -> dict[str, Any] | None:
    """Return what a head knows of a version, by default the newest; None when it is not there."""
    if version is None or version == int(head["version"]):
        return dict(head["info"])
    kept = head.get("kept", {}).get(str(version))
    return None if kept is None else dict(kept)
