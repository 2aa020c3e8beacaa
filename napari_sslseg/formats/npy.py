"""Plain NumPy arrays: no geometry, voxels of one pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..volume.geometry import Geometry
from ..volume.image import Volume
from .errors import FormatError
from .fourth_axis import MOST_CHANNELS, channels_or_one, refuse_choice, remark_on_channels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "a NumPy array"


def read(path: Path, part: str | None = None) -> Volume:
    """Read an array of two or three axes, or of three and channels, memory-mapped.

    The last of four axes is taken for channels if it is short, else the first one for time.

    Parameters
    ----------
    path : Path
    part : str, optional
        As of `channels_or_one`.

    Returns
    -------
    Volume
        Array as stored; voxels of one pixel in no known direction.

    Raises
    ------
    SeveralVolumesError
        If the user has to choose one.
    FormatError
        If it has other axes, or `part` is none of the volumes.
    ValueError, OSError
        If it is no array, or cut off.
    """
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not 2 <= array.ndim <= 4:
        raise FormatError(f"{path} has {array.ndim} axes; save an array of two or three.")
    chosen = ""
    if array.ndim == 4:
        last = array.shape[3] <= MOST_CHANNELS
        array, chosen = channels_or_one(path, array, 3 if last else 0, part)
    else:
        refuse_choice(path, part)
    shape = array.shape[:3]
    geometry = Geometry.from_spacing((1.0,) * len(shape), shape, units="pixel")
    return Volume(array, geometry, part=chosen, warnings=remark_on_channels(array, chosen))


def write_labels(path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
    """Write the bare array; the format cannot hold a geometry, and `like` is not looked at."""
    np.save(path, np.ascontiguousarray(labels), allow_pickle=False)
