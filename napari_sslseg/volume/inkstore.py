"""Ink on disk: a base array and a journal of changed slices.

A stroke changes a few slices of perhaps hundreds, so saving appends those slices, compressed
and check-summed, to a journal, and only now and then writes the whole array anew. Every file
belongs to a numbered generation and a new generation is written in full before the old one
goes, so a crash at any moment leaves a complete state; a record cut short by the crash is
recognised by its checksum and passed over. What a disk has damaged is never thrown away.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .annotation import NOT_ANNOTATED, Ink, blank_ink
from .array_files import MAPPED, writable_copy, write_slabs
from .ink_journal import Journal, record
from .stored_ink import LazyInk, StoredInk
from .user_error import ProjectError

#: Looks at files that change meanwhile.
_LOOKS = 5


@dataclass(frozen=True)
class _Opened:
    """What lies on the disk.

    `generation` is the newest of all files, `end` where its journal goes on, and `damaged` are
    those that cannot be read, or not all of them.
    """

    stored: StoredInk
    generation: int
    end: int
    damaged: list[Path]


class InkStore:
    """Ink of one layer in a folder.

    Parameters
    ----------
    folder : Path
        Exists when something is saved: a folder that was moved or unmounted must not be made anew,
        as what is saved there would never be found.
    name : str
        Stem of the files, for example ``"ink"``.
    shape : tuple of int
        Shape of the ink.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...]) -> None:
        self.folder = Path(folder)
        self.name = name
        self.shape = tuple(int(n) for n in shape)
        #: One sentence for the user when not all of what was saved could be read.
        self.trouble = ""
        self._marks: list[bytes] | None = None  # what each slice was when it was last saved
        self._unsure = False  # whether the journal may hold more than was confirmed
        self._lock = threading.Lock()
        self._generation = 0
        self._journal_end = 0

    @property
    def blank(self) -> bool:
        """Whether nothing was ever saved."""
        return not self._numbers("npy") and not self._numbers("journal")

    def stored(self) -> StoredInk:
        """Return what was last saved, slice by slice, without holding the volume in memory.

        Writes nothing, so any process may call it.

        Raises
        ------
        ProjectError
            When it cannot be read, or has another shape.
        """
        # Between two looks at the folder another thread may put the files in order.
        with self._lock:
            return self._open().stored

    def changed_since(self, ink: Ink) -> npt.NDArray[np.int64]:
        """Return where ink differs from what was last saved, as places in the array laid flat.

        Parameters
        ----------
        ink : ndarray of uint8
            Of the store's shape.

        Returns
        -------
        ndarray of int64, shape (n,)
            Rising; places in C order.

        Raises
        ------
        ProjectError
            When what was saved cannot be read, or has another shape.
        """
        stored = self.stored()
        blank = blank_ink(self.shape[1:])
        found = [np.empty(0, dtype=np.int64)]
        for index, now in enumerate(ink):
            before = stored[index]
            places = np.flatnonzero(now != (blank if before is None else before))
            found.append(places + index * blank.size)
        return np.concatenate(found)

    def read(self) -> Ink:
        """Return a copy of what was last saved; writes nothing, so any process may call it."""
        stored, ink = self.stored(), blank_ink(self.shape)
        for index in range(self.shape[0]):
            slice_ink = stored[index]
            if slice_ink is not None:
                ink[index] = slice_ink
        return ink

    def load(self) -> Ink:
        """Return the ink as last saved (blank when never saved), to be painted on and saved.

        For the application alone, which is the only writer: it may put the files in order.
        Large ink is memory-mapped: what is painted on takes memory, the rest stays in the file,
        which is not written to.

        Raises
        ------
        ProjectError
            When the stored ink cannot be read, or has another shape.
        """
        # Autosave may write at the same time: what it has just saved must not be passed over.
        with self._lock:
            return self._load()

    def _load(self) -> Ink:
        large = math.prod(self.shape) > MAPPED
        opened = self._open()
        if opened.damaged or (large and opened.stored.base is None):
            with contextlib.suppress(OSError):  # then it is in memory, like any small one
                self._compact(opened)
                opened = self._open()
        stored = opened.stored
        if stored.base is None:
            ink = blank_ink(self.shape)
        else:
            ink = writable_copy(stored.base) if large else np.array(stored.base, dtype=np.uint8)
        for index, slice_ink in stored.changed.items():
            ink[index] = slice_ink
        self._generation, self._journal_end = opened.generation, opened.end
        self._marks = [_mark(slice_ink) for slice_ink in ink]
        return ink

    def save(self, ink: Ink | LazyInk) -> int:
        """Write what changed since the last save; safe to call from a worker thread.

        Parameters
        ----------
        ink : ndarray of uint8, or what gives its slices along the first axis

        Returns
        -------
        int
            Number of slices (along the first axis) written.

        Raises
        ------
        ValueError
            When it has another shape or data type.
        OSError
            When the disk does not take it.
        ProjectError
            When what was saved before cannot be read.
        """
        if ink.shape != self.shape:
            raise ValueError(f"Ink of shape {ink.shape} does not fit {self.shape}.")
        # Autosave and a layer's removal may both save: two writers would mix their records.
        with self._lock:
            return self._save(ink)

    def _save(self, ink: Ink | LazyInk) -> int:
        confirmed = self._meet_the_disk()
        marks = list(confirmed)
        changed: list[int] = []
        records: list[bytes] = []
        for index in range(self.shape[0]):
            slice_ink = ink[index]
            if slice_ink.dtype != np.uint8:  # a cast would turn other labels into wrong ones
                raise ValueError(f"Ink is stored as unsigned bytes, not as {slice_ink.dtype}.")
            if _mark(slice_ink) == marks[index]:
                continue
            # A copy first: the user may be painting into the live array meanwhile, and the
            # record and the remembered state must be the same bytes.
            current = np.array(slice_ink, dtype=np.uint8, copy=True, order="C")
            records.append(record(index, current))
            marks[index] = _mark(current)
            changed.append(index)
        if not changed:
            self._marks = marks
            return 0
        # Until the disk has all of it, what it had before counts, and whatever fails, the next save
        # writes it again: after a failed flush a file may show what the disk has not.
        self._marks, self._unsure = confirmed, True
        if not self.folder.is_dir():
            gone = f"the project folder {self.folder} is no longer there"
            raise FileNotFoundError(errno.ENOENT, gone)
        journal = self._journal(self._generation)
        self._journal_end = journal.append(records, self._journal_end)
        self._marks, self._unsure = marks, False
        if self._journal_end > math.prod(self.shape) + 2**20:
            with contextlib.suppress(OSError):  # a long journal holds all of it as well
                self._compact(self._open())
        return len(changed)

    def _meet_the_disk(self) -> list[bytes]:
        """Return what each slice was when it was last saved; learns where the journal goes on."""
        newest = max(self._numbers("npy") | self._numbers("journal"), default=0)
        size = self._journal(newest).size
        same = size == self._journal_end or (self._unsure and size > self._journal_end)
        if self._marks is not None and newest == self._generation and same:
            return self._marks
        opened = self._open()
        if opened.damaged:
            self._compact(opened)
            opened = self._open()
        self._generation, self._journal_end = opened.generation, opened.end
        if self._marks is not None and not self.blank:
            # Somebody else has written here: only what changed in this window may go on top.
            return self._marks
        saved = (opened.stored[index] for index in range(self.shape[0]))
        return [b"" if s is None else _mark(s) for s in saved]

    def _compact(self, opened: _Opened) -> None:
        """Write the whole array as a new generation and drop the older ones."""
        blank = blank_ink(self.shape[1:])
        slices = (opened.stored[index] for index in range(self.shape[0]))
        bases, journals = self._numbers("npy"), self._numbers("journal")
        generation = max(bases | journals | {opened.generation}) + 1
        slabs = ((blank if slice_ink is None else slice_ink,) for slice_ink in slices)
        write_slabs([self._base(generation)], self.shape, np.dtype(np.uint8), slabs)
        self._generation, self._journal_end = generation, 0
        old = [*map(self._base, bases), *(self._journal(n).path for n in journals)]
        for path in old:
            # On Windows a file that is mapped stays until it is no more; the newest one counts.
            with contextlib.suppress(OSError):
                if path in opened.damaged:
                    os.replace(path, path.with_name(path.name + ".damaged"))
                path.unlink(missing_ok=True)

    def _open(self) -> _Opened:
        """Look at what was last saved; writes nothing."""
        for _ in range(_LOOKS):
            files = self._numbers("npy"), self._numbers("journal")
            try:
                opened = self._look_at(*files)
            except ProjectError:
                if files == (self._numbers("npy"), self._numbers("journal")):
                    raise
                continue
            if files == (self._numbers("npy"), self._numbers("journal")):
                return opened
            # Meanwhile another process has put the files in order.
        return self._look_at(self._numbers("npy"), self._numbers("journal"))

    def _look_at(self, bases: set[int], journals: set[int]) -> _Opened:
        base, newest = None, -1
        damaged: list[Path] = []
        for generation in sorted(bases, reverse=True):
            path = self._base(generation)
            try:
                base, newest = np.load(path, mmap_mode="r"), generation
                break
            except (OSError, ValueError, EOFError) as error:
                damaged.append(path)  # the generation before it may still be whole
                # Of what is damaged NumPy says how it could be loaded unsafely.
                reason = getattr(error, "strerror", None) or "it is damaged"
        if bases and base is None:
            raise ProjectError(
                f"The saved labels in {damaged[0]} cannot be read ({reason}); put back a copy of "
                "that file, or move it away to go on with what was painted since."
            )
        if base is not None and base.shape != self.shape:
            raise ProjectError(
                f"The saved ink in {self.folder} has the shape {base.shape}, the image "
                f"{self.shape}; put back the files that belong together."
            )
        slices: dict[int, Ink] = {}
        end = 0
        # Those behind a damaged base go on from the one before it.
        for generation in sorted(n for n in journals if n >= newest):
            journal = self._journal(generation)
            try:
                replay = journal.replay(slices.__setitem__)
            except OSError as error:
                reason = error.strerror or error
                raise ProjectError(
                    f"The saved labels in {journal.path} cannot be read ({reason}); close the "
                    "project and try again."
                ) from error
            end = replay.end
            if replay.damaged:
                damaged.append(journal.path)
        if damaged:
            names = ", ".join(path.name for path in damaged)
            self.trouble = (
                f"Some saved labels in {self.folder} were damaged and could not be read; look over "
                f"your slices. The damaged file is kept there as {names}.damaged."
            )
        top = max(bases | journals, default=0)
        if top not in journals:
            end = 0
        return _Opened(StoredInk(self.shape, base, slices), top, end, damaged)

    def _numbers(self, kind: str) -> set[int]:
        """Return the generations that there are files of a kind of."""
        found = set()
        for path in self.folder.glob(f"{self.name}.*.{kind}"):
            number = path.name[len(self.name) + 1 : -len(kind) - 1]
            if number.isdigit():
                found.add(int(number))
        return found

    def _base(self, generation: int) -> Path:
        return self.folder / f"{self.name}.{generation:06d}.npy"

    def _journal(self, generation: int) -> Journal:
        return Journal(self.folder / f"{self.name}.{generation:06d}.journal", self.shape)


def _mark(slice_ink: Ink) -> bytes:
    """Return what tells a slice from another one; empty where nothing is stated."""
    if slice_ink.min(initial=NOT_ANNOTATED) == NOT_ANNOTATED:
        return b""
    return hashlib.blake2b(np.ascontiguousarray(slice_ink).data, digest_size=16).digest()
