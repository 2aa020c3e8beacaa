"""What labels that are about to be imported hold: each of them, and which way their slices lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .region_masks import Regions

    Bools = NDArray[np.bool_]

#: Slices that a list of them names before it says how many there are.
_LISTED = 4

#: Planes next to each other that may be single references all the same, on average.
_THIN = 1.5

#: By how much fewer planes must show labels along another axis for it to be the one meant.
_FEWER = 4


@dataclass(frozen=True)
class FoundLabel:
    """One label of a file.

    Parameters
    ----------
    value : int
    voxels : int
    slices : tuple of int
        In which it occurs, along the axis of the survey, rising.
    """

    value: int
    voxels: int
    slices: tuple[int, ...]

    def describe(self) -> str:
        """Return how much of it there is, in words."""
        voxels = "1 voxel" if self.voxels == 1 else f"{self.voxels} voxels"
        return f"{voxels} in {describe_slices(self.slices)}"


@dataclass(frozen=True)
class Survey:
    """What was found in labels.

    Parameters
    ----------
    labels : tuple of FoundLabel
        Classes, by value; neither background nor what is not annotated.
    axis : int
        Axis along which the labels are whole slices; the slicing axis where they are that too.
    planes : tuple of int
        Those slices, where that axis is another one.
    """

    labels: tuple[FoundLabel, ...]
    axis: int
    planes: tuple[int, ...] = ()


def survey(labels: NDArray[np.uint8], axis: int, turns: bool = True) -> Survey:
    """Look through labels of a volume; takes time for a large one.

    Parameters
    ----------
    labels : ndarray of uint8, shape (Z, Y, X)
    axis : int
        Slicing axis.
    turns : bool
        Whether the slices may lie along another axis.
    """
    voxels = np.zeros(256, dtype=np.int64)
    present = np.zeros((labels.shape[axis], 256), dtype=np.bool_)
    shown = [np.zeros(n, dtype=np.bool_) for n in labels.shape]
    stated = [np.zeros(n, dtype=np.int64) for n in labels.shape]
    for z, slab in enumerate(labels):  # as the array lies in memory, whatever the axis
        counts = np.bincount(slab.ravel(), minlength=256)
        voxels += counts
        classes = [int(v) for v in np.flatnonzero(counts) if BACKGROUND < v < NOT_ANNOTATED]
        for value in classes:
            where = slab == value
            for own in (0, 1):
                shown[own + 1] |= where.any(axis=1 - own)
            if axis:
                present[:, value] |= where.any(axis=2 - axis)
            else:
                present[z, value] = True
        shown[0][z] = bool(classes)
        said = slab != NOT_ANNOTATED
        stated[0][z] = np.count_nonzero(said)
        for own in (0, 1):
            stated[own + 1] += np.count_nonzero(said, axis=1 - own)
    found = tuple(
        FoundLabel(int(v), int(voxels[v]), tuple(int(z) for z in np.flatnonzero(present[:, v])))
        for v in np.flatnonzero(voxels)
        if BACKGROUND < v < NOT_ANNOTATED
    )
    if not turns:
        return Survey(found, axis)
    if voxels[NOT_ANNOTATED]:
        size = labels.size
        full = [own == size // n for own, n in zip(stated, labels.shape, strict=True)]
        along = _of_statements(full, axis)
        planes = full[along]
    else:
        along = _of_mask(shown, axis)
        planes = shown[along]
    if along == axis:
        return Survey(found, axis)
    told = tuple(int(z) for z in np.flatnonzero(planes))
    return Survey(survey(labels, along, False).labels, along, told)


def survey_regions(regions: Regions, axis: int, turns: bool = True) -> Survey:
    """Do as `survey` with regions that may overlap; a label is one of them by itself."""
    across = {part.axis for mask in regions.masks.values() for part in mask.slices}
    along = regions.axis if turns and axis not in across else axis
    found = tuple(
        FoundLabel(value, mask.voxels, mask.indices(along)) for value, mask in regions.masks.items()
    )
    if along == axis:
        return Survey(found, axis)
    planes = {index for label in found for index in label.slices}
    return Survey(found, along, tuple(sorted(planes)))


def describe_slices(slices: tuple[int, ...]) -> str:
    """Return how many slices there are, and which, as briefly as that can be said.

    Parameters
    ----------
    slices : tuple of int
        Rising.

    Examples
    --------
    >>> describe_slices((1, 2, 3, 7))
    '4 slices (1–3, 7)'
    """
    if not slices:
        return "no slice"
    rows = np.asarray(slices)
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    parts = [str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in runs]
    which = ", ".join(parts) if len(parts) <= _LISTED else f"{parts[0]}, {parts[1]} … {parts[-1]}"
    return f"{len(slices)} slice{'' if len(slices) == 1 else 's'} ({which})"


def _of_statements(full: list[Bools], axis: int) -> int:
    """Return the axis along which planes are wholly annotated, where the slicing axis has none."""
    if full[axis].any():
        return axis
    best = max(range(len(full)), key=lambda a: int(full[a].sum()))
    return best if full[best].any() else axis


def _of_mask(shown: list[Bools], axis: int) -> int:
    """Return the axis along which single planes show labels, where the slicing axis has many.

    A mask does not say what is annotated. But an object that was labelled on a few planes only is
    in all of the slices along another axis that cross it.
    """
    if _isolated(shown[axis]):
        return axis
    for other in sorted(range(len(shown)), key=lambda a: int(shown[a].sum())):
        few = _FEWER * int(shown[other].sum()) <= int(shown[axis].sum())
        if few and _isolated(shown[other]):
            return other
    return axis


def _isolated(shown: Bools) -> bool:
    """Whether planes that show labels stand alone."""
    count = int(shown.sum())
    begins = int(shown[0]) + int(np.count_nonzero(shown[1:] & ~shown[:-1]))
    return count == 0 or count <= _THIN * begins
