"""Corrections of proposals that are not there: still being read, or damaged on the disk.

They are the user's word all the same. Of a damaged proposal they are held by themselves, so that
new ink speaks over them, they are saved, and the export has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from psygnal import Signal

from ..volume.annotation import NOT_ANNOTATED
from .background import in_background

if TYPE_CHECKING:
    from pathlib import Path

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


@dataclass(frozen=True)
class Unreadable:
    """Corrections on the disk that cannot be read.

    Parameters
    ----------
    error : Exception
        Why not; its sentence names the file.
    damaged : list of Path
        Files whose content is none, whoever reads them; not those that the disk does not give.
    """

    error: Exception
    damaged: list[Path]

    @property
    def kept(self) -> str:
        """What becomes of the damaged files when the user goes on without them."""
        names = " and ".join(_name_aside(path).name for path in self.damaged)
        return f"what is damaged is kept there as {names}"


class Unread:
    """Knows which corrections on the disk no proposal in the viewer holds.

    Parameters
    ----------
    project : Project
    """

    settled = Signal(object)
    """`LooseCorrections` were read."""
    readable = Signal(str)
    """A proposal's corrections are to be read again: what is damaged was set aside, or mended."""
    changed = Signal()
    """More, or less, cannot be read."""
    trouble = Signal(str)
    """What a damaged file has cost, where the rest could be read."""

    def __init__(self, project: Project) -> None:
        self._project = project
        #: Proposals with corrections on disk that have not been read yet.
        self.awaited: set[str] = set()
        #: Those that cannot be read, and whether the user has been told what marking means then.
        self.unreadable: dict[str, Unreadable] = {}
        self._told: set[str] = set()
        #: What is left of those that cannot be read, by slug.
        self.loose: dict[str, LooseCorrections] = {}

    @property
    def why_not(self) -> str:
        """Why what the user said is not known as a whole, empty when it is."""
        if self.awaited:
            slug = min(self.awaited)
            return f"your corrections of “{slug}” have not been read yet; wait a moment."
        return self.undecided

    @property
    def undecided(self) -> str:
        """Why the user has to say first how to go on, empty where nothing is damaged."""
        for slug in sorted(self.unreadable):
            return (
                f"your corrections of “{slug}” cannot be read; say at the top of the panel how to "
                "go on."
            )
        return ""

    @property
    def missing(self) -> set[str]:
        """Proposals whose corrections on the disk are not known here."""
        return self.awaited | set(self.unreadable)

    def before_marking(self) -> str:
        """Return why no slice can be marked now, empty when it can.

        Of what cannot be read that is said once. Who asks again goes on without: files that are
        damaged are set aside, and the rest is read first; else what is known is marked.
        """
        if self.awaited:
            return self.why_not
        for slug, found in sorted(self.unreadable.items()):
            if slug not in self._told:
                self._told.add(slug)
                kept = f"; {found.kept}" if found.damaged else ""
                return (
                    f"your corrections of “{slug}” cannot be read. {found.error} Or mark the slice "
                    f"again to go on without it{kept}."
                )
            if found.damaged:
                self.go_on_without(slug)
                return self.why_not
        return ""

    def expect(self, slug: str) -> None:
        """Take note that a proposal is being read."""
        if not self._project.correction_store(slug).blank:
            self.awaited.add(slug)

    def arrived(self, slug: str, store: InkStore) -> None:
        """Take note that a proposal is there, with its corrections from a store."""
        self.awaited.discard(slug)
        self.unreadable.pop(slug, None)
        self.loose.pop(slug, None)
        self._tell_of(store)

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

        def read() -> Ink | Unreadable:
            try:
                return store.load()
            except Exception as again:
                return Unreadable(again, _damaged(store))

        def done(words: Ink | Unreadable) -> None:
            if slug not in self.awaited:
                return
            self.awaited.discard(slug)
            if isinstance(words, Unreadable):
                self.unreadable[slug] = words
                if str(words.error) != str(error):  # else that has been told
                    failed(words.error)
                self.changed.emit()
                return
            self.loose[slug] = LooseCorrections(slug, store, words)
            self.settled.emit(self.loose[slug])
            self._tell_of(store)

        in_background(read, done, failed)

    def go_on_without(self, slug: str) -> None:
        """Give damaged files another name in a thread, so that the rest can be read."""
        found = self.unreadable.pop(slug)
        self.awaited.add(slug)

        def work() -> None:
            for path in found.damaged:
                path.replace(_name_aside(path))

        def failed(error: Exception) -> None:
            self.awaited.discard(slug)
            self.unreadable[slug] = Unreadable(error, [])
            self._told.discard(slug)
            self.changed.emit()

        self.changed.emit()
        in_background(work, lambda _: self.readable.emit(slug), failed)

    def _tell_of(self, store: InkStore) -> None:
        """Tell once what a store could not read."""
        told, store.trouble = store.trouble, ""
        if told:
            self.trouble.emit(told)


def _damaged(store: InkStore) -> list[Path]:
    """Return the base files of a store that hold no array."""
    found = []
    for path in sorted(store.folder.glob(f"{store.name}.*.npy")):
        try:
            np.load(path, mmap_mode="r")
        except OSError:
            continue  # the disk may give it another time
        except (ValueError, EOFError):
            found.append(path)
    return found


def _name_aside(path: Path) -> Path:
    """Return a name beside a file under which nothing is kept yet."""
    aside, count = path.with_name(f"{path.name}.damaged"), 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.damaged{count}")
    return aside
