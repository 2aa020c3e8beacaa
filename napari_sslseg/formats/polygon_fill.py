"""Which pixels lie in closed polygons, by the even-odd rule.

A pixel belongs when its centre is inside. Centres on an edge belong where the inside begins, in
rising rows and columns, and not where it ends, so that polygons that share an edge share no pixel
and leave none out. `skimage.draw.polygon` gives such pixels to both.

The border of a mask is another thing: programs that trace it from pixel to pixel (`findContours` of
OpenCV) put its corners on the centres of the outermost pixels, and of those around a hole. So
pixels on its edges belong, too, and the border of a single pixel or a line bounds no area.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Decimals of a pixel that count: a corner on a centre lies there in spite of rounding.
_DECIMALS = 4

#: Pixels that the corners of a traced border may be off: files often state hundredths of a mm.
_OFF_CENTRE = 0.05


def on_centres(polygons: Sequence[NDArray[np.float64]]) -> bool:
    """Whether all corners lie on centres of pixels, as those of a traced border do."""
    return all(bool((np.abs(p - np.rint(p)) <= _OFF_CENTRE).all()) for p in polygons)


def filled(
    polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int], *, traced: bool = False
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """Return the pixels that are inside of an odd number of polygons.

    Parameters
    ----------
    polygons : sequence of ndarray, shape (n, 2)
        (row, column) of the corners, the first not repeated; centres of pixels are whole numbers.
        They may reach beyond the image.
    shape : tuple of two int
        Rows and columns of the image.
    traced : bool, optional
        The polygons are the border of a mask, all corners `on_centres`: pixels on edges belong.

    Returns
    -------
    box : tuple of two slices
        Part of the image beyond which there is nothing; may be empty.
    mask : ndarray of bool
        Pixels in that part.
    """
    rounded = [np.round(polygon, 0 if traced else _DECIMALS) for polygon in polygons]
    corners = np.concatenate([np.zeros((0, 2)), *rounded])
    if not len(corners):
        return (slice(0, 0), slice(0, 0)), np.zeros((0, 0), bool)
    low = np.clip(np.ceil(corners.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + traced, low, shape).astype(int)
    box = slice(low[0], high[0]), slice(low[1], high[1])
    rows, columns = high - low
    starts, ends = _edges(rounded)
    # The rows whose centres an edge passes, its lower end counted and its upper end not.
    first = np.clip(np.ceil(starts[:, 0]), low[0], high[0]).astype(int)
    count = np.clip(np.ceil(ends[:, 0]), low[0], high[0]).astype(int) - first
    edge = np.repeat(np.arange(len(starts)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    slope = (ends[edge, 1] - starts[edge, 1]) / (ends[edge, 0] - starts[edge, 0])
    crossed = np.round(starts[edge, 1] + (row - starts[edge, 0]) * slope, _DECIMALS)
    column = np.clip(np.ceil(crossed), low[1], high[1]).astype(int) - low[1]
    crossings = np.bincount((row - low[0]) * (columns + 1) + column, minlength=rows * (columns + 1))
    odd = (crossings & 1).astype(bool).reshape(rows, columns + 1)
    mask = np.logical_xor.accumulate(odd[:, :columns], axis=1)
    if traced:
        passed = (crossed == np.ceil(crossed)) & (crossed >= low[1]) & (crossed < high[1])
        mask[row[passed] - low[0], column[passed]] = True
        mask |= _level(rounded, box)
    return box, mask


def _level(polygons: Sequence[NDArray[np.float64]], box: tuple[slice, slice]) -> NDArray[np.bool_]:
    """Return the pixels in a part of the image that are corners or on edges along the rows."""
    here = np.concatenate(polygons)
    there = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    ends = np.where(there[:, 0] == here[:, 0], there[:, 1], here[:, 1])
    rows, columns = box[0].stop - box[0].start, box[1].stop - box[1].start
    row = here[:, 0] - box[0].start
    inside = (row >= 0) & (row < rows)
    row = row[inside].astype(int)
    change = np.zeros((rows, columns + 1), int)
    for sign, column in ((1, np.minimum(here[:, 1], ends)), (-1, np.maximum(here[:, 1], ends) + 1)):
        place = np.clip(column[inside] - box[1].start, 0, columns).astype(int)
        np.add.at(change, (row, place), sign)
    return np.cumsum(change, axis=1)[:, :columns] > 0


def _edges(
    polygons: Sequence[NDArray[np.float64]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of all edges, the one of the lower row first.

    So an edge is crossed at the very same place in whichever direction two polygons run along it.
    """
    here = np.concatenate(polygons)
    there = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    down = (there[:, 0] < here[:, 0])[:, None]
    return np.where(down, there, here), np.where(down, here, there)
