"""Pictures and TIFF files whose rows and columns are stored turned, shown the right way up.

Cameras and scanners store what they see as it comes, and say in a tag how it is to be turned: the
tag *Orientation* of TIFF 6.0 [1]_, which the EXIF data of JPEG and PNG have as well. Viewers of
pictures heed it.

.. [1] https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Number of the tag.
ORIENTATION = 274

#: First row at the top, first column on the left; also what is taken for any unknown value.
AS_STORED = 1

#: Orientation -> whether rows become columns, and whether then rows and columns are reversed.
_TURNS = {
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def orientation_of(value: Any) -> int:
    """Return the orientation that the value of a tag says, 1 to 8; `AS_STORED` for any other."""
    return int(value) if isinstance(value, int) and value in _TURNS else AS_STORED


def swaps(orientation: int) -> bool:
    """Whether rows become columns."""
    return _TURNS[orientation][0]


def upright(array: Any, orientation: int, rows: int = 0) -> NDArray[Any]:
    """Return a view of an array the right way up.

    Parameters
    ----------
    array : ndarray or dask array
    orientation : int
        1 to 8.
    rows : int
        Axis of the rows; that of the columns follows.

    Returns
    -------
    array
        Of the kind that was given.
    """
    swap, flip_rows, flip_columns = _TURNS[orientation]
    if swap:
        array = array.swapaxes(rows, rows + 1)
    step = {rows: -1 if flip_rows else 1, rows + 1: -1 if flip_columns else 1}
    turned: NDArray[Any] = array[tuple(slice(None, None, step.get(a)) for a in range(array.ndim))]
    return turned


def remark_on(orientation: int) -> tuple[str, ...]:
    """Say, in no sentence or one, that an image is not shown as it is stored."""
    if orientation == AS_STORED:
        return ()
    return (
        "The file says that it is stored turned or mirrored (orientation "
        f"{orientation}): it is shown upright, and labels are saved upright, too.",
    )
