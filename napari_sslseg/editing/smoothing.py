"""Smooth the outlines of a mask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .components import bounding_box

Labels = npt.NDArray[np.uint8]

#: Width of the Gaussian, in voxels of the finest axis.
SIGMA = 1.2


def smooth(
    labels: Labels,
    class_ids: Iterable[int],
    spacing: Sequence[float] | None = None,
    sigma: float = SIGMA,
) -> Labels:
    """Give each voxel the class that weighs most in a Gaussian neighbourhood.

    All classes compete at once, so that two organs that touch still touch.

    Parameters
    ----------
    labels : ndarray of uint8, two or three dimensions
    class_ids : iterable of int
        Classes whose outline may move. A voxel changes only when it leaves or enters one of them.
    spacing : sequence of float, optional
        Voxel size; along a coarse axis is smoothed over fewer voxels.
    sigma : float
        In voxels of the finest axis.

    Returns
    -------
    ndarray of uint8
    """
    result = labels.copy()
    chosen = [int(c) for c in class_ids]
    reach = int(np.ceil(4 * sigma))
    box = bounding_box(np.isin(labels, chosen), margin=reach)
    if box is None:
        return result
    crop = labels[box]
    sizes = np.ones(labels.ndim) if spacing is None else np.asarray(spacing, dtype=float)
    widths = sigma * sizes.min() / sizes
    best = np.zeros(crop.shape, dtype=np.uint8)
    weight = np.full(crop.shape, -1, dtype=np.float32)
    for value in np.unique(crop):
        share = (crop == value).astype(np.float32)
        ndimage.gaussian_filter(share, widths, output=share, truncate=3.0)
        more = share > weight
        best[more], weight[more] = value, share[more]
    concerned = np.isin(crop, chosen) | np.isin(best, chosen)
    result[box] = np.where(concerned, best, crop)
    return result
