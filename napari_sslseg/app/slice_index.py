"""What each slice holds along one axis, so that the panel need not look at the volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..volume.annotation import NOT_ANNOTATED, SliceState

_VALUES = 256


@dataclass
class SliceIndex:
    """State of every slice, and the values inked in it.

    Parameters
    ----------
    axis : int
        Slicing axis.
    states : ndarray of uint8, shape (Z,)
        Values of `SliceState`.
    present : ndarray of bool, shape (Z, 256)
        Whether a value of ink occurs in a slice.
    """

    axis: int
    states: npt.NDArray[np.uint8]
    present: npt.NDArray[np.bool_]

    def update(self, index: int, slice_ink: npt.NDArray[np.uint8]) -> None:
        """Look at one slice again."""
        counts = np.bincount(slice_ink.ravel(), minlength=_VALUES)
        self.present[index] = counts > 0
        open_voxels = int(counts[NOT_ANNOTATED])
        if open_voxels == slice_ink.size:
            self.states[index] = SliceState.EMPTY
        else:
            self.states[index] = SliceState.PARTIAL if open_voxels else SliceState.WHOLE

    def painted(self) -> npt.NDArray[np.int64]:
        """Values that are inked anywhere."""
        seen: npt.NDArray[np.bool_] = np.asarray(self.present.any(axis=0))
        seen[NOT_ANNOTATED] = False
        return np.flatnonzero(seen)

    def same_as(self, other: SliceIndex) -> bool:
        """Whether another index says the same."""
        return (
            self.axis == other.axis
            and np.array_equal(self.states, other.states)
            and np.array_equal(self.present, other.present)
        )


def index_slices(ink: npt.NDArray[np.uint8], axis: int) -> SliceIndex:
    """Look at a whole volume of ink; takes time for a large one, so use a thread.

    Parameters
    ----------
    ink : ndarray of uint8, shape (Z, Y, X)
    axis : int
        Slicing axis.
    """
    count = ink.shape[axis]
    stated = np.zeros(count, dtype=np.int64)
    present: npt.NDArray[np.bool_] = np.zeros((count, _VALUES), dtype=np.bool_)
    # Slab by slab of the first axis whatever the slicing axis: that is how the array lies in
    # memory, and along the others a slice would be gathered from all over it.
    for z in range(ink.shape[0]):
        slab = ink[z]
        if slab.min() == NOT_ANNOTATED:
            if axis == 0:
                present[z, NOT_ANNOTATED] = True
            else:
                present[:, NOT_ANNOTATED] = True
            continue
        counts = np.bincount(slab.ravel(), minlength=_VALUES)
        if axis == 0:
            present[z] = counts > 0
            stated[z] = slab.size - counts[NOT_ANNOTATED]
            continue
        for value in np.flatnonzero(counts):
            here = np.count_nonzero(slab == value, axis=2 - axis)
            present[:, value] |= here > 0
            if value != NOT_ANNOTATED:
                stated += here
    whole = ink.size // max(count, 1)
    states = np.where(stated == whole, SliceState.WHOLE, SliceState.PARTIAL)
    states = np.where(stated == 0, SliceState.EMPTY, states).astype(np.uint8)
    return SliceIndex(axis, states, present)
