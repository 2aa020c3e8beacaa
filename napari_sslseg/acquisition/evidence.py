"""What is known of each slice after a round: numbers per slice, so that ranking is instant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from ..volume.proposal import Proposal
from .content import Ends
from .influence import influence

Counts = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

#: Chance of being wrong by which a voxel of each region counts where there is no confidence:
#: the order of the observed error rates, UC < US < DC < DS.
REGION_WEIGHTS = (0.0, 0.0, 0.3, 0.7, 1.0)

#: Confidences from here on, of 255, count as certain: a rounding error in each voxel of a large
#: background would add up to more than an object.
CERTAIN = 250

_CHANCES = np.where(np.arange(256) < CERTAIN, 1 - np.arange(256) / 255, 0).astype(np.float32)


@dataclass(frozen=True)
class Evidence:
    """One volume, slice by slice.

    Parameters
    ----------
    regions : ndarray of int64, shape (Z, 5)
        Voxels of each MetaSSL region that are still open; column 0 is what has none.
    known : tuple of int
        Reference and accepted slices; never suggested.
    doubt : ndarray, shape (Z,), optional
        Expected number of wrong voxels: the sum of `chance_of_error` over the open voxels. Without
        it the regions are weighted by `REGION_WEIGHTS`.
    areas : ndarray of int64, shape (Z,), optional
        Voxels of the proposed object.
    descriptors : ndarray, shape (Z, D), optional
        What each slice looks like, for representativeness; see `content.look_at`.
    extent : tuple of (int or None)
        First and last slice in which the object can be seen, where someone has said so. What lies
        outside is known to be empty, has no errors and is never suggested.
    current : int, optional
        The slice in view; ties go to slices near it.
    ends : tuple of str
        Names of the volume's first and last end, empty where the orientation is not known.
    volume : str
        Which volume of a project.

    Raises
    ------
    ValueError
        When `doubt`, `areas` or `descriptors` have another number of slices than `regions`, or a
        known slice is none of them.
    """

    regions: Counts
    known: tuple[int, ...] = ()
    doubt: Reals | None = None
    areas: Counts | None = None
    descriptors: Reals | None = None
    extent: Ends = (None, None)
    current: int | None = None
    ends: tuple[str, str] = ("", "")
    volume: str = ""
    depth: int = field(init=False)

    def __post_init__(self) -> None:
        depth = len(self.regions)
        object.__setattr__(self, "depth", depth)
        for name in ("doubt", "areas", "descriptors"):
            values = getattr(self, name)
            if values is not None and len(values) != depth:
                raise ValueError(f"There are {depth} slices, but {name} of {len(values)}.")
        if any(not 0 <= z < depth for z in self.known):
            raise ValueError(f"A known slice lies outside of the {depth} slices.")

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Slices in the extent."""
        first, last = self.extent
        inside = np.ones(self.depth, dtype=bool)
        inside[: first or 0] = False
        inside[self.depth if last is None else last + 1 :] = False
        return inside

    @property
    def sources(self) -> tuple[int, ...]:
        """Slices that labels are carried from: the known ones, and the empty ones at the ends."""
        first, last = self.extent
        empty = [first - 1] if first is not None else []
        empty += [last + 1] if last is not None else []
        return tuple(sorted({*self.known, *(z for z in empty if 0 <= z < self.depth)}))

    def open_slices(self) -> npt.NDArray[np.intp]:
        """Slices that may be suggested, rising: those in the extent that are not known."""
        found = self.inside
        found[list(self.known)] = False
        return np.flatnonzero(found)

    def expected_errors(self) -> Reals:
        """Return the wrong voxels to expect in each slice; none in known ones, nor outside."""
        weights = np.asarray(REGION_WEIGHTS)
        errors = np.array(self.regions @ weights if self.doubt is None else self.doubt, dtype=float)
        errors[list(self.known)] = 0.0
        errors[~self.inside] = 0.0
        return np.asarray(errors, dtype=float)

    def after(self, index: int) -> Evidence:
        """Return what would be known, in expectation, if one more slice were.

        Parameters
        ----------
        index : int
            The slice that becomes known; in [0, depth).

        Returns
        -------
        Evidence
            Regions and doubt of each slice are reduced by the share that `influence` says; all else
            stays.

        Raises
        ------
        IndexError
            When there is no such slice.
        """
        left = 1 - influence(self.depth, self.sources)[index]
        return replace(
            self,
            regions=np.round(self.regions * left[:, None]).astype(np.int64),
            doubt=None if self.doubt is None else self.doubt * left,
            known=(*self.known, index),
        )

    def object_size(self) -> float:
        """Voxels of the proposed object, at least 1; without areas, of what was judged unsure."""
        if self.areas is not None:
            return max(float(self.areas.sum()), 1.0)
        return max(float(self.regions[:, 2:].sum()), 1.0)


def evidence_of(
    proposal: Proposal,
    axis: int,
    known: Iterable[int],
    *,
    descriptors: Reals | None = None,
    extent: Ends = (None, None),
    ends: tuple[str, str] = ("", ""),
    volume: str = "",
) -> Evidence:
    """Return what a proposal tells of each slice, for instance one that is not on the screen.

    What it proposes outside of the extent is no object, unless the slice is known.

    Parameters
    ----------
    proposal : Proposal
        Without any confidence above 0, its regions alone are weighed.
    axis : int
        Slicing axis.
    known : iterable of int
        Reference and accepted slices.
    descriptors, extent, ends, volume
        See `Evidence`.
    """
    judged = bool(proposal.confidence.any())
    areas = object_areas(proposal.classes, axis)
    found = Evidence(
        regions=count_regions(proposal.regions, axis),
        known=tuple(known),
        doubt=doubt_of_slices(proposal.confidence, axis) if judged else None,
        areas=areas,
        descriptors=descriptors,
        extent=extent,
        ends=ends,
        volume=volume,
    )
    empty = ~found.inside
    empty[list(found.known)] = False
    return replace(found, areas=np.where(empty, 0, areas)) if empty.any() else found


def count_regions(regions: npt.NDArray[np.uint8], axis: int) -> Counts:
    """Voxels of each region in each slice.

    Parameters
    ----------
    regions : ndarray of uint8
        Region codes (0 = none).
    axis : int
        Slicing axis.

    Returns
    -------
    ndarray of int64, shape (Z, 5)
        Column r counts region code r.
    """
    stack = np.moveaxis(regions, axis, 0)
    counts = np.zeros((stack.shape[0], 5), dtype=np.int64)
    for z in range(stack.shape[0]):
        counts[z] = np.bincount(stack[z].ravel(), minlength=5)[:5]
    return counts


def chance_of_error(confidence: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Turn confidences, 0..255 for 0..1, to the chance that a voxel is wrong; 0 from `CERTAIN` on.

    Their sum over some voxels is the number of wrong ones to expect among them.

    Parameters
    ----------
    confidence : ndarray of uint8, any shape

    Returns
    -------
    ndarray of float32, same shape
        In [0, 1].
    """
    return np.asarray(_CHANCES[confidence])


def doubt_of_slices(confidence: npt.NDArray[np.uint8], axis: int) -> Reals:
    """Return the expected number of wrong voxels in each slice.

    Parameters
    ----------
    confidence : ndarray of uint8, shape (*spatial)
        0..255 for 0..1.
    axis : int
        Slicing axis.

    Returns
    -------
    ndarray of float64, shape (Z,)
        Sums of `chance_of_error`.
    """
    stack = np.moveaxis(confidence, axis, 0)
    return np.array([chance_of_error(s).sum(dtype=float) for s in stack], dtype=float)


def object_areas(classes: npt.NDArray[np.uint8], axis: int) -> Counts:
    """Return the voxels of any class but the background in each slice.

    Parameters
    ----------
    classes : ndarray of uint8, shape (*spatial)
        0 is the background.
    axis : int
        Slicing axis; not negative.

    Returns
    -------
    ndarray of int64, shape (Z,)
    """
    other = tuple(i for i in range(classes.ndim) if i != axis)
    return np.asarray(np.count_nonzero(classes, axis=other), dtype=np.int64)
