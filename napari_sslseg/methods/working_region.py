"""The part of the slices worth computing on: the inked objects with a border."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from .ink_completion import NOT_ANNOTATED
from .slice_batches import mask_batches

Window = tuple[slice, slice]
"""Rows and columns."""


def working_region(ink: torch.Tensor, margin: float, minimum: int) -> Window:
    """Rows and columns of the inked objects with a border; everything if there is no object.

    Parameters
    ----------
    ink : (Z, H, W) uint8 tensor
        255 where not annotated, 0 background.
    margin : float
        Border as a part of the objects' extent along the axis.
    minimum : int
        Smallest border in pixels.
    """
    return _bordered(inked_objects(ink), margin, minimum)


def stretch_window(ink: torch.Tensor, margin: float, minimum: int, grid: int) -> Window:
    """Rows and columns of the objects of one stretch with a border, on a grid.

    What lies between two inked slices is seldom as large as all the objects of the volume.

    Parameters
    ----------
    ink : (Z, H, W) uint8 tensor
        Of the slices of the stretch, its ends among them, within the region that is worked on.
    margin : float
        Border as a part of the objects' extent along the axis.
    minimum : int
        Smallest border in pixels.
    grid : int
        Window edges are multiples of so many pixels, so that the coarser levels of a pyramid of
        the window are those of a pyramid of the region.

    Returns
    -------
    tuple of slices
        Everything if there is no object.
    """
    return _on_grid(_bordered(inked_objects(ink), margin, minimum), grid, ink.shape[1:])


def _bordered(objects: torch.Tensor, margin: float, minimum: int) -> Window:
    """Return the box around objects (H, W) with a border."""
    if not bool(objects.any()):
        return slice(0, objects.shape[0]), slice(0, objects.shape[1])
    result = []
    for used in (objects.any(1), objects.any(0)):
        where = torch.nonzero(used).flatten()
        low, high = int(where[0]), int(where[-1])
        border = max(minimum, math.ceil(margin * (high - low)))
        result.append(slice(max(0, low - border), min(len(used), high + border + 1)))
    return result[0], result[1]


def _on_grid(window: Window, grid: int, shape: Sequence[int]) -> Window:
    """Move the edges of a window outwards to a grid, or to the edge of the slice."""
    rows, columns = (
        slice(w.start // grid * grid, min(-(-w.stop // grid) * grid, size))
        for w, size in zip(window, shape, strict=True)
    )
    return rows, columns


def inked_objects(ink: torch.Tensor) -> torch.Tensor:
    """Return the pixels that show an inked object in any slice.

    Parameters
    ----------
    ink : (Z, H, W) uint8 tensor
        255 where not annotated, 0 background.

    Returns
    -------
    (H, W) bool tensor
    """
    # In parts: masks of the whole volume would take several times its ink's memory.
    found = torch.zeros(ink.shape[1:], dtype=torch.bool, device=ink.device)
    for part in mask_batches(ink):
        found |= ((part != 0) & (part != NOT_ANNOTATED)).any(0)
    return found


def within_reach(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """Return the pixels in squares around those of a mask.

    Parameters
    ----------
    mask : (N, H, W) bool tensor
    reach : int
        Pixels from the middle of a square to its sides, which belong to it.

    Returns
    -------
    (N, H, W) bool tensor
    """
    size = 2 * reach + 1
    # Rows, then columns: a square at once looks at all its pixels for each one.
    rows = F.max_pool2d(mask[:, None].float(), (1, size), 1, (0, reach))
    return F.max_pool2d(rows, (size, 1), 1, (reach, 0))[:, 0] > 0


def inked_pixels(ink: torch.Tensor) -> torch.Tensor:
    """Count the annotated pixels of each slice.

    Parameters
    ----------
    ink : (Z, H, W) uint8 tensor
        255 where not annotated.

    Returns
    -------
    (Z,) int64 tensor
    """
    return torch.cat([(part != NOT_ANNOTATED).sum((1, 2)) for part in mask_batches(ink)])


def grow_where_touched(
    probabilities: torch.Tensor, rows: slice, columns: slice, grid: int = 1
) -> Window:
    """Move the edges of the region that an object reaches outwards, by half the region's extent.

    Parameters
    ----------
    probabilities : (Z, classes, H, W) float tensor
    rows, columns : slice
        The region.
    grid : int
        Edges are multiples of so many pixels.

    Returns
    -------
    tuple of slices
        The same region if no object reaches an edge, other than an edge of the slice itself.
    """
    height, width = probabilities.shape[-2:]
    background = probabilities[:, 0]

    def reached(edge: torch.Tensor) -> bool:
        return bool((edge < 0.5).any())

    step = math.ceil((rows.stop - rows.start) / 2)
    top, bottom = rows.start, rows.stop
    if top > 0 and reached(background[:, top, columns]):
        top = max(0, top - step)
    if bottom < height and reached(background[:, bottom - 1, columns]):
        bottom = min(height, bottom + step)
    step = math.ceil((columns.stop - columns.start) / 2)
    left, right = columns.start, columns.stop
    if left > 0 and reached(background[:, rows, left]):
        left = max(0, left - step)
    if right < width and reached(background[:, rows, right - 1]):
        right = min(width, right + step)
    return _on_grid((slice(top, bottom), slice(left, right)), grid, (height, width))
