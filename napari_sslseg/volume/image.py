"""An image volume as read from a file or a viewer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from .geometry import Geometry

#: Voxels looked at in one piece when a float array, perhaps memory-mapped, is checked.
_CHUNK = 1 << 24


@dataclass(frozen=True, eq=False)
class Volume:
    """An array and where it lies.

    Parameters
    ----------
    array : ndarray, shape (*geometry.shape) or (*geometry.shape, C)
        Voxel values in the order of the file, perhaps memory-mapped and read-only, or a dask array
        that reads what is looked at. Channels, if there is more than one, are the last axis.
    geometry : Geometry
        Position and voxel size of the spatial axes.
    source : str, optional
        Path of the file the array came from.
    name : str
        A short name to show.
    header : object, optional
        What a file format keeps to write the same header back; opaque to everything else.
    part : str
        Which of the volumes in `source` this is; empty where there is one.
    modality : str
        Such as ``"CT"`` or ``"MR"``, where the file says it.
    window : tuple of two float, optional
        Grey values that the file asks to show as black and white.
    channel_names : tuple of str
        One name for each channel, or empty.
    channel_colors : tuple of str
        One colour for each channel, such as ``"#00ff00"``, ``""`` where none is said; or empty.
    axis_names : tuple of str
        Names of the spatial axes where one of them is none of space: ``("t", "y", "x")``, of planes
        one after another in time.
    levels : tuple of array
        The same image at falling resolutions, `array` first, each with the axes of `array`; empty
        where the file holds one resolution.
    warnings : tuple of str
        One sentence for each thing about the file that the user ought to know.
    """

    array: NDArray[Any]
    geometry: Geometry
    source: str | None = None
    name: str = ""
    header: object | None = None
    part: str = ""
    modality: str = ""
    window: tuple[float, float] | None = None
    channel_names: tuple[str, ...] = ()
    channel_colors: tuple[str, ...] = ()
    axis_names: tuple[str, ...] = ()
    levels: tuple[NDArray[Any], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """Number of channels; 1 if the array has no channel axis."""
        return 1 if self.array.ndim == self.geometry.ndim else int(self.array.shape[-1])

    @property
    def has_channel_axis(self) -> bool:
        """Whether the last axis of the array is the channel axis."""
        return self.array.ndim == self.geometry.ndim + 1

    @property
    def is_lazy(self) -> bool:
        """Whether voxels are read, and decoded, when they are looked at."""
        return not isinstance(self.array, np.ndarray)

    def validate(self) -> Volume:
        """Check the array against the geometry, and return the volume itself.

        The values of a lazy array are not looked at: that would read all of the file.

        Raises
        ------
        ValueError
            If the shapes disagree, the values are not real numbers, or none is finite.
        """
        n = self.geometry.ndim
        if self.array.ndim not in (n, n + 1) or self.array.shape[:n] != self.geometry.shape:
            raise ValueError(
                f"the array has the shape {self.array.shape}, not {self.geometry.shape} "
                "with or without a last axis of channels"
            )
        if self.array.size == 0:
            raise ValueError("the array is empty")
        if self.array.dtype.kind not in "buif":
            raise ValueError(f"the values are of type {self.array.dtype}, not real numbers")
        if not self.is_lazy and self.voxels_without_number == self.array.size:
            raise ValueError("no voxel holds a number (only NaN or infinite)")
        return self

    @cached_property
    def voxels_without_number(self) -> int:
        """How many values are NaN or infinite; 0 for a lazy array, which is not looked at."""
        if self.array.dtype.kind != "f" or self.is_lazy:
            return 0
        return self.array.size - _count(self.array, np.isfinite)

    def count_infinite(self) -> int:
        """Return how many values are +infinity; 0 for a lazy array, which is not looked at."""
        if not self.voxels_without_number:
            return 0
        return _count(self.array, np.isposinf)


def _count(array: NDArray[Any], which: Callable[..., Any]) -> int:
    """Count the values of an array for which a function of arrays is true."""
    # One pass in memory order and in pieces: a memory-mapped volume may exceed the memory.
    # Walk along the axis with the largest stride, so that each piece is contiguous on disk.
    axis = int(np.argmax(np.abs(array.strides)))
    moved = np.moveaxis(array, axis, 0)
    step = max(1, _CHUNK // max(1, moved[0].size))
    return sum(
        int(np.count_nonzero(which(moved[start : start + step])))
        for start in range(0, len(moved), step)
    )


def lowest_value(array: NDArray[Any]) -> float:
    """Return the lowest finite value of an array: what counts where there is no number; else 0."""
    if array.dtype.kind == "f":
        array = array[np.isfinite(array)]
    return float(array.min()) if array.size else 0.0
