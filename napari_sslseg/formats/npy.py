"""Plain NumPy arrays: no geometry, voxels of one pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..volume.geometry import Geometry
from ..volume.image import Volume
from .errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "a NumPy array"


def read(path: Path) -> Volume:
    """Read an array of two or three axes, or of three and channels, memory-mapped."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not 2 <= array.ndim <= 4:
        raise FormatError(f"{path} has {array.ndim} axes; save an array of two or three.")
    shape = array.shape[:3]
    return Volume(array, Geometry.from_spacing((1.0,) * len(shape), shape, units="pixel"))


def write_labels(path: Path, labels: NDArray[np.uint8], like: Volume) -> None:
    """Write the bare array; the format cannot hold a geometry."""
    np.save(path, np.ascontiguousarray(labels), allow_pickle=False)
