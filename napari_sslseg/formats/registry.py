"""Which format a file or folder is in, and reading through it.

Every array is in the order of its file: NIfTI, NRRD, MetaImage and DICOM in (i, j, k) as nibabel
and ITK have it, TIFF, pictures and OME-Zarr in (page, row, column). Channels, if any, are the last
axis.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np

from .dicom_opening import is_dicom, may_not_read
from .errors import FormatError
from .lazy import in_native_order
from .limits import is_small
from .suffixes import READERS
from .writing import as_labels

if TYPE_CHECKING:
    from ..volume.image import Volume

#: Files by which a folder is known to be a Zarr group.
_ZARR = ("zarr.json", ".zgroup", ".zattrs")


class Format(Protocol):
    """What a module of a format family offers."""

    NAME: str

    def read(self, path: Path, part: str | None = None) -> Volume:
        """Read an existing file or folder; any exception counts as an unreadable file.

        Parameters
        ----------
        path : Path
        part : str, optional
            Which volume, where there are several: the ``key`` of a `Choice`.

        Returns
        -------
        Volume
            Array in file order, in any byte order; source and name may be left empty.
        """
        ...


def suffixes() -> tuple[str, ...]:
    """Return the suffixes of all files that can be read."""
    return tuple(READERS)


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the known suffix of a path, lower case and with its dot, or an empty string."""
    name = Path(path).name.lower()
    return next((suffix for suffix in READERS if name.endswith(suffix)), "")


def stem(path: str | os.PathLike[str]) -> str:
    """Return the name of a file without its folder and its known suffix, or else its last one."""
    name = Path(path).name
    suffix = suffix_of(path)
    return name[: -len(suffix)] if suffix else Path(name).stem


def can_read(path: str | os.PathLike[str]) -> bool:
    """Whether `read` knows what to do with a file or folder, by its name or its first bytes.

    A file whose name has a known suffix need not be there.
    """
    file = Path(os.path.abspath(path))
    if os.path.isdir(file):
        try:
            return bool(_format_of_folder(file))
        except (FormatError, OSError):
            return False
    return bool(suffix_of(file)) or file.name.upper() == "DICOMDIR" or is_dicom(file)


def read(path: str | os.PathLike[str], part: str | None = None) -> Volume:
    """Read an image.

    Parameters
    ----------
    path : path-like
        A file whose suffix is one of `suffixes`, a DICOM file of any name, a folder of DICOM files
        or of numbered pictures, or an OME-Zarr folder.
    part : str, optional
        Which volume, where the file or folder holds several: the ``key`` of a `Choice`.

    Returns
    -------
    Volume
        The array in file order and native byte order, memory-mapped and read-only where the file
        allows it, a dask array where it is large and has to be decoded.

    Raises
    ------
    SeveralVolumesError
        If there are several volumes and `part` chooses none; it lists them.
    FormatError
        If the file is missing, unreadable, of an unknown kind, or holds something else than two-
        or three-dimensional real values, perhaps with channels, or none that is finite.
    """
    volume = _read(path, part, "read")
    missing = volume.voxels_without_number
    if not missing:
        return volume
    bright = volume.count_infinite()
    although = f", although +infinity ({bright} of them) is drawn brightest" if bright else ""
    remark = (
        f"{missing} of {volume.array.size} values are not finite (NaN or infinite); they count as "
        f"the lowest value of the image{although}."
    )
    return replace(volume, warnings=(*volume.warnings, remark))


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return the name of the format that a file or folder is read as: ``"NIfTI"``.

    Raises
    ------
    FormatError
        If it is missing, may not be read, or is of an unknown kind.
    """
    return _format_of(Path(os.path.abspath(path))).NAME


def _read(path: str | os.PathLike[str], part: str | None, how: str) -> Volume:
    file = Path(os.path.abspath(path))
    try:
        module = _format_of(file)
    except PermissionError as error:  # of a folder on the way
        raise FormatError(f"{file} may not be read; change its permissions.") from error
    except OSError as error:  # such as a name that is too long
        reason = error.strerror or "the system refuses it"
        raise FormatError(f"{file} cannot be opened: {reason}; check the path.") from error
    try:
        if file.is_file() and file.stat().st_size == 0:
            raise FormatError(f"{file} is empty (0 bytes); copy or export it again.")
        volume: Volume = getattr(module, how, module.read)(file, part)
    except FormatError:
        raise
    except PermissionError as error:
        raise FormatError(f"{file} may not be read; change its permissions.") from error
    except MemoryError as error:
        if is_small(file):
            raise _damaged(file, module) from error
        raise FormatError(
            f"{file} does not fit into memory; crop it, or save it uncompressed so that it can be "
            "read from disk piece by piece."
        ) from error
    except Exception as error:  # the libraries raise nearly anything on damaged files
        raise _damaged(file, module) from error
    array = volume.array
    if not array.dtype.isnative:
        array = in_native_order(str(file), array)
    name = f"{stem(file)} [{volume.part}]" if volume.part else stem(file)
    volume = replace(
        volume, array=array, source=volume.source or str(file), name=volume.name or name
    )
    try:
        return volume.validate()
    except ValueError as error:
        raise FormatError(f"{file} is not usable: {error}; correct the file first.") from error


def read_labels(path: str | os.PathLike[str], part: str | None = None) -> Volume:
    """Read a mask of class ids.

    Parameters
    ----------
    path : path-like
        What `read` can read.
    part : str, optional
        As for `read`.

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
    volume = _read(path, part, "read_labels")
    if volume.has_channel_axis:
        raise FormatError(
            f"{volume.source} has {volume.channels} channels; a mask has one class id a voxel."
        )
    try:
        array = np.asarray(volume.array) if volume.is_lazy else volume.array
        return replace(volume, array=as_labels(array), levels=())
    except ValueError as error:
        raise FormatError(f"{volume.source} is not a mask: {error}.") from error


def _format_of(file: Path) -> Format:
    suffix = suffix_of(file)
    if not file.exists():
        raise FormatError(f"{file} does not exist; check the path.")
    name = _format_of_folder(file) if file.is_dir() else READERS.get(suffix, "")
    if not name and (file.name.upper() == "DICOMDIR" or is_dicom(file)):
        name = "dicom"
    if not name and may_not_read(file):
        raise FormatError(f"{file} may not be read; change its permissions.")
    if not name:
        raise _unknown(file)
    return cast("Format", importlib.import_module(f".{name}", __package__))


def _format_of_folder(folder: Path) -> str:
    if any((folder / name).exists() for name in _ZARR):
        return "ome_zarr"
    from . import dicom, pictures

    try:
        if dicom.holds_dicom(folder):
            return "dicom"
        if pictures.stack_files(folder):
            return "pictures"
        if dicom.holds_dicom(folder, forbidden=True):
            return "dicom"  # which says what may not be read
    except PermissionError as error:
        raise FormatError(f"{folder} may not be read; change its permissions.") from error
    raise FormatError(
        f"{folder} is a folder without an image: it holds no DICOM files, no numbered pictures and "
        "no OME-Zarr; give the path of an image file."
    )


def _damaged(file: Path, module: Format) -> FormatError:
    return FormatError(
        f"{file} cannot be read as {module.NAME}: it is damaged, incomplete or of another kind; "
        "copy or export it again."
    )


def _unknown(file: Path) -> FormatError:
    return FormatError(
        f"{file} cannot be read: it is no DICOM file, and its suffix is none of "
        f"{', '.join(READERS)}; convert it or name it accordingly."
    )
