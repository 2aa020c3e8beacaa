"""Writing a mask of class ids to one file, with the geometry of an image."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from .atomic import writing
from .errors import FormatError
from .sparing import spare_inputs
from .suffixes import WRITERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..volume.classes import ClassTable
    from ..volume.image import Volume


#: Values of a mask; no image has so few. One that is opened as labels has no more classes, either.
_MOST_CLASSES = 64


class LabelFormat(Protocol):
    """What a module offers that writes labels."""

    NAME: str

    def write_labels(self, path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
        """Write labels that fit the spatial shape of `like`.

        Parameters
        ----------
        path : Path
            Not there yet; its folder is.
        labels : ndarray of uint8
            Class ids in the file order of `like`.
        like : Volume
            Gives the geometry and, of a file of the same family, the header.
        """
        ...


def writable_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all files that `write_labels` can write."""
    return tuple(WRITERS)


def written_suffix(path: str | os.PathLike[str]) -> str:
    """Return the suffix by which `write_labels` chooses a format, lower case, or an empty one."""
    name = Path(path).name.lower()
    return next((suffix for suffix in WRITERS if name.endswith(suffix)), "")


def write_labels(
    path: str | os.PathLike[str],
    labels: NDArray[Any],
    like: Volume,
    classes: ClassTable | None = None,
) -> None:
    """Write a mask with the geometry of an image, which it never replaces.

    If the target is of the same family as the file `like` came from, its geometry header is
    copied bit for bit; else the geometry is carried over as far as the target can hold it (see
    `losses`). Voxel ``[a, b, c]`` stays voxel ``[a, b, c]``, but in TIFF and OME-Zarr, which know
    no directions and hold an oriented image in display order. An existing file is replaced at
    once: a reader sees either the old or the new file. Where `like` is a mask itself, that may be
    its own file: labels are saved back to where they came from.

    Parameters
    ----------
    path : path-like
        Target; its suffix chooses the format.
    labels : ndarray, spatial shape of `like`
        Class ids 0..255 in the file order of `like`.
    like : Volume
        Image or mask whose geometry the file gets.
    classes : ClassTable, optional
        Names and colours, for formats that hold them.

    Raises
    ------
    FormatError
        If the labels do not fit `like`, are no class ids, the target is a file that `like` was
        read from, or it cannot be written.
    """
    suffix = written_suffix(path)
    if not suffix:
        raise FormatError(
            f"{os.path.abspath(path)} cannot be written: its suffix is none of "
            f"{', '.join(WRITERS)}; name it accordingly."
        )
    values = checked_labels(path, labels, like)
    try:
        spare_inputs([Path(path)], [like])
    except FormatError:
        if not _is_mask(like.array):
            raise
    module = _module(suffix)
    with writing(path, module.NAME) as temporary:
        if classes is not None and hasattr(module, "write_named_labels"):
            module.write_named_labels(temporary, values, like, classes)
        else:
            module.write_labels(temporary, values, like)


def _is_mask(array: Any) -> bool:
    """Whether an array holds class ids, and few of them, as no image does."""
    try:
        return len(np.unique(as_labels(np.asarray(array)))) <= _MOST_CLASSES
    except ValueError:
        return False


def checked_labels(
    path: str | os.PathLike[str], labels: NDArray[Any], like: Volume
) -> NDArray[np.uint8]:
    """Return labels as uint8.

    Parameters
    ----------
    path : path-like
        For messages.
    labels : ndarray
        Of any type that can hold class ids.
    like : Volume
        Whose spatial shape they must have.

    Raises
    ------
    FormatError
        If they do not fit `like`, or are no class ids.
    """
    file = os.path.abspath(path)
    if tuple(labels.shape) != like.geometry.shape:
        raise FormatError(
            f"{file} cannot be written: the labels have the shape {tuple(labels.shape)}, "
            f"the image has {like.geometry.shape}."
        )
    try:
        return as_labels(labels)
    except ValueError as error:
        raise FormatError(f"{file} cannot be written as a mask: {error}.") from error


def as_labels(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return class ids as uint8.

    Parameters
    ----------
    array : ndarray
        Of any shape but an empty one.

    Returns
    -------
    ndarray of uint8
        `array` itself where it is that already.

    Raises
    ------
    ValueError
        Saying why they are none: not 0 to 255, or no whole numbers.
    """
    array = np.asarray(array)
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


def _module(suffix: str) -> LabelFormat:
    return cast("LabelFormat", importlib.import_module(f".{WRITERS[suffix]}", __package__))
