"""Where the object lies along the slicing axis, as the user says: its first and its last slice.

What the user says is a fact and no ink: slices before the first and after the last are background,
and nothing is proposed there. Ink stands above it: a slice in which ink shows the object is never
outside, whatever was said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .annotation import NOT_ANNOTATED, Corrections, Ink
from .stored_ink import StoredInk


@dataclass(frozen=True)
class Extent:
    """First and last slice of the object along one axis.

    Parameters
    ----------
    first, last : int, optional
        None where nothing was said of that end.

    Raises
    ------
    ValueError
        When they are no whole numbers from 0, or the object would end before it begins.
    """

    first: int | None = None
    last: int | None = None

    def __post_init__(self) -> None:
        for name in ("first", "last"):
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise ValueError(
                    f"The {name} slice of the object must be a whole number from 0, not {value!r}."
                )
            object.__setattr__(self, name, int(value))
        if self.first is not None and self.last is not None and self.first > self.last:
            raise ValueError(
                f"The object cannot begin in slice {self.first} and end before it, in slice "
                f"{self.last}; give the first slice, then the last."
            )

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return self.first is not None or self.last is not None

    def within(self, depth: int) -> Extent:
        """Return it as it is, for a volume of `depth` slices along its axis.

        Raises
        ------
        ValueError
            When it names a slice that the volume does not have.
        """
        for value in (self.first, self.last):
            if value is not None and value >= depth:
                raise ValueError(
                    f"There is no slice {value}: along this axis they go from 0 to {depth - 1}."
                )
        return self

    def may_begin(self, index: int) -> bool:
        """Whether it makes sense, and is new, that the object begins in a slice (from 0)."""
        return index != self.first and (self.last is None or index <= self.last)

    def may_end(self, index: int) -> bool:
        """Whether it makes sense, and is new, that the object ends in a slice (from 0)."""
        return index != self.last and (self.first is None or index >= self.first)

    @property
    def ends(self) -> tuple[int | None, int | None]:
        """First and last slice."""
        return self.first, self.last

    def outside(self, objects: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Slices that are background because the user says so.

        Parameters
        ----------
        objects : ndarray of bool, shape (Z,)
            Slices in which ink shows the object; they never are outside.

        Returns
        -------
        ndarray of bool, shape (Z,)
        """
        slices = np.arange(len(objects))
        before = np.zeros(len(objects), dtype=bool) if self.first is None else slices < self.first
        after = np.zeros(len(objects), dtype=bool) if self.last is None else slices > self.last
        return np.asarray((before | after) & ~objects, dtype=bool)

    def describe(self) -> str:
        """Say it in words, to follow "Object: "."""
        if self.first is not None and self.last is not None:
            if self.first == self.last:
                return f"slice {self.first} alone"
            return f"slices {self.first} to {self.last}"
        if self.first is not None:
            return f"from slice {self.first} on"
        if self.last is not None:
            return f"up to slice {self.last}"
        return "in any slice"


def object_slices(ink: Ink | Corrections | StoredInk, axis: int) -> npt.NDArray[np.bool_]:
    """Slices along an axis in which ink (255 = none) shows any class but 0.

    Parameters
    ----------
    ink : ndarray of uint8, or ink made slice by slice; shape (Z, Y, X)
    axis : int
        Counted from 0.

    Returns
    -------
    ndarray of bool, shape (ink.shape[axis],)
    """
    found = np.zeros(ink.shape[axis], dtype=bool)
    # Slab by slab, as the array lies in memory: a mask of all voxels would take as much.
    for index in range(ink.shape[0]):
        slab = ink[index]
        if slab is None:
            continue
        shown = (slab != 0) & (slab != NOT_ANNOTATED)
        if axis == 0:
            found[index] = shown.any()
        else:
            found |= shown.any(axis=tuple(i for i in range(shown.ndim) if i != axis - 1))
    return found


def extents_to_json(extents: dict[int, Extent]) -> dict[str, list[int | None]]:
    """Turn extents by axis to JSON values, ``{"0": [first, last]}``, without the blank ones."""
    return {str(axis): list(extent.ends) for axis, extent in sorted(extents.items()) if extent}


def extents_from_json(data: Any, shape: Iterable[int]) -> dict[int, Extent]:
    """Read what `extents_to_json` wrote.

    Parameters
    ----------
    data : JSON value
    shape : iterable of int
        Of the volume.

    Returns
    -------
    dict of int to Extent
        By axis.

    Raises
    ------
    ValueError
        When it says what cannot be; the message is one sentence.
    """
    lengths = list(shape)
    if not isinstance(data, dict):
        raise ValueError("what is said of where the object lies cannot be read")
    found = {}
    for key, ends in data.items():
        if key not in [str(axis) for axis in range(len(lengths))]:
            raise ValueError(f"the object is said to lie along an axis {key!r} that is not there")
        if not isinstance(ends, list) or len(ends) != 2:
            raise ValueError("where the object lies needs a first and a last slice")
        found[int(key)] = Extent(*ends).within(lengths[int(key)])
    return found
