"""A change of some voxels of a label array, that can be applied and taken back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Change:
    """Values of some voxels before and after.

    Use `of_volume` or `of_slice`, not the constructor.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array that it belongs to.
    positions : ndarray of int
        Places in the array laid flat (C order), rising.
    old, new : ndarray of uint8
        Values there before and after.
    """

    shape: tuple[int, ...]
    positions: npt.NDArray[np.integer]
    old: Labels
    new: Labels

    @classmethod
    def of_volume(cls, before: Labels, after: Labels) -> Change:
        """Return what differs between two states of a whole array, which have one shape."""
        found = [np.empty(0, dtype=np.int64)]
        plane = int(np.prod(before.shape[1:]))
        # Slab by slab: a mask of everything, and its places, would need many times the memory.
        for z in range(before.shape[0]):
            here = np.flatnonzero(np.ravel(before[z] != after[z]))
            if here.size:
                found.append(here + z * plane)
        return cls._at(before.shape, np.concatenate(found), before, after)

    @classmethod
    def of_slice(
        cls, shape: tuple[int, ...], axis: int, index: int, before: Labels, after: Labels
    ) -> Change:
        """Return what differs between two states of one slice.

        Parameters
        ----------
        shape : tuple of int
            Shape of the array.
        axis, index : int
            Which slice of it.
        before, after : ndarray of uint8, shape (H, W)
        """
        here = before != after
        return cls(tuple(shape), slice_places(shape, axis, index, here), before[here], after[here])

    @classmethod
    def nothing(cls, shape: tuple[int, ...]) -> Change:
        """Return a change of no voxel."""
        none = np.empty(0, dtype=np.uint8)
        return cls(tuple(shape), np.empty(0, dtype=np.int64), none, none)

    @classmethod
    def _at(
        cls, shape: tuple[int, ...], flat: npt.NDArray[np.int64], before: Labels, after: Labels
    ) -> Change:
        old, new = np.take(before, flat), np.take(after, flat)
        return cls(tuple(shape), _narrow(flat, shape), old, new)

    def __len__(self) -> int:
        return int(self.positions.size)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.positions.nbytes + self.old.nbytes + self.new.nbytes)

    def fits(self, array: Labels) -> bool:
        """Whether an array still holds the old values, so that nothing else would be lost.

        False for another shape; ValueError, as of `apply`, for an array that is not in C order.
        """
        return array.shape == self.shape and np.array_equal(_flat(array)[self.positions], self.old)

    def apply(self, array: Labels) -> None:
        """Write the new values into an array of that shape, in place.

        Raises
        ------
        ValueError
            When it is not in C order: a copy would be changed instead.
        """
        _flat(array)[self.positions] = self.new

    def revert(self, array: Labels) -> None:
        """Write the old values back, in place; see `apply`."""
        _flat(array)[self.positions] = self.old


def slice_places(
    shape: tuple[int, ...], axis: int, index: int, where: npt.NDArray[np.bool_]
) -> npt.NDArray[np.integer]:
    """Return places of a slice in the array laid flat, rising.

    Parameters
    ----------
    shape : tuple of int
        Shape of the array.
    axis, index : int
        Which slice of it.
    where : ndarray of bool, shape (H, W)
        Which places of the slice.
    """
    rows, columns = np.nonzero(where)
    # Steps in the array laid flat, from one slice, row and column to the next. The first of
    # the axes that are left has the longer step, so the places rise.
    steps = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    along = steps.pop(axis)
    flat = np.asarray(rows * steps[0] + columns * steps[1] + index * along, dtype=np.int64)
    return _narrow(flat, shape)


def _narrow(flat: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.integer]:
    """Hold places in half the memory where the array is small enough."""
    return flat.astype(np.uint32) if np.prod(shape, dtype=float) < 2**32 else flat


def _flat(array: Labels) -> Labels:
    if not array.flags.c_contiguous:
        raise ValueError("Only arrays in C order can be changed in place.")
    return array.reshape(-1)
