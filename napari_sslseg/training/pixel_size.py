"""Slices of several volumes brought to one pixel size, so that one network can learn from all."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

#: Ratio of pixel sizes from which slices are brought to the common one. Smaller differences are
#: what the augmentation scales by anyway.
RESAMPLE = 1.15

#: Smallest side of a slice, pixels.
_LEAST = 8


def pixel_of(spacing: Sequence[float], axis: int) -> tuple[float, float]:
    """Return height and width, in the spacing's unit, of a pixel of the slices across an axis."""
    rows, columns = (float(s) for i, s in enumerate(spacing) if i != axis)
    return rows, columns


def shape_of(shape: Sequence[int], axis: int) -> tuple[int, int]:
    """Return rows and columns of the slices across an axis of a volume of this spatial shape."""
    rows, columns = (int(n) for i, n in enumerate(shape) if i != axis)
    return rows, columns


def size_at(
    shape: Sequence[int], pixel: Sequence[float], common: Sequence[float]
) -> tuple[int, int]:
    """Return rows and columns of slices at the common pixel size.

    Parameters
    ----------
    shape : (rows, columns)
        As they are.
    pixel : (height, width)
        Of their pixels.
    common : (height, width)
        What it should be. Where it is that already, within `RESAMPLE`, nothing changes.
    """
    ratios = [own / wanted for own, wanted in zip(pixel, common, strict=True)]
    if all(1 / RESAMPLE < ratio < RESAMPLE for ratio in ratios):
        return int(shape[0]), int(shape[1])
    rows, columns = (max(_LEAST, round(n * r)) for n, r in zip(shape, ratios, strict=True))
    return rows, columns


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bring images or probabilities (B, C, H, W) to a size (height, width), interpolated linearly.

    Returns
    -------
    Tensor, (B, C, *size) float32
        `maps` itself, of its own type, where it has that size.
    """
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    shrinks = maps.shape[-1] > size[1]
    return F.interpolate(
        maps.float(), tuple(size), mode="bilinear", align_corners=False, antialias=shrinks
    )


def resized_labels(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Bring labels (B, H, W) of uint8 to a size (height, width); each pixel takes the nearest."""
    if tuple(labels.shape[-2:]) == tuple(size):
        return labels
    return F.interpolate(labels[:, None].float(), tuple(size), mode="nearest-exact")[:, 0].byte()
