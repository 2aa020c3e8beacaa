"""A journal of slices: each one appended compressed and check-summed, the latest one counting."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .annotation import Ink

_HEADER = struct.Struct("<4sIII")  # magic, slice index, payload bytes, crc32 of all but the magic
_MAGIC = b"SLC2"

#: Of records before these, whose checksum was that of the payload alone.
_EARLIER = b"SLC1"


@dataclass(frozen=True)
class Replay:
    """What was found in a journal.

    Parameters
    ----------
    end : int
        Bytes up to the end of the last whole record. What follows was cut short by a crash.
    damaged : bool
        Whether a record was written whole and cannot be read any more.
    """

    end: int
    damaged: bool


def record(index: int, slice_ink: Ink) -> bytes:
    """Return the record of a slice.

    Parameters
    ----------
    index : int
        Along the first axis; 0 to 2**32 - 1.
    slice_ink : ndarray of uint8, shape (Y, X)
    """
    payload = zlib.compress(slice_ink.tobytes(), 1)
    return _HEADER.pack(_MAGIC, index, len(payload), _checksum(_MAGIC, index, payload)) + payload


def _checksum(magic: bytes, index: int, payload: bytes) -> int:
    begin = zlib.crc32(struct.pack("<II", index, len(payload))) if magic == _MAGIC else 0
    return zlib.crc32(payload, begin)


class Journal:
    """A journal file, which need not exist.

    Parameters
    ----------
    path : Path
    shape : tuple of int
        Of the volume; its slices lie along the first axis.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path = path
        self._shape = shape

    @property
    def size(self) -> int:
        """Bytes of the file, 0 when there is none."""
        return self.path.stat().st_size if self.path.exists() else 0

    def replay(self, take: Callable[[int, Ink], object]) -> Replay:
        """Hand out the slices, oldest first; what cannot be read is passed over.

        Parameters
        ----------
        take : callable
            Is given the index of a slice along the first axis and its ink, read-only uint8 of shape
            (Y, X). A slice that was saved again comes again, and the last one counts.

        Raises
        ------
        OSError
            When the file cannot be read at all.
        """
        if not self.size:
            return Replay(0, False)
        with open(self.path, "rb") as file:
            data = _Bytes(file)
            at = end = 0
            damaged = False
            while at >= 0:
                found = self._read(data, at)
                if found is None:
                    # One bad record must not hide those behind it.
                    damaged |= _whole(data, at)
                    at = data.find(_MAGIC[:3], at + 1)
                    continue
                damaged |= at != end
                index, slice_ink, end = found
                take(index, slice_ink)
                at = end
        return Replay(end, damaged)

    def append(self, records: Iterable[bytes], end: int) -> int:
        """Write records behind the last whole one, and wait until the disk has them.

        Parameters
        ----------
        records : iterable of bytes
            See `record`.
        end : int
            As `replay` returned it: what lies behind is cut off, as it would hide the new ones.

        Returns
        -------
        int
            The end of the last record.

        Raises
        ------
        OSError
            When the disk does not take them.
        """
        with open(self.path, "ab") as file:
            file.truncate(end)
            file.write(b"".join(records))
            file.flush()
            os.fsync(file.fileno())
            return file.tell()

    def _read(self, data: _Bytes, at: int) -> tuple[int, Ink, int] | None:
        """Return slice, ink and end of the record at a place; None if there is no sound one."""
        head = data.read(at, _HEADER.size)
        if len(head) < _HEADER.size:
            return None
        magic, index, length, crc = _HEADER.unpack(head)
        begin = at + _HEADER.size
        whole = magic in (_MAGIC, _EARLIER) and begin + length <= data.size
        payload = data.read(begin, length) if whole else b""
        # Zeros, which a crash may leave in place of the rest, are the checksum of nothing.
        if not payload or len(payload) != length or _checksum(magic, index, payload) != crc:
            return None
        try:
            values = np.frombuffer(zlib.decompress(payload), dtype=np.uint8)
        except zlib.error:
            return None
        if index >= self._shape[0] or values.size != int(np.prod(self._shape[1:])):
            return None
        return index, values.reshape(self._shape[1:]), begin + length


class _Bytes:
    """The bytes of a file that is read piece by piece.

    It is not mapped: whoever looks at a mapped file that another thread or program cuts off, as
    `Journal.append` does, or whose disk goes away, is ended by the system.

    Parameters
    ----------
    file : BinaryIO
        Open for reading.
    """

    #: Bytes that are searched at a time.
    _PIECE = 2**20

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size

    def read(self, at: int, count: int) -> bytes:
        """Return so many bytes from a place on, or as many as there are."""
        self._file.seek(at)
        return self._file.read(count)

    def find(self, sought: bytes, begin: int) -> int:
        """Return where some bytes occur from a place on, -1 if they do not."""
        while piece := self.read(begin, self._PIECE):
            found = piece.find(sought)
            if found >= 0:
                return begin + found
            if len(piece) < len(sought):
                break
            begin += len(piece) - len(sought) + 1  # they may lie across two pieces
        return -1


def _whole(data: _Bytes, at: int) -> bool:
    """Whether a record begins at a place and the file goes on to its end: it was not cut short."""
    head = data.read(at, _HEADER.size)
    if len(head) < _HEADER.size or head[:4] not in (_MAGIC, _EARLIER):
        return False
    length: int = _HEADER.unpack(head)[2]
    return at + _HEADER.size + length <= data.size
