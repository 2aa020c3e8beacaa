"""A brush that stops at the edges of the image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..volume.image import lowest_value

#: How far around the brush labels tell what inside and outside look like, in radii.
AROUND = 2.5

#: Share of the brush's radius that is painted whatever the image shows there.
CORE = 0.35

#: Log-likelihood that the user's pointing there is worth against what the image says.
BIAS = 0.8

_BINS = 24
_DENOISE, _TOGETHER = 0.8, 1.6
_LEAST_PIXELS = 5


def snap(
    image: npt.NDArray[np.generic],
    own: npt.NDArray[np.bool_],
    centre: tuple[float, float],
    radius: float,
) -> npt.NDArray[np.bool_]:
    """Return what a brush paints at a place when it stops at edges.

    What the class looks like is learnt from its pixels around the brush and under its middle, what
    the others look like from theirs around the brush: two histograms of grey values. Painted is
    what is more like the class, with the neighbourhood's say in it, and connected with the middle.
    Where the two look alike there is no edge, and all of the disc is painted.

    Parameters
    ----------
    image : ndarray, shape (H, W) or (H, W, C)
        The part of a slice around the brush; `AROUND` radii on each side, where there is as much.
    own : ndarray of bool, shape (H, W)
        Where the class is already.
    centre : tuple of float
        Middle of the brush, pixels.
    radius : float
        Of the brush, pixels.

    Returns
    -------
    ndarray of bool, shape (H, W)
        Connected, inside the disc, and holding its middle.
    """
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    disc = np.asarray(distance <= radius, dtype=bool)
    core = disc & (distance <= max(CORE * radius, 0.71))
    inside, outside = (own & ~disc) | core, ~own & ~disc
    if min(int(inside.sum()), int(outside.sum())) < _LEAST_PIXELS or not core.any():
        return disc
    grey = _one_channel(_without_gaps(image), inside, outside)
    low, high = np.percentile(grey, (1, 99))
    if high <= low:
        return disc
    levels = np.clip((grey - low) / (high - low), 0, 1) * (_BINS - 1)
    levels = np.round(levels).astype(np.int64)
    likely = np.log(_histogram(levels[inside]) / _histogram(levels[outside]))
    vote = ndimage.gaussian_filter(likely[levels], _TOGETHER) + BIAS
    parts, _ = ndimage.label(((vote > 0) | core) & disc)
    middle = parts == int(np.bincount(parts[core]).argmax())
    return np.asarray(ndimage.binary_fill_holes(middle) & disc, dtype=bool)


def _without_gaps(image: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return the image with its lowest value where it holds no number."""
    values = np.asarray(image, dtype=np.float32)
    finite = np.isfinite(values)
    if finite.all():
        return values
    return np.where(finite, values, np.float32(lowest_value(values)))


def _one_channel(
    image: npt.NDArray[np.generic],
    inside: npt.NDArray[np.bool_],
    outside: npt.NDArray[np.bool_],
) -> npt.NDArray[np.float32]:
    """Return the image without its noise; of colours, the mixture that tells the two apart."""
    channels = np.asarray(image, dtype=np.float32).reshape(*image.shape[:2], -1)
    channels = np.stack(
        [ndimage.gaussian_filter(c, _DENOISE) for c in np.moveaxis(channels, 2, 0)], axis=2
    )
    if channels.shape[2] == 1:
        return channels[..., 0]
    mixture = channels @ (channels[inside].mean(axis=0) - channels[outside].mean(axis=0))
    return np.asarray(mixture, dtype=np.float32)


def _histogram(levels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return a smooth histogram that is nowhere zero."""
    counts = np.bincount(levels, minlength=_BINS).astype(float)
    counts = ndimage.gaussian_filter1d(counts, 1.2, mode="nearest") + 0.5
    shares: npt.NDArray[np.float64] = counts / counts.sum()
    return shares
