"""Which grey values to show as black and white."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Hounsfield units between which soft tissue shows: level 40, width 400.
SOFT_TISSUE = (-160.0, 240.0)

#: Percentiles that become black and white: a few bright voxels must not darken the rest.
_PERCENTILES = (0.5, 99.7)

#: Voxels that are enough to choose a window.
_SAMPLE = 1e5

#: Slices of an array that is decoded when it is looked at.
_SLICES = 7

#: Hounsfield units that CT of a patient has, and hardly anything else: air, and no less than
#: the padding values of scanners; and something denser than water.
_AIR, _PADDING, _DENSE = -800.0, -4096.0, 50.0

_GREYS = 1e-9


def default_window(
    array: NDArray[Any], modality: str = "", stated: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Return the grey values to show as black and white.

    Parameters
    ----------
    array : ndarray, or a lazy array
        Voxels of one channel. Some hundred thousand are looked at, so that a memory-mapped or
        lazy volume opens at once.
    modality : str
        Such as ``"CT"``; where it is unknown, Hounsfield units are recognized by their range.
    stated : tuple of two float, optional
        What the file asks for. It is taken where it shows anything of the image.

    Returns
    -------
    tuple of two float, or None
        None for an image of one value.
    """
    sample = sample_of(array).astype(np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return None
    least, most = float(sample.min()), float(sample.max())
    if stated is not None and stated[0] < most and stated[1] > least and stated[0] < stated[1]:
        return stated
    low, high = (float(value) for value in np.percentile(sample, _PERCENTILES))
    whole = bool((sample == np.round(sample)).all())
    if modality == "CT" or (not modality and whole and _is_hounsfield(least, high)):
        return SOFT_TISSUE if least < SOFT_TISSUE[1] and most > SOFT_TISSUE[0] else (low, high)
    if high - low > _GREYS * max(abs(low), abs(high), 1.0):
        return low, high
    return (least, most) if most > least else None


def sample_of(array: NDArray[Any]) -> NDArray[Any]:
    """Return some hundred thousand values spread over an array.

    Of an array that is decoded in blocks, a few slices along the axis in which its blocks are
    thinnest.

    Parameters
    ----------
    array : ndarray, or a dask array

    Returns
    -------
    ndarray
        Every n-th value along each axis of it, or of seven slices at most.
    """
    chunks = getattr(array, "chunks", None)
    if chunks is not None and array.ndim > 2:
        axis = int(np.argmin([max(sizes) / sum(sizes) for sizes in chunks]))
        places = np.linspace(0, array.shape[axis] - 1, _SLICES + 2).round().astype(int)[1:-1]
        planes = [array[(slice(None),) * axis + (int(place),)] for place in np.unique(places)]
        array = np.stack([_thinned(np.asarray(plane), _SLICES) for plane in planes])
    return np.asarray(_thinned(array, 1))


def _thinned(array: NDArray[Any], parts: int) -> NDArray[Any]:
    step = max(1, round((array.size * parts / _SAMPLE) ** (1 / array.ndim)))
    return array[(slice(None, None, step),) * array.ndim]


def _is_hounsfield(least: float, high: float) -> bool:
    return _PADDING <= least <= _AIR and high >= _DENSE
