"""Per-pixel descriptors of slices, without any learning.

A pixel is described by its neighbourhood in the slice: the 3 x 3 patches of the image blurred at
several Gaussian scales, decorrelated and shortened by a principal component analysis of the
volume itself. Patches keep the local texture and the direction of edges; the coarser scales keep
what lies around. The descriptor is scaled so that a squared distance between two pixels, averaged
over the patch entries, is in units of the variance of the volume's intensities: temperatures that
are set on it mean the same for every volume, modality and number of channels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from . import slice_batches
from .check_point import check_point
from .gaussian_blur import gaussian_blur
from .storage import Slices

_MAX_PCA_SAMPLES = 20_000


def slice_features(
    image: torch.Tensor,
    dimensions: int = 10,
    scales: Sequence[float] = (0.0, 1.0, 2.0),
    workers: int = 1,
) -> torch.Tensor:
    """Describe every pixel by multi-scale patches of its slice.

    Parameters
    ----------
    image : (Z, C, H, W) float tensor
        Channels on one scale, see `intensity.standardise`.
    dimensions : int
        Principal components kept; fewer if the patches have fewer entries.
    scales : sequence of float
        Standard deviations of the blurs in pixels; a patch of scale s samples 3 x 3 points
        ``max(1, round(s))`` pixels apart.
    workers : int
        Threads, each of which works on some slices.

    Returns
    -------
    (Z, D, H, W) float32 tensor
        The sum of squares of a difference approximates the mean squared difference of the patches.
    """
    depth, _, height, width = image.shape
    stride = _stride(depth, height, width)
    with ThreadPoolExecutor(workers) as pool:
        slabs = [p for p in image.chunk(workers) if len(p)]
        parts = list(pool.map(lambda slab: _patches(slab, scales), slabs))
        basis = _fit_basis(torch.cat([_sample(p, stride) for p in parts], 1), dimensions)
        features = torch.empty((depth, len(basis.projection), height, width), device=image.device)

        def describe(found: list[torch.Tensor], place: torch.Tensor) -> None:
            # Some slices at a time: all patches of a large volume at once would not fit.
            step = slice_batches.slices_at_once(image.device, height * width)
            for z in range(0, len(place), step):
                check_point()
                place[z : z + step] = basis.describe([p[z : z + step] for p in found])

        list(pool.map(describe, parts, features.split([len(s) for s in slabs])))
    return features


class StreamedFeatures:
    """The descriptors of `slice_features`, each slice computed when it is asked for.

    Parameters
    ----------
    image : (Z, C, H, W) slices
        Standardised, as a whole tensor or read slice by slice.
    rows, columns : slice
        The part of the slices that is described.
    dimensions, scales
        See `slice_features`.
    device : torch.device
        Where to compute.
    """

    def __init__(
        self,
        image: Slices,
        rows: slice,
        columns: slice,
        dimensions: int,
        scales: Sequence[float],
        device: torch.device,
    ) -> None:
        self._image, self._rows, self._columns = image, rows, columns
        self._scales, self._device = scales, device
        height, width = rows.stop - rows.start, columns.stop - columns.start
        stride = _stride(image.shape[0], height, width)
        samples = [_sample(self._parts(z), stride) for z in range(image.shape[0])]
        self._basis = _fit_basis(torch.cat(samples, 1), dimensions)

    def __getitem__(self, z: int) -> torch.Tensor:
        """Return the descriptors (D, H, W) of a slice."""
        check_point()
        return self._basis.describe(self._parts(z))[0]

    def _parts(self, z: int) -> list[torch.Tensor]:
        crop = self._image[z][..., self._rows, self._columns]
        return _patches(crop[None].to(self._device), self._scales)


@dataclass(frozen=True)
class _Basis:
    """Principal components of patches: mean (E, 1) and projection (D, E)."""

    mean: torch.Tensor
    projection: torch.Tensor

    def describe(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """Project the patches of some slices, each (B, C, H, W), to descriptors (B, D, H, W)."""
        stack = torch.cat([p.transpose(0, 1) for p in parts])
        rows = stack.reshape(len(stack), -1)
        centre = -(self.projection @ self.mean)
        found = torch.addmm(centre, self.projection, rows).reshape(-1, *stack.shape[1:])
        return found.transpose(0, 1)


def _patches(image: torch.Tensor, scales: Sequence[float]) -> list[torch.Tensor]:
    """Return views (Z, C, H, W) of the blurred image, one for each entry of the patches."""
    height, width = image.shape[-2:]
    result = []
    for scale in scales:
        blurred = gaussian_blur(image, scale)
        step = max(1, round(scale))
        padded = F.pad(blurred, (step, step, step, step), mode="replicate")
        result += [
            padded[..., y : y + height, x : x + width]
            for y in (0, step, 2 * step)
            for x in (0, step, 2 * step)
        ]
    return result


def _stride(depth: int, height: int, width: int) -> int:
    return max(1, math.isqrt(max(1, depth * height * width // _MAX_PCA_SAMPLES)))


def _sample(parts: list[torch.Tensor], stride: int) -> torch.Tensor:
    """Patches (E, N) of every so many pixels of the slices."""
    sample = torch.cat([p[..., ::stride, ::stride] for p in parts], 1)
    return sample.permute(1, 0, 2, 3).reshape(sample.shape[1], -1)


def _fit_basis(sample: torch.Tensor, dimensions: int) -> _Basis:
    entries = sample.shape[0]
    mean = sample.mean(1, keepdim=True)
    centred = sample - mean
    covariance = centred @ centred.T / max(1, centred.shape[1])
    _, vectors = torch.linalg.eigh(covariance.double())
    kept = min(dimensions, entries)
    return _Basis(mean, vectors[:, -kept:].T.float() / math.sqrt(entries))
