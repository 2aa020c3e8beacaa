"""Regions that may overlap, each in the slices that it is outlined on, and labels made of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

#: Outlined slices in a row, on average, up to which a region counts as outlined here and there.
_STANDING_ALONE = 1.5

#: Slices without an outline between outlined ones that are rather left to do than without the
#: object.
_LEFT_TO_DO = 3


@dataclass(frozen=True)
class RegionSlice:
    """What of a region lies in one slice of a volume.

    Parameters
    ----------
    axis, index : int
        Which slice.
    box : tuple of two slices
        Part of the slice.
    mask : ndarray of bool
        Pixels of the region in that part; not empty.
    """

    axis: int
    index: int
    box: tuple[slice, slice]
    mask: NDArray[np.bool_]

    def within(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the view of the part of a volume that this is about."""
        view: NDArray[np.uint8] = np.moveaxis(labels, self.axis, 0)[self.index][self.box]
        return view


@dataclass(frozen=True)
class RegionMask:
    """A region on the grid of a volume.

    Parameters
    ----------
    name : str
    color : str
        ``#rrggbb``, or empty.
    is_body : bool
        Whether it is the outline of all of the patient.
    slices : tuple of RegionSlice
        By index, rising, along each axis; each slice once.
    """

    name: str
    color: str
    is_body: bool
    slices: tuple[RegionSlice, ...]

    @cached_property
    def voxels(self) -> int:
        """How many voxels it has."""
        return sum(int(np.count_nonzero(part.mask)) for part in self.slices)

    def indices(self, axis: int) -> tuple[int, ...]:
        """Return the slices along its axis that show it, or those that would along another one."""
        found: set[int] = set()
        for part in self.slices:
            if part.axis == axis:
                found.add(part.index)
            else:
                own = [a for a in range(3) if a != part.axis].index(axis)
                hit = np.flatnonzero(part.mask.any(axis=1 - own))
                found.update((hit + part.box[own].start).tolist())
        return tuple(sorted(found))

    def plane(self, axis: int, index: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return it in one slice, whole, of a volume of a shape."""
        own = next((p for p in self.slices if (p.axis, p.index) == (axis, index)), None)
        if own is not None:
            whole = np.zeros([length for a, length in enumerate(shape) if a != axis], bool)
            whole[own.box] = own.mask
            return whole
        volume = np.zeros(shape, np.uint8)  # of which the system makes pages where it is written
        for part in self.slices:
            part.within(volume)[part.mask] = 1
        return np.moveaxis(volume, axis, 0)[index] > 0

    def left_to_do(self) -> set[tuple[int, int]]:
        """Return slices (axis, index) between its own where nobody said that it is not there.

        Where a region ends and begins again further on, it has two parts. But where its slices
        stand alone, or only a few are left out, they were not looked at.
        """
        return {
            (axis, index)
            for axis in {part.axis for part in self.slices}
            for index in self._gaps(np.array([p.index for p in self.slices if p.axis == axis]))
        }

    @staticmethod
    def _gaps(own: NDArray[np.int_]) -> Iterator[int]:
        steps = np.diff(own)
        alone = len(own) <= _STANDING_ALONE * (1 + np.count_nonzero(steps > 1))
        for here, step in zip(own, steps, strict=False):
            if alone or step - 1 <= _LEFT_TO_DO:
                yield from range(int(here) + 1, int(here + step))


@dataclass(frozen=True)
class Regions:
    """Regions on the grid of one volume.

    Parameters
    ----------
    masks : dict of int to RegionMask
        By class id.
    shape : tuple of three int
        Of the volume.
    remarks : tuple of str
        One sentence for each thing that the user ought to know of them.
    """

    masks: dict[int, RegionMask]
    shape: tuple[int, ...]
    remarks: tuple[str, ...]

    @property
    def axis(self) -> int:
        """Axis across most slices that regions are outlined on."""
        axes = [part.axis for mask in self.masks.values() for part in mask.slices]
        return int(np.bincount(axes).argmax())

    def labels(self, ids: Mapping[int, int]) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
        """Return labels made of them, and what is to be said of that.

        Slices on which a region is outlined are annotated, all others are not: there is 255, and
        so it is where a region was left to do. Where regions overlap, the smaller one goes before
        the larger.

        Parameters
        ----------
        ids : mapping of int to int
            Class of each region, by the ids of `masks`; those without one, or with 0, are left out.
        """
        chosen = [(ids[i], mask) for i, mask in self.masks.items() if ids.get(i, BACKGROUND) > 0]
        # Slice by slice in memory, which is filled so.
        axes = (self.axis, *(axis for axis in range(3) if axis != self.axis))
        labels = np.full([self.shape[axis] for axis in axes], NOT_ANNOTATED, np.uint8)
        labels = np.moveaxis(labels, 0, self.axis)
        shown = {(part.axis, part.index) for _, mask in chosen for part in mask.slices}
        for axis, index in shown:
            np.moveaxis(labels, axis, 0)[index] = BACKGROUND
        names = {class_id: mask.name for class_id, mask in reversed(chosen)}
        shared: Counter[tuple[str, str]] = Counter()
        for class_id, mask in sorted(chosen, key=lambda item: -item[1].voxels):
            for part in mask.slices:
                target = part.within(labels)
                before = np.bincount(target[part.mask])
                for other in np.flatnonzero(before):
                    if other not in (BACKGROUND, class_id):
                        shared[names[int(other)], mask.name] += int(before[other])
                target[part.mask] = class_id
        unsure = []
        for _, mask in chosen:
            left = mask.left_to_do() & shown
            for axis, index in left:
                plane = np.moveaxis(labels, axis, 0)[index]
                plane[plane == BACKGROUND] = NOT_ANNOTATED
            unsure += [mask.name] if left else []
        return labels, (*_of_overlaps(shared), *_of_gaps(unsure))


def listed(names: list[str], most: int = 3) -> str:
    """Return names in a row, as “A, B and 2 more”."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _of_overlaps(shared: Counter[tuple[str, str]]) -> Iterator[str]:
    if shared:
        pairs = listed([f"{large} with {small}" for (large, small), _ in shared.most_common()], 2)
        yield (
            f"Regions overlap ({pairs}), but a voxel has one class: what they share went to the "
            "smaller one."
        )


def _of_gaps(names: list[str]) -> Iterator[str]:
    if names:
        yield (
            f"{listed(names)} {'is' if len(names) == 1 else 'are'} not outlined on some slices in "
            "between, so what has no label there is unknown."
        )
