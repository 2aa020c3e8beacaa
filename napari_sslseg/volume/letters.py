"""The letters at the edges of a slice: which way is the patient's Right, Anterior, Superior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .geometry import Geometry

#: Letters of the ascending and the descending world axes x, y, z.
_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))

#: Cosine from which a world axis counts for a letter of its own (within 75 degrees of it).
_COUNTS = float(np.cos(np.radians(75)))


@dataclass(frozen=True)
class EdgeLetters:
    """Letters at the four edges of a slice as shown, rows downwards and columns to the right.

    Oblique edges have up to three letters, the closest direction first, as in DICOM's Patient
    Orientation: ``"AL"`` is anterior and a little left. All are empty where directions are not
    known.
    """

    top: str = ""
    bottom: str = ""
    left: str = ""
    right: str = ""


def direction_letters(direction: Sequence[float] | NDArray[np.float64]) -> str:
    """Return the letters of a direction in RAS+ world coordinates, such as ``"A"`` or ``"AL"``.

    Parameters
    ----------
    direction : three floats
        Of any length but zero. An axis within 75 degrees of it has a letter; the closest is first.

    Returns
    -------
    str
        Empty for no direction: zeros, or numbers that are not finite.
    """
    vector = np.asarray(direction, dtype=np.float64)
    length = float(np.linalg.norm(vector))
    if length == 0 or not np.isfinite(length):
        return ""
    cosines = np.round(vector / length, 9)  # ties break alike everywhere: x before y before z
    order = np.argsort(-np.abs(cosines), kind="stable")
    return "".join(
        _LETTERS[axis][int(cosines[axis] < 0)]
        for n, axis in enumerate(order)
        if n == 0 or abs(cosines[axis]) >= _COUNTS
    )


def edge_letters(
    geometry: Geometry,
    row_axis: int,
    column_axis: int,
    *,
    flipped: tuple[bool, bool] = (False,) * 2,
) -> EdgeLetters:
    """Return the letters at the edges of a slice of an array.

    Parameters
    ----------
    geometry : Geometry
        Of the array, for instance ``canonical().geometry`` for one in display order.
    row_axis, column_axis : int
        Array axes that run downwards and to the right on the screen.
    flipped : tuple of two bool
        Whether each of them runs upwards, or to the left, instead.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_sslseg.volume.geometry import Geometry
    >>> shown = Geometry(np.eye(4), (4, 5, 6)).canonical().geometry
    >>> edge_letters(shown, 1, 2)  # an axial slice as radiologists see it
    EdgeLetters(top='A', bottom='P', left='R', right='L')
    """
    if not geometry.oriented:
        return EdgeLetters()
    down, across = geometry.affine[:3, row_axis], geometry.affine[:3, column_axis]
    down = -down if flipped[0] else down
    across = -across if flipped[1] else across
    return EdgeLetters(
        top=direction_letters(-down),
        bottom=direction_letters(down),
        left=direction_letters(-across),
        right=direction_letters(across),
    )
