"""Where a stack of DICOM frames lies, and whether an affine can say it.

The image plane module (PS3.3 C.7.6.2) gives each frame's position and directions; the step from
slice to slice is not stated and follows from the positions.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ..volume.geometry import Geometry
from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .dicom_headers import FrameHeader

#: Deviation of a slice from its regular place, as a share of the slice distance, that can pass
#: for a regular stack.
LARGEST_DEVIATION = 0.1

#: Deviation that is said to the user. Positions are written with few digits, so that much smaller
#: deviations are common and mean nothing.
_SAID = 0.02

#: Millimetres by which positions that mean the same differ at most.
_SAME = 1e-3

#: Tilt in degrees that is worth a sentence.
_TILTED = 0.1


def directions_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Return the unit vectors, LPS+, along a row and along a column, as rows of an array (2, 3).

    Direction cosines are often written with three or four digits, so that their length is not
    quite one, which would pass for another pixel spacing.

    Parameters
    ----------
    orientation : six floats
        Image Orientation (Patient). Vectors without length give NaN.
    """
    stated = np.reshape(np.asarray(orientation, float), (2, 3))
    return np.asarray(stated / np.linalg.norm(stated, axis=1, keepdims=True))


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Return the unit vector, LPS+, shape (3,), along which the slices ascend.

    Parameters
    ----------
    orientation : six floats
        Image Orientation (Patient); parallel vectors give NaN.
    """
    along_row, along_column = np.reshape(np.asarray(orientation, float), (2, 3))
    normal = np.cross(along_row, along_column)
    return np.asarray(normal / np.linalg.norm(normal))


def is_placed(frame: FrameHeader) -> bool:
    """Whether a frame says where it lies: a position, and two unit vectors at right angles.

    Their cosine, and the squares of their lengths, may be 0.01 off.
    """
    if frame.position is None or frame.orientation is None:
        return False
    directions = np.reshape(np.asarray(frame.orientation, float), (2, 3))
    return bool(np.allclose(directions @ directions.T, np.eye(2), atol=1e-2))


def distances(frames: Sequence[FrameHeader]) -> NDArray[np.float64]:
    """Return the frames' positions along the normal of the first one, mm.

    Parameters
    ----------
    frames : sequence of FrameHeader
        One or more, each with a position.

    Returns
    -------
    ndarray, shape (len(frames),)

    Raises
    ------
    ValueError
        If the first one states no orientation.
    """
    orientation = frames[0].orientation
    if orientation is None:
        raise ValueError("the frames state no orientation")
    return np.array([frame.position for frame in frames], float) @ normal_of(orientation)


def coincide(along: NDArray[np.float64]) -> bool:
    """Whether any two of these sorted positions (mm) are less than a micrometre apart."""
    return bool((np.diff(along) < _SAME).any())


def deviation(along: NDArray[np.float64]) -> float:
    """Return how far a position is from its regular place at most.

    Parameters
    ----------
    along : ndarray of float, shape (n,)
        Positions along the normal, mm, rising.

    Returns
    -------
    float
        In slice distances; 0 for fewer than three.
    """
    if len(along) < 3:
        return 0.0
    step = (along[-1] - along[0]) / (len(along) - 1)
    regular = along[0] + step * np.arange(len(along))
    return float(np.abs(along - regular).max() / step)


def is_regular(along: NDArray[np.float64]) -> bool:
    """Whether an affine can say where slices at these sorted positions lie, mm; see `deviation`."""
    return deviation(along) <= LARGEST_DEVIATION


def regular_runs(along: NDArray[np.float64]) -> list[slice]:
    """Split sorted positions into runs of one slice distance each.

    Several mean that slices are missing, or that the distance changes on the way.

    Parameters
    ----------
    along : ndarray of float, shape (n,)
        Positions along the normal, mm, rising, no two the same.

    Returns
    -------
    list of slice
        Of indices; one after another they cover all positions.
    """
    if is_regular(along):
        return [slice(0, len(along))]
    steps = np.diff(along)
    usual = float(np.median(steps))
    gaps = np.flatnonzero(np.abs(steps - usual) > usual / 2) + 1
    bounds = [0, *gaps.tolist(), len(along)]
    runs = [slice(a, b) for a, b in pairwise(bounds)]
    if all(is_regular(along[run]) for run in runs):
        return runs
    runs, start = [], 0
    while start < len(along):
        stop = start + 2
        while (
            stop < len(along)
            and abs(steps[stop - 1] - steps[start]) <= LARGEST_DEVIATION * steps[start]
        ):
            stop += 1
        runs.append(slice(start, min(stop, len(along))))
        start = stop
    return runs


def place(frames: Sequence[FrameHeader]) -> tuple[Geometry, tuple[str, ...]]:
    """Return the geometry of frames that are sorted along their normal, and remarks on it.

    Parameters
    ----------
    frames : sequence of FrameHeader
        One run of `regular_runs`, or frames that state no positions, in their order.

    Returns
    -------
    Geometry
        Of an array ``[column, row, slice]``; of ``[slice, row, column]``, not oriented, where the
        frames state no positions. A single frame has no slice axis.
    tuple of str
        One sentence for each thing that the user ought to know.

    Raises
    ------
    FormatError
        If the frames say where they lie, and no affine can.
    """
    first = frames[0]
    path = first.file.path
    spacing, unit, remarks = _pixel_spacing(first)
    if not is_placed(first) or first.orientation is None:
        return _unplaced(frames, spacing, unit, remarks)
    along_row, along_column = directions_of(first.orientation)
    normal = normal_of(first.orientation)
    positions = np.array([frame.position for frame in frames], float)
    lps = np.eye(4)
    lps[:3, 0] = along_row * spacing[1]
    lps[:3, 1] = along_column * spacing[0]
    lps[:3, 2] = normal
    lps[:3, 3] = positions[0]
    shape: tuple[int, ...] = (first.file.columns, first.file.rows)
    if len(frames) > 1:
        step = (positions[-1] - positions[0]) / (len(frames) - 1)
        lps[:3, 2] = step
        shape = (*shape, len(frames))
        remarks += _remarks_on_slices(path, positions, step, normal, min(spacing))
    try:
        return Geometry(np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps, shape), tuple(remarks)
    except ValueError as error:
        raise FormatError(
            f"{path} does not say where its voxels lie: {error}; export it again."
        ) from error


def _remarks_on_slices(
    path: str,
    positions: NDArray[np.float64],
    step: NDArray[np.float64],
    normal: NDArray[np.float64],
    pixel: float,
) -> list[str]:
    off = positions - positions[0] - np.arange(len(positions))[:, None] * step
    across = off - np.outer(off @ normal, normal)
    shifted = float(np.linalg.norm(across, axis=1).max())
    if shifted > max(pixel, _SAME):
        raise FormatError(
            f"{path} and its series cannot be one volume: slices are shifted sideways by up to "
            f"{shifted:.3g} mm against each other; resample the series."
        )
    remarks = []
    distance = float(step @ normal)
    furthest = float(np.linalg.norm(off, axis=1).max())
    if furthest > max(_SAID * distance, _SAME):
        remarks.append(
            f"The slices are not evenly spaced: they lie up to {furthest:.2g} mm from where they "
            f"are shown, with one every {distance:.4g} mm."
        )
    tilt = np.degrees(np.arccos(np.clip(distance / np.linalg.norm(step), -1.0, 1.0)))
    if tilt > _TILTED:
        remarks.append(
            f"The gantry was tilted by {tilt:.1f}°: the slices are shown as if it were not, and "
            "exported where they are."
        )
    return remarks


def _pixel_spacing(frame: FrameHeader) -> tuple[tuple[float, float], str, list[str]]:
    if frame.pixel_spacing is None:
        remark = "The files do not say how large a pixel is: 1 is taken, and no size is right."
        return (1.0, 1.0), "mm" if is_placed(frame) else "pixel", [remark]
    between_rows, between_columns = frame.pixel_spacing
    if min(between_rows, between_columns) <= 0:
        raise FormatError(
            f"{frame.file.path} states a pixel spacing of {between_rows:g} × {between_columns:g} "
            "mm; correct its header."
        )
    return (between_rows, between_columns), "mm", []


def _unplaced(
    frames: Sequence[FrameHeader], spacing: tuple[float, float], unit: str, remarks: list[str]
) -> tuple[Geometry, tuple[str, ...]]:
    """Geometry of frames without position: one after another, in no known direction."""
    first = frames[0]
    shape: tuple[int, ...] = (first.file.rows, first.file.columns)
    if len(frames) == 1:
        return Geometry.from_spacing(spacing, shape, units=unit), tuple(remarks)
    between = first.slice_spacing
    if between is None:
        remarks.append(
            "The files do not say how far apart the slices are: the distance of the rows is taken."
        )
    remarks.append("The files do not say where the slices lie in the patient.")
    return (
        Geometry.from_spacing((between or spacing[0], *spacing), (len(frames), *shape), units=unit),
        tuple(remarks),
    )
