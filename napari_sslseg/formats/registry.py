"""Which format a file is in, and reading and writing through it.

Every array is in the order of its file: NIfTI, NRRD and MetaImage in (i, j, k) as nibabel has it,
TIFF in (page, row, column). Channels, if any, are the last axis.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ..volume.image import Volume

#: Suffix (lower case) -> module of this package. A longer suffix goes before a shorter one.
_MODULES = {
    ".nii.gz": "nifti",
    ".nii": "nifti",
    ".nrrd": "simpleitk",
    ".nhdr": "simpleitk",
    ".mha": "simpleitk",
    ".mhd": "simpleitk",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".npy": "npy",
}


class Format(Protocol):
    """What a module of a format family offers."""

    NAME: str

    def read(self, path: Path) -> Volume:
        """Read an existing file; any exception counts as an unreadable file."""
        ...

    def write_labels(self, path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
        """Write labels that fit the spatial shape of `like`."""
        ...


def suffixes() -> tuple[str, ...]:
    """Return the suffixes of all files that can be read and written."""
    return tuple(_MODULES)


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the known suffix of a path, lower case, or an empty string."""
    name = Path(path).name.lower()
    return next((suffix for suffix in _MODULES if name.endswith(suffix)), "")


def stem(path: str | os.PathLike[str]) -> str:
    """Return the name of a file without its folder and its known suffix."""
    name = Path(path).name
    suffix = suffix_of(path)
    return name[: -len(suffix)] if suffix else Path(name).stem


def read(path: str | os.PathLike[str]) -> Volume:
    """Read an image.

    Parameters
    ----------
    path : path-like
        A ``.nii``, ``.nii.gz``, ``.nrrd``, ``.nhdr``, ``.mha``, ``.mhd``, ``.tif``, ``.tiff`` or
        ``.npy`` file.

    Returns
    -------
    Volume
        The array in file order and native byte order, memory-mapped and read-only where the file
        allows it.

    Raises
    ------
    FormatError
        If the file is missing, unreadable, of an unknown kind, or holds something else than two-
        or three-dimensional finite real values, perhaps with channels.
    """
    file = Path(os.path.abspath(path))
    module = _format_of(file, "read")
    if not file.exists():
        raise FormatError(f"{file} does not exist; check the path.")
    if not file.is_file():
        raise FormatError(f"{file} is not a file; give the path of an image file.")
    try:
        if file.stat().st_size == 0:
            raise FormatError(f"{file} is empty (0 bytes); copy or export it again.")
        volume = module.read(file)
    except FormatError:
        raise
    except PermissionError as error:
        raise FormatError(f"{file} may not be read; change its permissions.") from error
    except MemoryError as error:
        raise FormatError(
            f"{file} does not fit into memory; crop it, or save it uncompressed so that it can be "
            "read from disk piece by piece."
        ) from error
    except Exception as error:  # the libraries raise nearly anything on damaged files
        raise FormatError(
            f"{file} cannot be read as {module.NAME}: it is damaged, incomplete or of another "
            "kind; copy or export it again."
        ) from error
    array = volume.array
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    volume = replace(volume, array=array, source=str(file), name=stem(file))
    try:
        return volume.validate()
    except ValueError as error:
        raise FormatError(f"{file} is not usable: {error}; correct the file first.") from error


def read_labels(path: str | os.PathLike[str]) -> Volume:
    """Read a mask of class ids.

    Parameters
    ----------
    path : path-like
        A file that `read` can read.

    Returns
    -------
    Volume
        Labels as uint8: 0 is the background, 255 a voxel that is not annotated. Whole numbers
        that the file stores as floats are accepted.

    Raises
    ------
    FormatError
        As `read`; and if the file has channels, or values that are no whole numbers in 0..255.
    """
    volume = read(path)
    if volume.has_channel_axis:
        raise FormatError(
            f"{volume.source} has {volume.channels} channels; a mask has one class id a voxel."
        )
    try:
        return replace(volume, array=_as_labels(volume.array))
    except ValueError as error:
        raise FormatError(f"{volume.source} is not a mask: {error}.") from error


def write_labels(path: str | os.PathLike[str], labels: NDArray[Any], like: Volume) -> None:
    """Write a mask with the geometry of an image.

    If the target is of the same family as the file `like` came from, its geometry header is
    copied bit for bit; else the geometry is carried over as far as the target can hold it, voxel
    ``[a, b, c]`` staying voxel ``[a, b, c]``. An existing file is replaced at once: a reader sees
    either the old or the new file.

    Parameters
    ----------
    path : path-like
        Target; its suffix chooses the format.
    labels : ndarray, spatial shape of `like`
        Class ids 0..255 in the file order of `like`.
    like : Volume
        Image or mask whose geometry the file gets.

    Raises
    ------
    FormatError
        If the labels do not fit `like`, are no class ids, or the file cannot be written.
    """
    file = Path(os.path.abspath(path))
    module = _format_of(file, "write")
    if tuple(labels.shape) != like.geometry.shape:
        raise FormatError(
            f"{file} cannot be written: the labels have the shape {tuple(labels.shape)}, "
            f"the image has {like.geometry.shape}."
        )
    try:
        values = _as_labels(labels)
    except ValueError as error:
        raise FormatError(f"{file} cannot be written as a mask: {error}.") from error
    if not file.parent.is_dir():
        raise FormatError(
            f"{file} cannot be written: the folder {file.parent} does not exist; create it first."
        )
    if file.is_dir():
        raise FormatError(f"{file} cannot be written: it is a folder; give another name.")
    try:
        with _atomic(file) as temporary:
            module.write_labels(temporary, values, like)
    except FormatError:
        raise
    except OSError as error:
        reason = error.strerror or "the disk refused"
        raise FormatError(f"{file} cannot be written: {reason}; choose another place.") from error
    except Exception as error:
        raise FormatError(
            f"{file} cannot be written as {module.NAME}; choose another format."
        ) from error


def _format_of(file: Path, verb: str) -> Format:
    suffix = suffix_of(file)
    if not suffix:
        raise FormatError(
            f"{file} cannot be {'read' if verb == 'read' else 'written'}: its suffix is none of "
            f"{', '.join(_MODULES)}; convert it or name it accordingly."
        )
    return cast("Format", importlib.import_module(f".{_MODULES[suffix]}", __package__))


def _as_labels(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return class ids as uint8, or raise ValueError saying why they are none."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "buif":
        raise ValueError(f"its values are of type {array.dtype}, not class ids")
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("some values are not finite (NaN or infinite)")
    if low < 0 or high > 255:
        raise ValueError(
            f"its values go from {low:g} to {high:g}, but class ids are 0 to 254, "
            "and 255 stands for not annotated"
        )
    labels = array.astype(np.uint8)
    if array.dtype.kind == "f" and not np.array_equal(labels, array):
        raise ValueError("some values are not whole numbers, so they are no class ids")
    return labels


@contextlib.contextmanager
def _atomic(file: Path) -> Iterator[Path]:
    """Give a path of the same name in a new folder beside `file`; move what it gets into place.

    A folder, because the libraries choose the format by the name, and some formats are a header
    and a data file beside it. The header, which is `file`, is moved last.
    """
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=file.parent))
    try:
        temporary = folder / file.name
        yield temporary
        for written in sorted(folder.iterdir(), key=lambda item: item == temporary):
            with open(written, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(written, file.parent / written.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
