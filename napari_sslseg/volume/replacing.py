"""Files replaced whole or not at all, and on the disk before anything else names them."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from .held_files import patiently


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file to write to in place of `path`; `path` becomes it when the block ends.

    Parameters
    ----------
    path : Path
        In a folder that exists; the file itself need not.

    Yields
    ------
    Path
        The target's name with ``.part`` behind it. What opens it closes it within the block.

    Raises
    ------
    OSError
        When the disk does not take the file, or the target cannot be replaced (on Windows: while
        it is mapped). After this or any other error the target is as it was before, and nothing
        lies beside it.
    """
    with replacing_all([path]) as (part,):
        yield part


@contextlib.contextmanager
def replacing_all(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Do what `replacing` does for several files; none is replaced before all are on the disk.

    Parameters
    ----------
    paths : sequence of Path

    Yields
    ------
    list of Path
        A file to write to for each of them.

    Raises
    ------
    OSError
        See `replacing`. Where the system refuses to replace one of them, those before it are new.
    """
    parts = [path.with_name(path.name + ".part") for path in paths]
    try:
        yield parts
        for part in parts:
            flush_file(part)
        for part, path in zip(parts, paths, strict=True):
            put_in_place(part, path)
    except BaseException:
        for part in parts:
            with contextlib.suppress(OSError):  # why it failed is what the caller is to hear
                part.unlink(missing_ok=True)
        raise
    for folder in {path.parent for path in paths}:
        _flush_folder(folder)


def put_in_place(part: Path, path: Path) -> None:
    """Let a file become another, which may be there already, on the same disk.

    Raises
    ------
    OSError
        See `replacing`; both are as they were.
    """
    patiently(functools.partial(os.replace, part, path))


def replace_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all, into a folder that exists.

    Raises
    ------
    OSError
        See `replacing`.
    """
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def read_text(path: Path) -> str:
    """Return the text of a UTF-8 file that another process may be replacing just now.

    Raises
    ------
    OSError, UnicodeDecodeError
        When it cannot be read.
    """
    return patiently(functools.partial(path.read_text, encoding="utf-8"))


def flush_file(path: Path) -> None:
    """Wait until what was written to a file is on the disk, whoever wrote it.

    Raises
    ------
    OSError
        When the disk does not take it; a full one may say so only now.
    """
    # For writing: Windows flushes nothing that was opened only to be read.
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk too, where the system can do that."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
