"""Outlines of a mask in one plane, as closed polygons without holes.

DICOM has no holes in its contours; the standard lets a narrow channel join an inner outline to the
outer one (the keyhole technique) [1]_, which every program fills rightly.

.. [1] DICOM PS3.3, C.8.8.6.3 Representing Inner and Outer Contours
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Polygon = NDArray[np.float64]


def outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return the polygons that hold the centres of just the pixels of a mask.

    The corners lie half way between pixels inside and outside; corners on a straight line are
    left out.

    Parameters
    ----------
    mask : ndarray of bool, shape (rows, columns)

    Returns
    -------
    list of ndarray, shape (n, 2)
        (row, column) of the corners, the first not repeated. Holes are joined to their outline by
        a channel of no width.
    """
    from skimage.measure import find_contours

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = rows[0], columns[0]
    box = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    # The margin closes what touches the edge of the image.
    found = find_contours(np.pad(box, 1).astype(np.float32), 0.5)
    corner = np.array([top - 1.0, left - 1.0])
    polygons = [_without_straight_corners(line[:-1] + corner) for line in found]
    outer = [polygon for polygon in polygons if _area(polygon) > 0]
    holes = [polygon for polygon in polygons if _area(polygon) < 0]
    for hole, home in zip(holes, [_home(hole, outer) for hole in holes], strict=True):
        outer[home] = _joined(outer[home], hole)
    return outer


def _area(polygon: Polygon) -> float:
    """Return the area, negative if the corners go the other way round."""
    row, column = polygon.T
    return float(row @ np.roll(column, 1) - column @ np.roll(row, 1)) / 2


def _without_straight_corners(polygon: Polygon) -> Polygon:
    before, after = polygon - np.roll(polygon, 1, axis=0), np.roll(polygon, -1, axis=0) - polygon
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return polygon[np.abs(turn) > 1e-9]


def _home(hole: Polygon, outer: list[Polygon]) -> int:
    """Return which outline a hole is in: of those around it, the smallest."""
    from skimage.measure import points_in_poly

    around = [n for n, polygon in enumerate(outer) if points_in_poly(hole[:1], polygon)[0]]
    return min(around, key=lambda n: _area(outer[n]))


def _joined(outline: Polygon, hole: Polygon) -> Polygon:
    """Return an outline that goes round a hole on its way, from the corner closest to it."""
    apart = ((outline[:, None] - hole[None]) ** 2).sum(axis=-1)
    here, there = np.unravel_index(int(apart.argmin()), apart.shape)
    around = np.roll(hole, -int(there), axis=0)
    return np.concatenate([outline[: here + 1], around, around[:1], outline[here:]])
