"""How far the knowledge of one slice reaches: what a correction there mends elsewhere.

Labels are carried to a slice from the known slices on both sides of it, so a newly known slice
changes what lies between its two known neighbours and nothing beyond. The farther a slice is from
both sides, the more errors it has: they are taken to grow with the cube of its *reach*,
a b / (a + b) for distances a and b to the two known neighbours (a alone beyond the outermost known
slice). A new known slice shortens the reach of all slices of its gap.

Measured one step ahead, on random placements, errors fall less steeply than that. But slices are
picked one after the other, and a pick that shortens a wide gap also prepares the next ones: with
the cube, fewer picks were needed to make a volume right than with the law of one step.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]

#: Growth of the errors with the reach.
GROWTH = 3.0


def distance_to_known(depth: int, known: Iterable[int]) -> Reals:
    """Return the distance of each slice to the nearest known one.

    Parameters
    ----------
    depth : int
        Number of slices.
    known : iterable of int
        Known slices, in any order.

    Returns
    -------
    ndarray of float64, shape (depth,)
        In slices; `depth` everywhere where none is known.
    """
    places = np.asarray(sorted(set(known)), dtype=float)
    if not places.size:
        return np.full(depth, float(depth))
    return np.asarray(np.abs(np.arange(depth)[:, None] - places[None]).min(axis=1), dtype=float)


def influence(depth: int, known: Iterable[int]) -> Reals:
    """Share of the errors of each slice that knowing another slice would mend.

    Parameters
    ----------
    depth : int
        Number of slices.
    known : iterable of int
        Slices known so far.

    Returns
    -------
    ndarray, shape (depth, depth)
        Row: the slice that becomes known; column: the slice with the errors. 1 on the diagonal,
        0 across a known slice and in known slices.
    """
    places = np.asarray(sorted(set(known)), dtype=int)
    slices = np.arange(depth)
    # Distances to the known neighbours below and above; infinite where there is none.
    below, above = np.full(depth, np.inf), np.full(depth, np.inf)
    before, after = (np.searchsorted(places, slices, side=side) for side in ("left", "right"))
    has_below, has_above = after > 0, before < len(places)
    below[has_below] = slices[has_below] - places[after[has_below] - 1]
    above[has_above] = places[before[has_above]] - slices[has_above]
    apart = np.abs(slices[:, None] - slices[None]).astype(float)
    from_below = slices[:, None] <= slices[None]  # the new slice lies below the one with errors
    new = _reach(np.where(from_below, apart, below[None]), np.where(from_below, above[None], apart))
    old = _reach(below, above)
    with np.errstate(divide="ignore", invalid="ignore"):
        remains = np.where(np.isinf(old)[None], new / depth, new / old[None])
    # A known slice has no reach, nothing of nothing remains; across one, reaches are not shortened.
    share = 1 - np.clip(np.nan_to_num(remains, nan=1.0), 0.0, 1.0) ** GROWTH
    return np.asarray(share, dtype=float)


def _reach(below: Reals, above: Reals) -> Reals:
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / (1.0 / below + 1.0 / above), dtype=float)
