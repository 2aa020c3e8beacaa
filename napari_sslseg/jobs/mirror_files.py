"""Files of a project on two computers: which of them travel, and whether two are the same.

Application and trainer own different files of a project (`volume.project`). So what the application
writes goes to the trainer's copy, what the trainer writes comes back, and nothing has two authors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..volume.proposal import IMPORTED, proposal_slug
from ..volume.replacing import replacing

#: Size in bytes and time of the last change, milliseconds: some disks know no finer ones.
Stamp = tuple[int, int]

#: Folders that stay where they are: what an update takes over, and what the trainer said.
_STAYS = frozenset({"kept", "log"})
_PASSING = (".part", ".lock")

#: All that a trainer makes. Ink, corrections, heads of projects and images are not among it:
#: nothing that comes from elsewhere may touch what the user has painted.
_MADE = re.compile(
    r"((volumes/[^/]+/)?"
    r"(proposals/[^/]+/(proposal\.json|(classes|regions|confidence)\.\d+\.npy)|models/[^/]+)"
    r"|shared/[^/]+)"
)
_USERS = f"proposals/{proposal_slug(IMPORTED)}/"
_CHUNK = 2**20


def goes_over(name: str) -> bool:
    """Whether a file, by its path within the project, is one that the trainer's copy has too."""
    path = PurePosixPath(name)
    return (
        _is_inside(path)
        and _STAYS.isdisjoint(path.parts)
        and not name.endswith(_PASSING)
        and not path.name.startswith(".")
    )


def comes_back(name: str) -> bool:
    """Whether a file, by its path within the project, is one that a trainer makes."""
    return goes_over(name) and _MADE.fullmatch(name) is not None and _USERS not in name


def listing(home: Path) -> dict[str, Stamp]:
    """Return the files of a project that `goes_over`, by their paths within it."""
    found = {}
    for name in _names(home):
        try:
            found[name] = stamp_of(home / name)
        except FileNotFoundError:  # replaced by a newer one this very moment
            continue
    return found


def stamp_of(file: Path | int) -> Stamp:
    """Return the stamp of a file, by its path or, of what is open, by its handle.

    Raises
    ------
    OSError
        When there is none.
    """
    about = os.stat(file)
    return about.st_size, about.st_mtime_ns // 1_000_000


def write_whole(home: Path, name: str, source: BinaryIO, stamp: Stamp) -> None:
    """Write a file that comes from the other side, whole or not at all.

    Parameters
    ----------
    home : Path
    name : str
        Path within it, of one that `goes_over`.
    source : file
        As many bytes as `stamp` says are read from it.
    stamp : Stamp
        The file has it from then on.

    Raises
    ------
    OSError
        When the disk does not take it; what was to come is read nevertheless.
    EOFError
        When the other side is gone.
    """
    left = stamp[0]
    path = home / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            with open(part, "wb") as file:
                while left:
                    piece = _some(source, left)
                    left -= len(piece)
                    file.write(piece)
            _set_time(part, stamp)
    except OSError:
        while left:
            left -= len(_some(source, left))
        raise


def copy_out(
    file: BinaryIO,
    size: int,
    target: BinaryIO,
    told: Callable[[int], object] = lambda count: None,
) -> None:
    """Write the first bytes of an open file to the other side; zeros where it is shorter by now.

    Parameters
    ----------
    file, target : file
    size : int
        How many bytes.
    told : callable
        Called with the number of each piece's bytes when it is on its way.
    """
    while size:
        piece = file.read(min(size, _CHUNK)) or bytes(min(size, _CHUNK))
        target.write(piece)
        size -= len(piece)
        told(len(piece))


def in_order(names: list[str]) -> list[str]:
    """Return names as they are to be written: what names others last, as a run does it."""
    return sorted(names, key=lambda name: (name.endswith(".json"), name))


def _is_inside(path: PurePosixPath) -> bool:
    plain = not any(part in ("..", "") or "\\" in part or ":" in part for part in path.parts)
    return bool(path.parts) and not path.is_absolute() and plain


def _names(home: Path) -> Iterator[str]:
    for folder, inner, files in os.walk(home):
        inner[:] = [name for name in inner if name not in _STAYS]
        place = Path(folder).relative_to(home)
        for file in files:
            name = (place / file).as_posix()
            if goes_over(name):
                yield name


def _some(source: BinaryIO, most: int) -> bytes:
    piece = source.read(min(most, _CHUNK))
    if not piece:
        raise EOFError("the other side is gone")
    return piece


def _set_time(path: Path, stamp: Stamp) -> None:
    os.utime(path, ns=(stamp[1] * 1_000_000, stamp[1] * 1_000_000))
