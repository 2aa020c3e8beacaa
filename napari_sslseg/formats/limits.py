"""What a file claims to hold, checked before memory is given to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from ..volume.sizes import spoken
from .errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes that one stored byte can stand for at most, for each way to store them. Deflate: 258 bytes
#: from two bits; bzip2: blocks of 900 kB from some 40 bytes; RLE as DICOM and TIFF have it: 128
#: bytes from two. Blank pictures in JPEG and JPEG 2000 have no bound; 1e5 is well above real ones.
EXPANSION = {"raw": 1.0, "gzip": 1032.0, "bzip2": 25000.0, "rle": 64.0, "picture": 1e5}

#: Stored bytes that are not counted: any format has headers of its own.
_SLACK = 1024


def check_declared(path: Path | str, declared: float, stored: float, kind: str = "raw") -> None:
    """Refuse a header that declares more than the stored bytes can hold.

    Parameters
    ----------
    path : path-like
        Named in the message.
    declared, stored : float
        Bytes of voxels that the header promises, and bytes of the file.
    kind : str
        How they are stored: a key of `EXPANSION`.

    Raises
    ------
    FormatError
        With one sentence for the user.
    """
    if declared > EXPANSION[kind] * (stored + (_SLACK if kind != "raw" else 0)):
        raise FormatError(
            f"{path} is incomplete or damaged: its header promises {spoken(declared)} of voxels, "
            f"more than its {spoken(stored)} can hold; copy or export it again."
        )


def check_memory(path: Path | str, needed: float) -> None:
    """Refuse what needs more memory than is free.

    Parameters
    ----------
    path : path-like
        Named in the message.
    needed : float
        Bytes.

    Raises
    ------
    FormatError
        With one sentence for the user.
    """
    free = psutil.virtual_memory().available
    if needed > free:
        raise FormatError(
            f"{path} needs {spoken(needed)} of memory, but {spoken(free)} are free; close other "
            "programs, crop it, or save it uncompressed so that it is read piece by piece."
        )


def is_small(path: Path) -> bool:
    """Whether a file cannot need more memory than is free, unless a length in it is damaged.

    False for a folder.
    """
    return path.is_file() and (
        path.stat().st_size * EXPANSION["gzip"] < psutil.virtual_memory().available
    )
