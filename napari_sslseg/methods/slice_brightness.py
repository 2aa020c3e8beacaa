"""Brightness of slices that jumps from one to the next, evened.

Slices that were recorded or stained one by one may differ in brightness as a whole: breath-holds,
interleaved slices, sections. The matching compares intensities, and takes such a step for another
tissue. The factor between two neighbouring slices is the median ratio of their pixels. What it
follows slowly may be anatomy, or the coil; what jumps is taken out, if there is much of it.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from .check_point import check_point
from .storage import Slices

#: About how many pixels of a slice are looked at.
_SAMPLE = 4096

#: Percentiles of the intensities taken for black and for bright.
_PERCENTILES = (0.5, 99.5)

#: Share of the way from black to bright from which a pixel counts.
_SHOWN = 0.1

#: Least share of the pixels that must count in both slices: what a few say means nothing.
_LEAST = 0.02

#: Slices whose mean is followed.
_WINDOW = 5

#: Standard deviation of normally distributed values with a median size of 1.
_DEVIATION = 1.4826


class SliceBrightness:
    """Factors that even the slices of an image.

    Parameters
    ----------
    black : Tensor, (C, 1, 1)
        Intensity from which the factors count.
    factors : Tensor, (Z, C, 1, 1)
    """

    def __init__(self, black: torch.Tensor, factors: torch.Tensor) -> None:
        self._black, self._factors = black, factors

    def apply(self, image: torch.Tensor, index: int | slice = slice(None)) -> torch.Tensor:
        """Return slices (..., C, H, W) of the image, evened.

        Parameters
        ----------
        image : Tensor
            What the image has at this index.
        index : int or slice
        """
        black = self._black.to(image.device)
        return (image - black) * self._factors[index].to(image.device) + black


class EvenedSlices:
    """Slices evened when they are read.

    Parameters
    ----------
    image : (Z, C, H, W) slices
    brightness : SliceBrightness
    """

    def __init__(self, image: torch.Tensor | Slices, brightness: SliceBrightness) -> None:
        self._image, self._brightness = image, brightness
        self.shape = image.shape

    def __getitem__(self, index: int) -> torch.Tensor:
        """Return a slice (C, H, W) float32."""
        return self._brightness.apply(self._image[index].float(), index)


def slice_brightness(image: torch.Tensor | Slices, jumps: float) -> SliceBrightness | None:
    """Find what evens the slices of an image.

    Parameters
    ----------
    image : (Z, C, H, W) real tensor or slices
    jumps : float
        How far the logarithm of a slice's brightness is from the mean of its neighbours (median
        over the slices, as a standard deviation), from which slices are evened; at twice that they
        are in full.

    Returns
    -------
    SliceBrightness or None
        None if the brightness jumps less.
    """
    depth, _, height, width = image.shape
    if depth < _WINDOW:
        return None
    step = max(1, int((height * width / _SAMPLE) ** 0.5))
    seen = []
    for z in range(depth):
        check_point()
        seen.append(image[z][:, ::step, ::step].float().flatten(1).cpu().numpy())
    sample = np.stack(seen, 1)
    blacks, factors = [], []
    for channel in sample:
        black, bright = np.percentile(channel, _PERCENTILES)
        deviations = _deviations(channel - black, _SHOWN * (bright - black), jumps)
        blacks.append(black)
        factors.append(np.exp(-deviations))
    if np.ptp(factors) == 0:
        return None
    return SliceBrightness(
        torch.tensor(np.array(blacks), dtype=torch.float32)[:, None, None],
        torch.tensor(np.array(factors).T, dtype=torch.float32)[:, :, None, None],
    )


def _deviations(slices: NDArray[np.float32], least: float, jumps: float) -> NDArray[np.float64]:
    """Return what is to be taken from the logarithm of each slice (Z, N)."""
    steps = np.zeros(len(slices) - 1)
    for z, (here, there) in enumerate(itertools.pairwise(slices)):
        counts = (here > least) & (there > least)
        if least > 0 and counts.mean() >= _LEAST:
            steps[z] = np.median(np.log(there[counts] / here[counts]))
    # The median: at the ends of a body all but its surface may come in with one slice.
    size = _DEVIATION * np.median(np.abs(np.diff(steps) / 2))
    share = np.clip(size / jumps - 1, 0.0, 1.0)
    course = np.concatenate(([0.0], np.cumsum(steps)))
    beyond = np.pad(course, _WINDOW // 2, mode="reflect", reflect_type="odd")
    followed = np.convolve(beyond, np.full(_WINDOW, 1 / _WINDOW), "valid")
    return np.asarray(share * (course - followed))
