"""What is read is never written over: an image, its data file, or the labels themselves.

A file may be more than its name says: the voxels of a detached header lie in files that it names,
a series of DICOM in those beside it, and some formats write a second file beside the first.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from ..volume.image import Volume
from .errors import FormatError
from .suffixes import READERS, SIDE_FILES


def written_files(target: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Return what is written under the name of a target: the file, and those that go beside it.

    By the name alone, the target itself first: ``a.mhd`` also writes ``a.zraw``.
    """
    path = Path(target)
    found = (side for suffix, side in SIDE_FILES.items() if path.name.lower().endswith(suffix))
    return (path, *(path.with_suffix(side) for side in found))


def files_of(source: str | os.PathLike[str] | Volume) -> tuple[Path, ...]:
    """Return the files that hold an image or labels.

    Parameters
    ----------
    source : path-like or Volume
        Of a path only the header is read, and of a folder the name is all that is returned; a
        volume knows every file that it was read from.

    Returns
    -------
    tuple of Path
        The path itself first. Data files that are missing are left out, and so are all of a header
        that cannot be read: reading it says why.
    """
    if isinstance(source, Volume):
        if not source.source:
            return ()
        named = map(Path, getattr(source.header, "paths", ()))
        return tuple(dict.fromkeys((*files_of(source.source), *named)))
    path = Path(source)
    suffix = next((s for s in READERS if path.name.lower().endswith(s)), "")
    if not suffix or not os.path.isfile(path):
        return (path,)
    module = importlib.import_module(f".{READERS[suffix]}", __package__)
    try:
        outside = module.data_files(path) if hasattr(module, "data_files") else ()
    except Exception:  # the libraries raise nearly anything on damaged files
        outside = ()
    return tuple(dict.fromkeys((path, *outside)))


def spare_inputs(
    targets: Sequence[Path], inputs: Iterable[str | os.PathLike[str] | Volume]
) -> None:
    """Refuse to write over what is read, or two results into one file.

    Parameters
    ----------
    targets : sequence of Path
        What is to be written; the files that go beside them are looked at as well.
    inputs : iterable of path-like or Volume
        What is read, see `files_of`.

    Raises
    ------
    FormatError
        Naming the file.
    """
    read = [file for source in inputs for file in files_of(source)]
    taken = {_identity(file) for file in read}
    results: set[Hashable] = set()
    for target in targets:
        if _identity(target) in results:
            raise _overwritten(target, target)
        results.add(_identity(target))
        for file in written_files(target):
            # A Zarr folder is replaced with all that is in it.
            folder = Path(os.path.realpath(file)) if os.path.isdir(file) else None
            inside = folder is not None and any(
                Path(os.path.realpath(path)).is_relative_to(folder) for path in read
            )
            if _identity(file) in taken or inside:
                raise _overwritten(target, file)


def spare_strangers(targets: Iterable[Path]) -> None:
    """Refuse to write over a file beside a target that cannot be the target's own.

    Where nobody is asked: the target is not there yet, so what bears the name of its data file
    belongs to something else, for instance to a header that was given another name.

    Parameters
    ----------
    targets : iterable of Path
        Without the files that go beside them, which are looked at.

    Raises
    ------
    FormatError
        Naming the file.
    """
    for target in targets:
        for side in written_files(target)[1:]:
            if os.path.exists(side) and not os.path.exists(target):
                raise FormatError(
                    f"{target} cannot be written: {side.name} beside it, which it would replace, "
                    "belongs to another file; choose another name for the result."
                )


def _identity(file: Path) -> Hashable:
    """Return the same for all names of one file, links and other spellings."""
    try:
        about = file.stat()
    except OSError:
        return Path(os.path.realpath(file))
    return about.st_dev, about.st_ino


def _overwritten(target: Path, file: Path) -> FormatError:
    if file == target:
        return FormatError(f"{file} would be overwritten; choose another name for the result.")
    return FormatError(
        f"{file} would be overwritten, as it goes beside {target.name}; choose another name for "
        "the result."
    )
