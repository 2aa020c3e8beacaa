"""Bring the intensities of a volume to one scale, robustly.

Each channel gets mean 0 and standard deviation 1, those of its values clipped to its 0.5 and 99.5
percentiles. What lies beyond these is compressed logarithmically: metal, air or a hot spot must not
take the whole range, and yet small bright objects, which fill less than that share of the volume,
keep their differences. Voxels without a number (NaN or infinite: outside of a mask, divided by
nothing) count as the lowest value of their channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

#: Percentiles between which intensities are kept as they are.
_PERCENTILES = (0.5, 99.5)

#: Values of a channel from which its percentiles are taken; large volumes would take seconds.
_SAMPLE = 1_000_000

#: Least spread of a channel, as a share of its range: a constant one is not divided by nothing.
_LEAST_SPREAD = 1e-6

#: Ranges beyond the percentiles up to which anything is told apart.
_FARTHEST = 1e6


class NotFiniteError(ValueError):
    """A channel of an image holds nothing but NaN or infinite values."""


class IntensityScale(NamedTuple):
    """How the intensities of a channel are scaled.

    Parameters
    ----------
    middle : float
        Of the percentiles. It is taken away first, in the precision of the image, so that a large
        offset costs no precision.
    half : float
        Half of the range between the percentiles, above 0.
    mean, spread : float
        Of the values clipped to the percentiles, from the middle on.
    lowest : float
        Value that voxels without a number count as, from the middle on.
    """

    middle: float
    half: float
    mean: float
    spread: float
    lowest: float

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return values of any shape and real dtype, scaled; a new float32 array."""
        result = self.compress(values)
        result -= np.float32(self.mean)
        result /= np.float32(self.spread)
        return result

    def compress(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return values of any shape and real dtype, from the middle on; a new float32 array.

        Where x lies beyond the percentiles, h the half of their range and r = 2 h, the result is
        ``h + r log(1 + (x - h) / r)``, likewise below; nothing is told apart from a million r on.
        """
        wide = np.float64 if values.dtype.itemsize > 4 or _large_integer(values) else np.float32
        result = np.subtract(values, wide(self.middle), dtype=wide).astype(np.float32, copy=False)
        if values.dtype.kind == "f":
            result[~np.isfinite(values)] = self.lowest
        half = np.float32(self.half)
        beyond = np.abs(result) > half
        if beyond.any():
            far = result[beyond]
            excess = np.minimum(np.abs(far) / (2 * half) - 0.5, np.float32(_FARTHEST))
            result[beyond] = np.copysign(half + 2 * half * np.log1p(excess), far)
        return result


def fit_scales(
    blocks: Callable[[], Iterator[npt.NDArray[Any]]], shape: Sequence[int]
) -> list[IntensityScale]:
    """Return the scale of each channel of an image that is read in pieces, twice.

    Parameters
    ----------
    blocks : callable
        Gives the image in pieces (N, channels), in the order of the memory, each time that it is
        called.
    shape : sequence of int
        Of the image, without the channels.

    Returns
    -------
    list of IntensityScale
        One a channel.

    Raises
    ------
    NotFiniteError
        When a channel holds no finite value.
    """
    scales = _ranges(blocks(), sampling_step(shape))
    total, squares = np.zeros(len(scales)), np.zeros(len(scales))
    for block in blocks():
        for c, scale in enumerate(scales):
            half = np.float32(scale.half)
            value = np.clip(scale.compress(block[:, c]), -half, half)
            total[c] += value.sum(dtype=np.float64)
            squares[c] += np.square(value, dtype=np.float64).sum()
    size = math.prod(shape)
    result = []
    for scale, first, second in zip(scales, total / size, squares / size, strict=True):
        spread = math.sqrt(max(second - first**2, 0.0))
        result.append(
            scale._replace(mean=first, spread=max(spread, _LEAST_SPREAD * 2 * scale.half))
        )
    return result


def sampling_step(shape: Sequence[int], most: int = _SAMPLE) -> int:
    """Return the distance, in the order of the memory, of voxels that are a fair sample.

    It has no factor in common with the length of a line: it would look at a few columns only.

    Parameters
    ----------
    shape : sequence of int
        Sides of the volume, voxels.
    most : int
        About how many to take.
    """
    step = max(1, math.prod(shape) // most)
    while any(math.gcd(step, n) > 1 for n in shape):
        step += 1
    return step


def standardise(image: Tensor | npt.NDArray[Any]) -> Tensor:
    """Scale each channel to mean 0 and standard deviation 1 but for its extremes, see the module.

    Parameters
    ----------
    image : (Z, C, H, W) tensor or array, any real dtype

    Returns
    -------
    (Z, C, H, W) float32 tensor
        On the processor. A constant channel becomes 0.

    Raises
    ------
    NotFiniteError
        When a channel holds no finite value.
    """
    values = image.cpu().numpy() if isinstance(image, Tensor) else image
    result = np.empty(values.shape, np.float32)
    for c in range(values.shape[1]):
        channel = values[:, c]
        blocks = partial(_columns, channel)
        try:
            (scale,) = fit_scales(blocks, channel.shape)
        except NotFiniteError as error:
            raise _without_number(c, values.shape[1]) from error
        for z, slice_ in enumerate(channel):
            result[z, c] = scale.apply(slice_)
    return torch.from_numpy(result)


def _columns(channel: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """Yield the slices of a channel as columns (N, 1)."""
    for slice_ in channel:
        yield slice_.reshape(-1, 1)


def _ranges(blocks: Iterator[npt.NDArray[Any]], step: int) -> list[IntensityScale]:
    """Return scales that have no mean and spread yet, from every so manieth voxel (N, channels)."""
    sample, lows, highs, start = [], [], [], 0
    for block in blocks:
        sample.append(block[-start % step :: step].astype(np.float64))
        finite = np.isfinite(block)
        if finite.all():
            lows.append(block.min(axis=0))
            highs.append(block.max(axis=0))
        else:
            lows.append(np.where(finite, block, np.inf).min(axis=0))
            highs.append(np.where(finite, block, -np.inf).max(axis=0))
        start += len(block)
    least, most = np.min(lows, axis=0).astype(np.float64), np.max(highs, axis=0).astype(np.float64)
    if np.isinf(least).any():
        raise _without_number(int(np.isinf(least).argmax()), len(least))
    taken = np.concatenate(sample)
    low, high = np.percentile(np.where(np.isfinite(taken), taken, least), _PERCENTILES, axis=0)
    flat = high <= low
    low, high = np.where(flat, least, low), np.where(flat, most, high)
    # Halved first: the sum of two large values may be none.
    middle, half = low / 2 + high / 2, high / 2 - low / 2
    return [
        IntensityScale(float(m), float(h) or 0.5, 0.0, 1.0, float(lowest - m))
        for m, h, lowest in zip(middle, half, least, strict=True)
    ]


def _without_number(channel: int, channels: int) -> NotFiniteError:
    """Return, not raise, the error that a channel, counted from 0, holds no number."""
    what = "The image" if channels == 1 else f"Channel {channel + 1} of {channels}"
    return NotFiniteError(f"{what} holds no number in any voxel (only NaN or infinite).")


def _large_integer(values: npt.NDArray[Any]) -> bool:
    """Whether values are integers that float32 does not hold exactly."""
    return values.dtype.kind in "iu" and values.dtype.itemsize > 2
