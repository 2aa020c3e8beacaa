"""The slices between two known ones, from the distance to the outlines in both.

Shape-based interpolation after Raya and Udupa (IEEE TMI 1990): the signed distance to a class's
outline is interpolated linearly, and the class is where it is positive.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Labels = npt.NDArray[np.uint8]


def interpolate(lower: Labels, upper: Labels, count: int, spacing: tuple[float, float]) -> Labels:
    """Return the slices between two.

    Parameters
    ----------
    lower, upper : ndarray of uint8, shape (H, W)
    count : int
        Slices between them.
    spacing : tuple of float
        Pixel size.

    Returns
    -------
    ndarray of uint8, shape (count, H, W)
        The class with the largest interpolated distance, the background where none is positive.
    """
    classes = [int(c) for c in np.union1d(np.unique(lower), np.unique(upper)) if c]
    best = np.zeros((count, *lower.shape), dtype=np.float32)
    result = np.zeros(best.shape, dtype=np.uint8)
    for value in classes:
        ends = [_signed_distance(end == value, spacing) for end in (lower, upper)]
        for k in range(count):
            share = (k + 1) / (count + 1)
            distance = (1 - share) * ends[0] + share * ends[1]
            more = distance > best[k]
            best[k][more], result[k][more] = distance[more], value
    return result


def _signed_distance(
    mask: npt.NDArray[np.bool_], spacing: tuple[float, float]
) -> npt.NDArray[np.float32]:
    """Distance to the outline, positive inside; a class that is absent is nowhere near."""
    if not mask.any():
        # As if it shrank to nothing half-way: everything is as far away as the picture is wide.
        reach = -0.25 * float(np.hypot(*(n * s for n, s in zip(mask.shape, spacing, strict=True))))
        return np.full(mask.shape, reach, dtype=np.float32)
    if mask.all():
        return np.full(mask.shape, float(max(mask.shape)) * max(spacing), dtype=np.float32)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    return np.asarray(inside - outside, dtype=np.float32)
