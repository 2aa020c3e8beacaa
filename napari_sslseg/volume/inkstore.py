"""Ink on disk: a base array and a journal of changed slices.

A stroke changes a few slices of perhaps hundreds, so saving appends those slices, compressed
and check-summed, to a journal, and only now and then writes the whole array anew. Every file
belongs to a numbered generation and a new generation is written in full before the old one
goes, so a crash at any moment leaves a complete state; a record cut short by the crash is
recognised by its checksum and ends the replay.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np

from .annotation import Ink, blank_ink

_HEADER = struct.Struct("<4sIII")  # magic, slice index, payload bytes, crc32 of the payload
_MAGIC = b"SLC1"


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
        self._saved: Ink | None = None
        self._lock = threading.Lock()
        self._generation = 0
        self._journal_bytes = 0  # length of the journal's readable part

    def load(self) -> Ink:
        """Return the ink as last saved (blank when never saved).

        Raises
        ------
        ValueError
            When the stored ink has another shape.
        """
        self._generation, ink = 0, blank_ink(self.shape)
        for generation in sorted(self._generations(), reverse=True):
            try:
                base = np.load(self._base(generation))
            except (OSError, ValueError, EOFError):
                continue  # a base cut short: the generation before it is still whole
            if base.shape != self.shape:
                raise ValueError(
                    f"The saved ink in {self.folder} has the shape {base.shape}, "
                    f"the image {self.shape}."
                )
            self._generation, ink = generation, base.astype(np.uint8, copy=False)
            break
        self._replay(ink)
        self._saved = ink.copy()
        return ink

    def save(self, ink: Ink) -> int:
        """Write what changed since the last save; safe to call from a worker thread.

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

    def _save(self, ink: Ink) -> int:
        if self._saved is None:
            self.load()
        assert self._saved is not None
        changed: list[int] = []
        records: list[bytes] = []
        for index in range(self.shape[0]):
            # A copy first: the user may be painting into the live array meanwhile, and the
            # record and the remembered state must be the same bytes.
            if np.array_equal(ink[index], self._saved[index]):
                continue
            current = np.array(ink[index], dtype=np.uint8, copy=True, order="C")
            payload = zlib.compress(current.tobytes(), 1)
            records.append(_HEADER.pack(_MAGIC, index, len(payload), zlib.crc32(payload)))
            records.append(payload)
            self._saved[index] = current
            changed.append(index)
        if not changed:
            return 0
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            journal = self._journal(self._generation)
            with open(journal, "ab") as file:
                # A record cut short by a crash would hide all that is written behind it.
                file.truncate(self._journal_bytes)
                file.write(b"".join(records))
                file.flush()
                os.fsync(file.fileno())
                self._journal_bytes = file.tell()
            if self._journal_bytes > self._saved.nbytes + 2**20:
                self.compact()
        except OSError:
            self._saved = None  # what reached the disk is unknown: compare afresh next time
            raise
        return len(changed)

    def compact(self) -> None:
        """Write the whole array as a new generation and drop the older ones."""
        if self._saved is None:
            self.load()
        assert self._saved is not None
        old = self._generations() | {self._generation}
        generation = max(old) + 1
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self._base(generation).with_suffix(".part")
        with open(part, "wb") as file:
            np.save(file, self._saved)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self._base(generation))
        self._generation, self._journal_bytes = generation, 0
        for number in old:
            self._base(number).unlink(missing_ok=True)
            self._journal(number).unlink(missing_ok=True)

    def _replay(self, ink: Ink) -> None:
        self._journal_bytes = 0
        path = self._journal(self._generation)
        if not path.exists():
            return
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
                ink[index] = values.reshape(self.shape[1:])
                whole = file.tell()
        self._journal_bytes = whole

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
