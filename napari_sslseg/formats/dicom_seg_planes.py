"""Where the planes of a DICOM segmentation lie on the grid of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..volume.geometry import Geometry
from .dicom_geometry import LARGEST_DEVIATION
from .grids import TOLERANCE, placement

if TYPE_CHECKING:
    from .grids import Placement


def plane_placement(plane: Geometry, onto: Geometry) -> Placement | None:
    """Return how a plane lies in a grid whose voxels it shares; None if it does not.

    A plane states where its own slice of the image lies, and the grid where that slice is shown:
    the two differ where the slices of the image are a little irregular.

    Parameters
    ----------
    plane : Geometry
        Of an array ``(columns, rows, 1)``.
    onto : Geometry
    """
    if onto.ndim != 3:
        return None
    moved = plane.in_millimetres().affine.copy()
    grid = onto.in_millimetres()
    nearest = np.round(np.linalg.solve(grid.affine, moved[:, 3])[:3])
    off = moved[:3, 3] - grid.position(nearest)
    normal = moved[:3, 2] / np.linalg.norm(moved[:3, 2])
    distance = float(np.abs(normal @ grid.affine[:3, :3]).max())
    along = float(off @ normal)
    across = float(np.linalg.norm(off - along * normal))
    slack = LARGEST_DEVIATION + TOLERANCE
    if abs(along) <= slack * distance and across <= slack * min(plane.spacing_mm[:2]):
        moved[:3, 3] -= off
    return placement(Geometry(moved, plane.shape, oriented=plane.oriented), onto)
