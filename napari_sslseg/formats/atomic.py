"""Writing files so that whoever looks sees the old ones or the new ones, never half of them."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from ..volume.held_files import is_held, patiently
from ..volume.replacing import flush_file, put_in_place
from ..volume.system_errors import REASONS
from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is written to see whether the disk takes anything, bytes.
_PROBE = 1 << 20

#: A name that no file has, to see whether a folder takes one.
_ANY_FILE = ".napari-sslseg-check"

#: Files by which a folder is known to be a Zarr group, and may be replaced by another.
_ZARR = (".zgroup", ".zattrs", "zarr.json")


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], kind: str) -> Iterator[Path]:
    """Give a path to write a file, or a Zarr folder, to; move what was written into place.

    The path has the name of the target and is in a new folder beside it: the libraries choose
    a format by the name, some formats are a header and a data file, and all of an export of
    several files is moved only when all is written. What is named as the target is moved last.
    Where the target is a symbolic link, what it leads to is replaced, and the link stays.

    Parameters
    ----------
    path : path-like
        Target.
    kind : str
        The format in words, for messages.

    Raises
    ------
    FormatError
        If the target cannot be replaced, or writing fails in any way; then everything is as it
        was before.
    """
    file = Path(os.path.abspath(path))
    staging: Path | None = None
    written = False
    try:
        _check(_resolved(file))
        staging = Path(tempfile.mkdtemp(prefix=".writing-", dir=file.parent))
        yield staging / file.name
        _move(staging, file)
        written = True
    except FormatError:
        raise
    except MemoryError as error:
        raise FormatError(
            f"{file} cannot be written: it does not fit into memory; close other programs, or "
            "choose a format that is not compressed."
        ) from error
    except Exception as error:  # the libraries raise nearly anything when a disk fails them
        reason = _reason(error, file.parent)
        if reason:
            raise FormatError(f"{file} cannot be written: {reason}.") from error
        raise FormatError(f"{file} cannot be written as {kind}; choose another format.") from error
    finally:
        if staging is not None:
            if not written:
                _let_go(sys.exception())
            _discard(staging, written)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse a target that cannot be written, before the work whose result it is to hold.

    Parameters
    ----------
    path : path-like
        Target; it is left as it is.

    Raises
    ------
    FormatError
        As `writing` would later, but for a disk that fills up meanwhile.
    """
    file = Path(os.path.abspath(path))
    try:
        target = _resolved(file)
        _check(target)
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=target.parent) as staging:
            Path(staging, file.name).touch()
    except OSError as error:
        raise FormatError(f"{file} cannot be written: {_words(error)}.") from error


def check_folder(path: str | os.PathLike[str]) -> None:
    """Refuse a folder that results cannot go into, before the work; it is not made.

    Parameters
    ----------
    path : path-like
        One that is there, or one that is to be made in a folder that is there.

    Raises
    ------
    FormatError
        If it cannot be made, is a file, or takes no files.
    """
    folder = Path(os.path.abspath(path))
    if folder.is_dir():
        check_writable(folder / _ANY_FILE)
        return
    if folder.exists():
        raise FormatError(
            f"{folder} cannot be written to: a file of that name is in the way; choose another "
            "folder."
        )
    check_writable(folder)


def _resolved(file: Path) -> Path:
    """Return what a symbolic link leads to, there or not; any other file as it is."""
    return Path(os.path.realpath(file)) if file.is_symlink() else file


def _let_go(error: BaseException | None) -> None:
    """Close what an error left open on its way: Windows deletes nothing that is open."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _discard(folder: Path, written: bool) -> None:
    """Delete a folder.

    Where writing failed, again after a moment: Zarr's threads still finish their chunks, and make
    anew the folders that those lie in.
    """
    for seconds in (0.0,) if written else (0.0, 0.05, 0.2):
        time.sleep(seconds)
        shutil.rmtree(folder, ignore_errors=True)


def _check(file: Path) -> None:
    """Raise if a target cannot be replaced."""
    if not file.parent.is_dir():
        raise FormatError(
            f"{file} cannot be written: the folder {file.parent} does not exist; create it first."
        )
    if file.is_dir():
        zarr = file.suffix.lower() == ".zarr"
        if not zarr or (any(file.iterdir()) and not any((file / n).exists() for n in _ZARR)):
            raise FormatError(f"{file} cannot be written: it is a folder; give another name.")
    elif file.exists() and not _writable(file):
        # The system would let it be replaced: protection of a file is a matter of its folder.
        raise FormatError(
            f"{file} cannot be written: the file is write-protected; give another name or change "
            "its permissions."
        )


def _writable(file: Path) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(file, os.W_OK, effective_ids=effective)


def _reason(error: BaseException, folder: Path) -> str:
    """Why writing failed, as far as the system is the reason; empty for anything else."""
    if isinstance(error, OSError) and error.errno in REASONS:
        return _words(error)
    # Some libraries say only that it failed. What they have written still takes up the room.
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as failure:
        return _words(failure)
    if isinstance(error, OSError):
        return _words(error)
    return ""


def _words(error: OSError) -> str:
    told = REASONS.get(error.errno or 0)
    return told or f"{error.strerror or error or 'the disk refused'}; choose another place"


def _move(staging: Path, file: Path) -> None:
    """Move all that is in a folder beside `file`, or to where links beside it lead."""
    folder = file.parent
    written = sorted(staging.iterdir(), key=lambda item: (item.name == file.name, item.name))
    if not written:
        raise OSError("nothing was written")
    with contextlib.ExitStack() as elsewhere:
        moves = []
        for item in written:
            target = _resolved(folder / item.name)
            _check(target)
            if target.parent != folder:  # maybe on another disk, where nothing can be moved to
                beside = tempfile.TemporaryDirectory(prefix=".writing-", dir=target.parent)
                item = Path(shutil.move(item, Path(elsewhere.enter_context(beside), target.name)))
            _flush(item)
            moves.append((item, target))
        _replace(moves)


def _replace(moves: list[tuple[Path, Path]]) -> None:
    """Put files and Zarr folders in place; an existing Zarr folder is moved aside first."""
    for item, target in moves:
        if not target.is_dir():
            try:
                put_in_place(item, target)
            except PermissionError as error:
                if is_held(error):  # it may be written, and so may its folder: that was looked at
                    raise FormatError(
                        f"{target} cannot be written: another program has it open; close it there, "
                        "or give another name."
                    ) from error
                raise
            continue
        aside = item.with_name(f".old-{item.name}")
        patiently(functools.partial(os.rename, target, aside))
        try:
            patiently(functools.partial(os.rename, item, target))
        except OSError:
            os.rename(aside, target)
            raise


def _flush(item: Path) -> None:
    """Make sure that what was written is on the disk: only now does a full one say so, maybe."""
    files = [item] if item.is_file() else [p for p in item.rglob("*") if p.is_file()]
    for file in files:
        flush_file(file)
