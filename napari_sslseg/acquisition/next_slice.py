"""Which slice to label or correct next.

Pace et al. (MICCAI 2015) showed that few whole slices chosen well beat many chosen evenly;
Stein et al. (2023) that slices through the middle of the organ help most. Before a proposal
exists the choice follows from position alone; afterwards from how much suspicious area a
correction would clear, and how far the slice is from any that is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: How much a voxel of a region counts: what the expected error rates order (UC < US < DC < DS).
REGION_WEIGHTS = {1: 0.0, 2: 0.3, 3: 0.7, 4: 1.0}


@dataclass(frozen=True)
class Suggestion:
    """A slice worth the user's time, with the reason in words."""

    index: int
    score: float
    reason: str


def count_regions(
    regions: npt.NDArray[np.uint8], axis: int, open_voxels: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int64]:
    """Voxels of each region in each slice.

    Parameters
    ----------
    regions : ndarray of uint8
        Region codes (0 = none).
    axis : int
        Slicing axis.
    open_voxels : ndarray of bool, optional
        Count only these (for example: not corrected and not inked).

    Returns
    -------
    ndarray of int64, shape (Z, 5)
        Column r counts region code r.
    """
    stack = np.moveaxis(regions, axis, 0)
    keep = None if open_voxels is None else np.moveaxis(open_voxels, axis, 0)
    counts = np.zeros((stack.shape[0], 5), dtype=np.int64)
    for z in range(stack.shape[0]):
        values = stack[z] if keep is None else stack[z][keep[z]]
        counts[z] = np.bincount(values.ravel(), minlength=5)[:5]
    return counts


def next_slice(
    counts: npt.NDArray[np.int64], done: Sequence[int], current: int | None = None
) -> Suggestion | None:
    """Suggest the slice whose correction would clear most doubt.

    Parameters
    ----------
    counts : ndarray, shape (Z, 5)
        From `count_regions`.
    done : sequence of int
        Reference and accepted slices; never suggested.
    current : int, optional
        The slice in view; ties go to slices near it.

    Returns
    -------
    Suggestion or None
        None when every slice is done.
    """
    total = counts.shape[0]
    todo = np.setdiff1d(np.arange(total), np.asarray(list(done), dtype=int))
    if todo.size == 0:
        return None
    weights = np.array([0.0] + [REGION_WEIGHTS[i] for i in (1, 2, 3, 4)])
    doubt = counts @ weights
    distance = _distance_to(done, total)
    # A correction spreads to the neighbours, so doubt near the slice counts too, fading over
    # the distance to the nearest known slice; a slice beside a known one teaches little.
    spread = np.array([_neighbourhood_mean(doubt, z, max(distance[z] / 2, 1.0)) for z in todo])
    score = (doubt[todo] + spread) * (1 - np.exp(-distance[todo] / 2.0))
    if not score.any():
        score = distance[todo] / max(distance.max(), 1.0) * 1e-6
    order = np.lexsort((abs(todo - (current if current is not None else 0)), -score))
    best = int(todo[order[0]])
    return Suggestion(best, float(score[order[0]]), _reason(counts[best], distance[best], done))


def first_slices(content: npt.NDArray[np.float64], wanted: int) -> list[int]:
    """Choose slices to label before any model exists.

    Parameters
    ----------
    content : ndarray, shape (Z,)
        How much image there is in each slice (for example its standard deviation).
    wanted : int
        Number of slices.

    Returns
    -------
    list of int
        Rising; equally spaced over the slices that show something, ends set in by half a step
        because the outermost slices of an organ teach least.
    """
    shown = np.flatnonzero(content > 0.1 * max(float(content.max()), 1e-12))
    low, high = (int(shown[0]), int(shown[-1])) if shown.size else (0, len(content) - 1)
    step = (high - low) / max(wanted, 1)
    return sorted({round(low + step * (i + 0.5)) for i in range(wanted)})


def _distance_to(done: Sequence[int], total: int) -> npt.NDArray[np.float64]:
    if not len(done):
        return np.full(total, float(total))
    gaps = np.abs(np.arange(total)[:, None] - np.asarray(list(done))[None, :])
    return np.asarray(gaps.min(axis=1), dtype=float)


def _neighbourhood_mean(values: npt.NDArray[np.float64], z: int, reach: float) -> float:
    offsets = np.arange(len(values)) - z
    weights = np.exp(-((offsets / reach) ** 2))
    weights[z] = 0
    return float((weights * values).sum() / max(weights.sum(), 1e-12))


def _reason(counts: npt.NDArray[np.int64], distance: float, done: Sequence[int]) -> str:
    judged = max(int(counts[1:].sum()), 1)
    disputed, unsure = int(counts[3] + counts[4]), int(counts[2])
    if disputed >= unsure and disputed:
        what = f"{disputed} voxels where the predictions disagree"
    elif unsure:
        what = f"{unsure} voxels that both predictions are unsure of"
    else:
        what = "little doubt"
    if not len(done):
        return what if judged > 1 else "nothing is labelled yet"
    plural = "slice" if distance == 1 else "slices"
    return f"{what}, {int(distance)} {plural} from the nearest known one"
