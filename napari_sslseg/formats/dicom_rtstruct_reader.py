"""Contours of a DICOM RT Structure Set, as its file states them.

.. [1] DICOM PS3.3, C.8.8.5 Structure Set, C.8.8.6 ROI Contour
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .dicom_attributes import text_of
from .dicom_opening import is_dicom, mapped, read_dataset
from .errors import FormatError
from .extras import needing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

_RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"

#: Geometric types that bound an area. Files that state none mean these.
_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "")

#: Millimetres from the origin within which no patient is left.
_FARTHEST = 1e6

#: Structure sets that a message names.
_LISTED = 4


@dataclass(frozen=True)
class StructureRegion:
    """One region of interest.

    Parameters
    ----------
    name : str
        Unique within its file; never empty.
    color : str
        ``#rrggbb``, empty where it is not stated.
    kind : str
        RT ROI Interpreted Type, such as ``"EXTERNAL"`` for the outline of the body; may be empty.
    frame_of_reference : str
        UID of the space that its positions are in, empty where it is not stated.
    contours : tuple of ndarray, shape (n, 3)
        Corners of closed polygons in LPS+, mm; each polygon once. One or two corners may be all
        of the border of a mask.
    others : int
        Points and open lines, which bound no area.
    """

    name: str
    color: str
    kind: str
    frame_of_reference: str
    contours: tuple[NDArray[np.float64], ...]
    others: int


def is_structure_set(path: Path) -> bool:
    """Whether a file is an RT Structure Set; false also where it cannot be read."""
    if not (is_dicom(path) or path.suffix.lower() == ".dcm"):
        return False
    try:
        from pydicom.filereader import read_partial

        def is_beyond(tag: int, *_: Any) -> bool:
            return tag > 0x00080016  # the SOP Class UID

        with warnings.catch_warnings(), mapped(str(path)) as file:
            warnings.simplefilter("ignore")
            header = read_partial(cast("Any", file), stop_when=is_beyond, force=True)
    except Exception:  # not there, not allowed, not DICOM, or no pydicom: another reader says so
        return False
    return text_of(header, "SOPClassUID") == _RT_STRUCTURE_SET


def structure_set_at(path: Path) -> Path | None:
    """Return the structure set that a path means: the file, or the only one in a folder.

    Raises
    ------
    FormatError
        If a folder holds several.
    """
    if os.path.isfile(path):  # which says no of what cannot be a file's name
        return path if is_structure_set(path) else None
    try:
        found = [file for file in sorted(path.iterdir()) if is_structure_set(file)]
    except OSError:  # not there, or not to be listed: another reader says so
        return None
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:_LISTED])
        more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise FormatError(f"{path} holds several structure sets: {names}{more}; choose one file.")
    return found[0] if found else None


def read_structure_set(path: Path) -> tuple[StructureRegion, ...]:
    """Read the regions of a structure set, in the order of the file.

    Raises
    ------
    FormatError
        If it is damaged, or has no closed contour.
    """
    with needing("dicom", "RTSTRUCT"):
        import pydicom  # noqa: F401
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks on odd values
            regions = tuple(_regions(read_dataset(str(path))))
    except PermissionError as error:
        raise FormatError(f"{path} may not be read; change its permissions.") from error
    except MemoryError as error:
        raise FormatError(f"{path} does not fit into memory; close other programs.") from error
    except Exception as error:  # pydicom raises nearly anything on damaged files
        raise FormatError(
            f"{path} cannot be read as a DICOM structure set: it is damaged or incomplete; copy "
            "or export it again."
        ) from error
    if not any(region.contours for region in regions):
        kinds = "but points and open lines" if any(r.others for r in regions) else "drawn in it"
        raise FormatError(f"{path} has nothing {kinds}; export closed contours.")
    return regions


def _regions(dataset: Dataset) -> Iterator[StructureRegion]:
    raw: Any = dataset.get_item("ROIContourSequence")
    if isinstance(raw.value, bytes) and len(raw.value) < raw.length:  # still as it was read
        raise ValueError("the contours are cut short, maybe between two")
    default = text_of(dataset, "FrameOfReferenceUID")
    for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ():
        default = default or text_of(frame, "FrameOfReferenceUID")
    kinds = {
        int(row.ReferencedROINumber): text_of(row, "RTROIInterpretedType")
        for row in dataset.get("RTROIObservationsSequence") or ()
    }
    drawn: dict[int, list[Dataset]] = {}
    for row in dataset.ROIContourSequence:
        drawn.setdefault(int(row.ReferencedROINumber), []).append(row)
    stated = {int(row.ROINumber): row for row in dataset.StructureSetROISequence}
    if not set(drawn) <= set(stated):
        raise ValueError("contours of a region that is not described")
    names: set[str] = set()
    for number, row in stated.items():
        name = text_of(row, "ROIName").strip() or f"ROI {number}"
        if name.casefold() in names:
            name = f"{name} ({number})"
        names.add(name.casefold())
        frame = text_of(row, "ReferencedFrameOfReferenceUID") or default
        rows = drawn.get(number, [])
        contours, others = _contours(rows)
        yield StructureRegion(name, _color(rows), kinds.get(number, ""), frame, contours, others)


def _color(rows: list[Dataset]) -> str:
    values = [int(v) for row in rows[:1] for v in row.get("ROIDisplayColor") or ()]
    if len(values) != 3 or not all(0 <= v <= 255 for v in values):
        return ""
    return "#{:02x}{:02x}{:02x}".format(*values)


def _contours(rows: list[Dataset]) -> tuple[tuple[NDArray[np.float64], ...], int]:
    """Return the closed contours of a region, and how many others there are."""
    found: dict[bytes, NDArray[np.float64]] = {}
    others = 0
    for contour in (c for row in rows for c in row.get("ContourSequence") or ()):
        points = _points(contour)
        if len(points) > 1 and np.array_equal(points[0], points[-1]):
            points = points[:-1]
        kind = text_of(contour, "ContourGeometricType")
        if kind in _CLOSED and len(points) > (0 if kind else 2):
            # Some programs store a contour twice, which would cancel out.
            found.setdefault(points.tobytes(), points)
        else:
            others += 1
    return tuple(found.values()), others


def _points(contour: Dataset) -> NDArray[np.float64]:
    """Return the points of a contour.

    As the bytes of the file: pydicom makes an object of each of what may be millions of numbers.
    """
    item: Any = contour.get_item("ContourData")
    if item is None:
        raise ValueError("a contour is cut off")
    data = item.value or ()
    words = data.split(b"\\") if isinstance(data, bytes) else data
    numbers = np.asarray(words).astype(np.float64).reshape(-1, 3)
    stated = contour.get("NumberOfContourPoints")
    if not (np.abs(numbers) < _FARTHEST).all():
        raise ValueError("positions that are none")
    if stated is not None and int(stated) != len(numbers):
        raise ValueError("a contour is cut short")
    return numbers
