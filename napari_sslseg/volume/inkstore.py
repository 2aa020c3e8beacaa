"""Ink on disk: a base array and a journal of changed slices.

A stroke changes a few slices of perhaps hundreds, so saving appends those slices, compressed
and check-summed, to a journal, and only now and then writes the whole array anew. Every file
belongs to a numbered generation and a new generation is written in full before the old one
goes, so a crash at any moment leaves a complete state; a record cut short by the crash is
recognised by its checksum and ends the replay.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import struct
import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .annotation import NOT_ANNOTATED, Ink, blank_ink, merge_ink
from .array_files import MAPPED, write_slabs

_HEADER = struct.Struct("<4sIII")  # magic, slice index, payload bytes, crc32 of the payload
_MAGIC = b"SLC1"


class LazyInk(Protocol):
    """Ink whose slices along the first axis are made when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the volume."""

    def __getitem__(self, index: int, /) -> Ink:
        """Return a slice."""


@dataclass(frozen=True)
class StoredInk:
    """Ink as it was last saved, slice by slice along the first axis.

    Parameters
    ----------
    shape : tuple of int
    base : ndarray of uint8, or None
        All slices, memory-mapped; None when only single slices were ever saved.
    changed : dict of int to ndarray
        Slices saved since.
    """

    shape: tuple[int, ...]
    base: Ink | None
    changed: dict[int, Ink]

    def __getitem__(self, index: int) -> Ink | None:
        """Return a slice, None where nothing was ever stated; not to be written to."""
        if index in self.changed:
            return self.changed[index]
        return None if self.base is None else self.base[index]


@dataclass(frozen=True)
class JoinedInk:
    """Ink from several stores slice by slice; where several speak, the first one counts."""

    parts: Sequence[StoredInk]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the volume."""
        return self.parts[0].shape

    def __getitem__(self, index: int) -> Ink | None:
        """Return a slice along the first axis, None where nothing was ever stated."""
        spoken = [s for part in self.parts if (s := part[index]) is not None]
        return merge_ink(spoken[0], spoken[1:]) if len(spoken) > 1 else next(iter(spoken), None)


class InkStore:
    """Ink of one layer in a folder.

    Parameters
    ----------
    folder : Path
        Created when missing.
    name : str
        Stem of the files, for example ``"ink"``.
    shape : tuple of int
        Shape of the ink.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...]) -> None:
        self.folder = Path(folder)
        self.name = name
        self.shape = tuple(int(n) for n in shape)
        self._marks: list[bytes] | None = None  # what each slice was when it was last saved
        self._lock = threading.Lock()
        self._generation = 0
        self._journal_bytes = 0  # length of the journal's readable part

    @property
    def blank(self) -> bool:
        """Whether nothing was ever saved."""
        return not self._generations() and not self._journal(0).exists()

    def stored(self) -> StoredInk:
        """Return what was last saved, slice by slice, without holding the volume in memory."""
        return self._open()[0]

    def _open(self) -> tuple[StoredInk, int, int]:
        """Return what was last saved, its generation, and the readable bytes of its journal."""
        base, newest = None, 0
        for generation in sorted(self._generations(), reverse=True):
            try:
                base = np.load(self._base(generation), mmap_mode="r")
            except (OSError, ValueError, EOFError):
                continue  # a base cut short: the generation before it is still whole
            self._check_shape(base.shape)
            newest = generation
            break
        slices: dict[int, Ink] = {}
        length = self._read_journal(self._journal(newest), slices.__setitem__)
        return StoredInk(self.shape, base, slices), newest, length

    def changed_since(self, ink: Ink) -> npt.NDArray[np.int64]:
        """Return where ink differs from what was last saved, as places in the array laid flat."""
        with self._lock:
            stored = self._open()[0]
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
        ValueError
            When the stored ink has another shape.
        """
        # Autosave may write at the same time: what it has just saved must not be passed over.
        with self._lock:
            return self._load()

    def _load(self) -> Ink:
        large = math.prod(self.shape) > MAPPED
        if large and not self._generations():
            with contextlib.suppress(OSError):  # then it is in memory, like any small one
                self.compact()
        stored, generation, length = self._open()
        if stored.base is None:
            ink = blank_ink(self.shape)
        else:
            base = np.load(self._base(generation), mmap_mode="c" if large else None)
            ink = np.asarray(base).astype(np.uint8, copy=False)
        for index, slice_ink in stored.changed.items():
            ink[index] = slice_ink
        self._generation, self._journal_bytes = generation, length
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
        """
        if ink.shape != self.shape:
            raise ValueError(f"Ink of shape {ink.shape} does not fit {self.shape}.")
        # Autosave and a layer's removal may both save: two writers would mix their records.
        with self._lock:
            return self._save(ink)

    def _save(self, ink: Ink | LazyInk) -> int:
        if self._marks is None:
            stored, self._generation, self._journal_bytes = self._open()
            saved = (stored[index] for index in range(self.shape[0]))
            self._marks = [b"" if s is None else _mark(s) for s in saved]
        marks = list(self._marks)
        changed: list[int] = []
        records: list[bytes] = []
        for index in range(self.shape[0]):
            slice_ink = ink[index]
            if _mark(slice_ink) == marks[index]:
                continue
            # A copy first: the user may be painting into the live array meanwhile, and the
            # record and the remembered state must be the same bytes.
            current = np.array(slice_ink, dtype=np.uint8, copy=True, order="C")
            payload = zlib.compress(current.tobytes(), 1)
            records.append(_HEADER.pack(_MAGIC, index, len(payload), zlib.crc32(payload)))
            records.append(payload)
            marks[index] = _mark(current)
            changed.append(index)
        if not changed:
            return 0
        # Until all is on the disk nobody knows what reached it: whatever fails, the next save
        # compares afresh.
        self._marks = None
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self._journal(self._generation), "ab") as file:
            # A record cut short by a crash would hide all that is written behind it.
            file.truncate(self._journal_bytes)
            file.write(b"".join(records))
            file.flush()
            os.fsync(file.fileno())
            self._journal_bytes = file.tell()
        if self._journal_bytes > math.prod(self.shape) + 2**20:
            self.compact()
        self._marks = marks
        return len(changed)

    def compact(self) -> None:
        """Write the whole array as a new generation and drop the older ones."""
        stored = self.stored()
        blank = blank_ink(self.shape[1:])
        slices = (stored[index] for index in range(self.shape[0]))
        old = self._generations() | {self._generation}
        generation = max(old) + 1
        self.folder.mkdir(parents=True, exist_ok=True)
        slabs = ((blank if slice_ink is None else slice_ink,) for slice_ink in slices)
        write_slabs([self._base(generation)], self.shape, np.dtype(np.uint8), slabs, sync=True)
        self._generation, self._journal_bytes = generation, 0
        for number in old:
            # On Windows a file that is mapped stays until it is no more; the newest one counts.
            with contextlib.suppress(OSError):
                self._base(number).unlink(missing_ok=True)
                self._journal(number).unlink(missing_ok=True)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape:
            raise ValueError(
                f"The saved ink in {self.folder} has the shape {shape}, the image {self.shape}."
            )

    def _read_journal(self, path: Path, take: Callable[[int, Ink], object]) -> int:
        """Hand out the slices of a journal, oldest first; returns the bytes that could be read."""
        if not path.exists():
            return 0
        size = int(np.prod(self.shape[1:]))
        whole = 0
        with open(path, "rb") as file:
            while len(head := file.read(_HEADER.size)) == _HEADER.size:
                magic, index, length, crc = _HEADER.unpack(head)
                payload = file.read(length) if magic == _MAGIC else b""
                if len(payload) != length or zlib.crc32(payload) != crc or magic != _MAGIC:
                    break
                values = np.frombuffer(zlib.decompress(payload), dtype=np.uint8)
                if index >= self.shape[0] or values.size != size:
                    break
                take(index, values.reshape(self.shape[1:]))
                whole = file.tell()
        return whole

    def _generations(self) -> set[int]:
        found = set()
        for path in self.folder.glob(f"{self.name}.*.npy"):
            number = path.name[len(self.name) + 1 : -4]
            if number.isdigit():
                found.add(int(number))
        return found

    def _base(self, generation: int) -> Path:
        return self.folder / f"{self.name}.{generation:06d}.npy"

    def _journal(self, generation: int) -> Path:
        return self.folder / f"{self.name}.{generation:06d}.journal"


def _mark(slice_ink: Ink) -> bytes:
    """Return what tells a slice from another one; empty where nothing is stated."""
    if slice_ink.min(initial=NOT_ANNOTATED) == NOT_ANNOTATED:
        return b""
    return hashlib.blake2b(np.ascontiguousarray(slice_ink).data, digest_size=16).digest()
