"""Corrections of proposals that are not there: still being read, or damaged on the disk.

They are the user's word all the same. Of a damaged proposal they are held by themselves, so that
new ink speaks over them, they are saved, and the export has them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from psygnal import Signal

from ..volume.annotation import NOT_ANNOTATED
from .background import in_background

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.annotation import Corrections, Ink
    from ..volume.inkstore import InkStore
    from ..volume.project import Project

    Positions = npt.NDArray[np.integer]


class Corrected(Protocol):
    """What the user said of a proposal, whether the proposal is there or not."""

    slug: str
    store: InkStore
    serial: int

    @property
    def flat(self) -> npt.NDArray[np.uint8]:
        """The live array, laid flat; a view."""
        ...

    def corrections(self) -> Corrections | Ink:
        """Return the user's word, 255 where there is none."""
        ...

    def corrected_at(self, positions: Positions) -> npt.NDArray[np.bool_]:
        """Whether the user has a word there, for places in the array laid flat."""
        ...

    def write_at(self, positions: Positions, values: npt.NDArray[np.uint8]) -> None:
        """Write at places in the array laid flat, on the user's word; no step of its own."""
        ...


class LooseCorrections:
    """Corrections of a proposal that cannot be read.

    Parameters
    ----------
    slug : str
    store : InkStore
        Where they are kept.
    words : ndarray of uint8
        As loaded from there; written to.
    """

    def __init__(self, slug: str, store: InkStore, words: Ink) -> None:
        self.slug, self.store = slug, store
        self.serial = 0
        self._words = words

    @property
    def flat(self) -> npt.NDArray[np.uint8]:
        """The live array, laid flat; a view."""
        return self._words.reshape(-1)

    def corrections(self) -> Ink:
        """Return the user's word, 255 where there is none."""
        return self._words

    def corrected_at(self, positions: Positions) -> npt.NDArray[np.bool_]:
        """Whether the user has a word there, for places in the array laid flat."""
        return np.asarray(self.flat[positions] != NOT_ANNOTATED)

    def write_at(self, positions: Positions, values: npt.NDArray[np.uint8]) -> None:
        """Write at places in the array laid flat, on the user's word; no step of its own."""
        self.flat[positions] = values
        self.serial += 1


class Unread:
    """Knows which corrections on the disk no proposal in the viewer holds.

    Parameters
    ----------
    project : Project
    """

    settled = Signal(object)
    """`LooseCorrections` were read."""

    def __init__(self, project: Project) -> None:
        self._project = project
        #: Proposals with corrections on disk that have not been read yet.
        self.awaited: set[str] = set()
        #: What is left of those that cannot be read, by slug.
        self.loose: dict[str, LooseCorrections] = {}

    @property
    def why_not(self) -> str:
        """Why what the user said is not known as a whole, empty when it is."""
        if not self.awaited:
            return ""
        return f"your corrections of “{min(self.awaited)}” have not been read yet; wait a moment."

    def expect(self, slug: str) -> None:
        """Take note that a proposal is being read."""
        if not self._project.correction_store(slug).blank:
            self.awaited.add(slug)

    def arrived(self, slug: str) -> None:
        """Take note that a proposal is there, with its corrections."""
        self.awaited.discard(slug)
        self.loose.pop(slug, None)

    def store_for(self, slug: str) -> InkStore:
        """Return where the corrections of a proposal are kept, up to date; for a thread."""
        store = self._project.correction_store(slug)
        if (loose := self.loose.get(slug)) is not None:
            store.save(loose.corrections())
        return store

    def give_up(self, slug: str, failed: Callable[[Exception], object], error: Exception) -> None:
        """Read in a thread what the user said of a proposal that could not be read.

        Parameters
        ----------
        slug : str
        failed : callable
            Hears of errors.
        error : Exception
            Why it could not be read.
        """
        failed(error)
        if slug not in self.awaited or slug in self.loose:
            self.awaited.discard(slug)
            return
        store = self._project.correction_store(slug)

        def done(words: Ink) -> None:
            if slug in self.awaited:
                self.awaited.discard(slug)
                self.loose[slug] = LooseCorrections(slug, store, words)
                self.settled.emit(self.loose[slug])

        in_background(store.load, done, failed)
