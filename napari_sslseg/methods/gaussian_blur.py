"""Gaussian blur of slices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from . import slice_batches

#: Sides up to this are blurred by one matrix.
_ONE_MATRIX = 96

#: Pixels of longer ones that one matrix yields: it is as much wider as the kernel is.
_BLOCK = 32


def gaussian_blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur every slice with a Gaussian, edges repeated.

    Parameters
    ----------
    image : (Z, C, H, W) float tensor
    sigma : float
        Standard deviation in pixels; 0 returns ``image`` itself.

    Returns
    -------
    (Z, C, H, W) tensor
    """
    if sigma <= 0:
        return image
    radius = min(math.ceil(3 * sigma), *(max(n - 1, 1) for n in image.shape[-2:]))
    if not slice_batches.launches_dominate(image.device):
        return _by_matrices(image, radius, sigma)
    kernel = _kernel(radius, sigma, image.dtype, image.device)
    depth, channels, height, width = image.shape
    flat = image.reshape(depth * channels, 1, height, width)
    flat = F.conv2d(F.pad(flat, (radius, radius, 0, 0), mode="replicate"), kernel[None, None, None])
    flat = F.conv2d(
        F.pad(flat, (0, 0, radius, radius), mode="replicate"), kernel[None, None, :, None]
    )
    return flat.reshape(depth, channels, height, width)


@lru_cache
def _kernel(radius: int, sigma: float, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    positions = torch.arange(-radius, radius + 1, dtype=dtype, device=device)
    kernel = torch.exp(-0.5 * (positions / sigma) ** 2)
    return kernel / kernel.sum()


@dataclass(frozen=True)
class _Part:
    """What some pixels of a side are made of."""

    blurred: slice
    read: slice
    matrix: torch.Tensor
    """(pixels, pixels read)."""


@lru_cache(maxsize=256)
def _parts(length: int, radius: int, sigma: float, dtype: torch.dtype) -> list[_Part]:
    """Return the blur of a side as matrices, its edges repeated."""
    weights = _kernel(radius, sigma, dtype, torch.device("cpu"))
    positions = torch.arange(length)
    whole = torch.zeros(length, length, dtype=dtype)
    for offset, weight in zip(range(-radius, radius + 1), weights, strict=True):
        beside = (positions + offset).clamp(0, length - 1)
        whole.index_put_((positions, beside), weight.expand(length), accumulate=True)
    size = length if length <= _ONE_MATRIX else _BLOCK
    parts = []
    for start in range(0, length, size):
        blurred = slice(start, min(start + size, length))
        read = slice(max(0, start - radius), min(blurred.stop + radius, length))
        parts.append(_Part(blurred, read, whole[blurred, read].contiguous()))
    return parts


def _by_matrices(image: torch.Tensor, radius: int, sigma: float) -> torch.Tensor:
    """Blur by products of matrices, which a processor computes fastest of all."""
    depth, channels, height, width = image.shape
    flat = image.reshape(depth * channels, height, width)
    along = flat.new_empty(flat.shape)
    for part in _parts(height, radius, sigma, image.dtype):
        along[:, part.blurred] = part.matrix @ flat[:, part.read]
    rows = along.view(-1, width)
    result = rows.new_empty(rows.shape)
    for part in _parts(width, radius, sigma, image.dtype):
        torch.mm(rows[:, part.read], part.matrix.T, out=result[:, part.blurred])
    return result.view(image.shape)
