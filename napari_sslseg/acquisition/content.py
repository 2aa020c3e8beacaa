"""What the image alone tells of its slices, before anything is labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]

#: First and last slice of the object; None where nobody has said so.
Ends = tuple[int | None, int | None]

#: A slice is described by the mean intensity in each cell of a grid of so many rows and columns.
GRID = 12

#: Pixels looked at along each side of a slice; more would say the same.
_SIDE = 96


@dataclass(frozen=True)
class Content:
    """The slices of an image.

    Parameters
    ----------
    amount : ndarray, shape (Z,)
        How much there is to see: the standard deviation of the intensities.
    descriptors : ndarray, shape (Z, D)
        What each slice looks like, scaled so that the mean squared distance of two slices is 1.
    extent : tuple of (int or None)
        First and last slice in which the object can be seen, where someone has said so.
    """

    amount: Reals
    descriptors: Reals
    extent: Ends = (None, None)

    @property
    def depth(self) -> int:
        """Number of slices."""
        return len(self.amount)

    def shown(self) -> tuple[int, int]:
        """First and last slice worth labelling: the extent, else those that show something."""
        first, last = self.extent
        found = np.flatnonzero(self.amount > 0.1 * max(float(self.amount.max()), 1e-12))
        low, high = (int(found[0]), int(found[-1])) if found.size else (0, self.depth - 1)
        low = min(low, last if last is not None else low) if first is None else first
        high = max(high, low) if last is None else last
        return low, high


def look_at(image: npt.NDArray[Any], axis: int, extent: Ends = (None, None)) -> Content:
    """Describe the slices of an image.

    Parameters
    ----------
    image : ndarray, shape (*spatial) or (*spatial, C)
        Three axes of place, real values of any dtype; only the first channel is looked at. What is
        not finite counts as the lowest value that is seen.
    axis : int
        Slicing axis.
    extent : tuple of (int or None)
        Where the object can be seen: its first and last slice.

    Returns
    -------
    Content
        With ``GRID ** 2`` numbers a slice as its descriptor.
    """
    stack = np.moveaxis(image[..., 0] if image.ndim == 4 else image, axis, 0)
    steps = tuple(slice(None, None, max(1, n // _SIDE)) for n in stack.shape[1:])
    amount, rows = np.zeros(len(stack)), np.zeros((len(stack), GRID * GRID))
    with_gaps, lowest = [], np.inf
    for z in range(len(stack)):
        pixels = np.asarray(stack[z][steps], dtype=np.float32)
        finite = np.isfinite(pixels)
        lowest = min(lowest, float(pixels.min(where=finite, initial=np.inf)))
        if finite.all():
            amount[z], rows[z] = pixels.std(), _grid_means(pixels)
        else:
            with_gaps.append((z, pixels, finite))
    for z, pixels, finite in with_gaps:
        filled = np.where(finite, pixels, np.float32(lowest if np.isfinite(lowest) else 0))
        amount[z], rows[z] = filled.std(), _grid_means(filled)
    return Content(amount, scaled(rows), extent)


def scaled(descriptors: Reals) -> Reals:
    """Centre descriptors and bring them to one scale.

    Parameters
    ----------
    descriptors : ndarray of float, shape (Z, D)
        Z is at least 1.

    Returns
    -------
    ndarray of float, shape (Z, D)
        Of mean 0 in each column. The squared distance of two slices is 1 on average over all Z x Z
        pairs; where all slices are alike, all is 0.
    """
    centred = descriptors - descriptors.mean(axis=0)
    spread = float(np.sqrt(2 * np.mean((centred**2).sum(axis=1))))
    return np.asarray(centred / max(spread, 1e-12), dtype=float)


def _grid_means(pixels: npt.NDArray[np.float32]) -> Reals:
    rows, columns = (np.minimum(np.arange(GRID) * n // GRID, n - 1) for n in pixels.shape)
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0), columns, axis=1)
    sizes = np.add.reduceat(np.add.reduceat(np.ones_like(pixels), rows, axis=0), columns, axis=1)
    return np.asarray(sums / sizes, dtype=float).ravel()
