"""DICOM segmentations as labels, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from ..volume.geometry import Geometry
from ..volume.image import Volume
from .dicom_geometry import directions_of
from .errors import FormatError
from .extras import needing
from .region_choice import chosen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: SOP classes of segmentations: binary or fractional, and of label maps.
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")

#: Segments that there are class ids for.
MOST_SEGMENTS = NOT_ANNOTATED - 1


@dataclass(frozen=True)
class SegmentFrame:
    """One frame of a segmentation.

    Parameters
    ----------
    segment : int
        Segment number; 0 in a label map, whose values are segment numbers.
    plane : ndarray of uint8 or uint16, shape (columns, rows, 1)
        Non-zero inside.
    geometry : Geometry
        Where the plane lies.
    """

    segment: int
    plane: NDArray[np.uint8] | NDArray[np.uint16]
    geometry: Geometry


@dataclass(frozen=True)
class Segmentation:
    """Frames of a file, and the labels of its segments by number."""

    frames: tuple[SegmentFrame, ...]
    names: dict[int, str]
    path: str

    def only(self, wanted: Sequence[str]) -> Segmentation:
        """Return the segments of some names, in that order.

        Raises
        ------
        FormatError
            If there is none of a name.
        """
        numbers = list(self.names)
        kept = [numbers[n] for n in chosen(self.path, list(self.names.values()), wanted)]
        frames = tuple(frame for frame in self.frames if frame.segment in (0, *kept))
        return Segmentation(frames, {n: self.names[n] for n in kept}, self.path)


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM segmentation; false also where it cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                return False
        import pydicom

        header = pydicom.dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
    except Exception:  # not there, not allowed, not DICOM, or no pydicom: another reader says so
        return False
    return str(header.get("SOPClassUID", "")) in _SEGMENTATIONS


def read_segmentation(path: Path) -> Segmentation:
    """Read a segmentation.

    Raises
    ------
    FormatError
        If it is damaged, of fractions, or does not say where its frames lie; if it has more
        segments than there are class ids, or highdicom is not installed.
    """
    with needing("dicom", "DICOM-SEG"):
        import highdicom as hd
    try:
        data = hd.seg.segread(path)
        if str(data.SegmentationType) == "FRACTIONAL":
            raise FormatError(
                f"{path} holds fractions of segments, not a mask; convert it to a binary one."
            )
        names = {int(s.SegmentNumber): str(s.SegmentLabel) for s in data.SegmentSequence}
        names.pop(BACKGROUND, None)  # which a label map may list
        if len(names) > MOST_SEGMENTS:
            raise FormatError(
                f"{path} has {len(names)} segments, but there are {MOST_SEGMENTS} class ids (1 to "
                f"{MOST_SEGMENTS}); leave segments out of it, or import them in several files."
            )
        pixels = np.asarray(data.pixel_array)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
        shared = data.SharedFunctionalGroupsSequence[0]
        frames = []
        for plane, group in zip(pixels, data.PerFrameFunctionalGroupsSequence, strict=True):
            both = (group, shared)
            number = 0
            if str(data.SegmentationType) == "BINARY":
                identified = _found(both, "SegmentIdentificationSequence")
                number = int(identified.ReferencedSegmentNumber)
            turned = np.ascontiguousarray(plane.T[..., None])
            frames.append(SegmentFrame(number, turned, _place(both, plane.shape)))
    except FormatError:
        raise
    except MemoryError as error:
        raise FormatError(f"{path} does not fit into memory; close other programs.") from error
    except Exception as error:  # pydicom and highdicom raise nearly anything on damaged files
        raise FormatError(
            f"{path} cannot be read as a DICOM segmentation: it is damaged, or does not say where "
            "it lies; export it again."
        ) from error
    return Segmentation(tuple(frames), names, str(path))


def whole_volume(path: Path) -> Volume:
    """Return a segmentation as one volume of segment numbers, for resampling.

    Returns
    -------
    Volume
        Of uint16, 0 where no segment is.

    Raises
    ------
    FormatError
        If its slices are not a regular stack, its segments overlap, or highdicom is missing.
    """
    with needing("dicom", "DICOM-SEG"):
        import highdicom as hd
    try:
        found = hd.seg.segread(path).get_volume(combine_segments=True, dtype=np.uint16)
    except Exception as error:  # the reasons of highdicom are for programmers
        raise FormatError(
            f"{path} cannot be resampled: its slices are not a regular stack, or its segments "
            "overlap; resample it elsewhere."
        ) from error
    lps = np.asarray(found.affine)
    return Volume(found.array, Geometry(np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps, found.array.shape))


def _place(groups: tuple[Any, ...], shape: tuple[int, ...]) -> Geometry:
    measures = _found(groups, "PixelMeasuresSequence")
    orientation = _found(groups, "PlaneOrientationSequence").ImageOrientationPatient
    position = _found(groups, "PlanePositionSequence").ImagePositionPatient
    along_row, along_column = directions_of(orientation)
    between_rows, between_columns = (float(v) for v in measures.PixelSpacing)
    thickness = float(measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 1)
    normal = np.cross(along_row, along_column)
    direction = np.stack([along_row, along_column, normal / np.linalg.norm(normal)], axis=1)
    rows, columns = shape
    return Geometry.from_lps(
        direction,
        (between_columns, between_rows, thickness),
        np.asarray(position, float),
        (columns, rows, 1),
    )


def _found(groups: tuple[Any, ...], sequence: str) -> Any:
    for group in groups:
        items = group.get(sequence)
        if items:
            return items[0]
    raise ValueError(f"there is no {sequence}")
