"""Where the pixels of a moved map are read: in single precision, whatever the rest runs in.

Places that are rounded to bfloat16 lie a pixel or two beside where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def grid_of(theta: Tensor, maps: Tensor, size: Sequence[int] | None = None) -> Tensor:
    """Return the places at which affine maps read, for `torch.nn.functional.grid_sample`.

    Parameters
    ----------
    theta
        ``(B, 2, 3)``, as `augment.sample_weak` draws them; ``(B, 3, 4)`` of volumes.
    maps
        ``(B, C, ...)``; only their shape counts.
    size
        Sides of the result, in pixels; None takes those of the maps.

    Returns
    -------
    Tensor
        ``(B, *size, 2)``, or ``(B, *size, 3)`` of volumes: x before y before z, in normalised
        coordinates, whose -1 and 1 are the outer edges of the first and the last pixel.
    """
    shape = [*maps.shape[:2], *(maps.shape[2:] if size is None else size)]
    with torch.autocast(theta.device.type, enabled=False):
        return F.affine_grid(theta, shape, align_corners=False)


def is_outside(grid: Tensor) -> Tensor:
    """Return which places of `grid_of` lie beside the map that is read: ``(B, ...)`` bool."""
    # Pixel areas, not centres, reach to +-1; the margin absorbs the rounding of exact turns.
    return (grid.abs() > 1 + 1e-5).any(-1)


def moved_by(linear: Tensor, shift: Tensor) -> Tensor:
    """Return the vectors ``(B, N)`` that linear maps ``(B, N, N)`` make of vectors ``(B, N)``."""
    with torch.autocast(linear.device.type, enabled=False):
        return (linear @ shift[:, :, None])[:, :, 0]
