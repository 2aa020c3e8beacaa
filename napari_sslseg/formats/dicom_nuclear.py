"""Frames of multi-frame objects without functional groups, as of nuclear medicine.

They state one position and one distance for all frames; vectors with a number for each frame say
which slice it is of, and which time slot, R-R interval, phase or energy window.

.. [1] DICOM PS3.3, C.8.4.8 NM Multi-frame Module
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .dicom_attributes import first_of, numbers_of, whole_of
from .dicom_geometry import normal_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

#: What tells frames of one slice apart, and the vector that says it.
_VECTORS = (
    ("energy window", "EnergyWindowVector"),
    ("detector", "DetectorVector"),
    ("phase", "PhaseVector"),
    ("R-R interval", "RRIntervalVector"),
    ("time slot", "TimeSlotVector"),
    ("time slice", "TimeSliceVector"),
)

#: Attributes to read beside those of the image plane.
NUCLEAR_TAGS = (
    "DetectorInformationSequence",
    "NumberOfSlices",
    "SliceVector",
    *(name for _, name in _VECTORS),
)


@dataclass(frozen=True)
class FrameVectors:
    """What the vectors of an object say of its frames.

    Parameters
    ----------
    slice_numbers : tuple of int, or None
        One-based number of the slice that each frame is of; None where the object does not say.
    others : dict of str to tuple of int
        By a word for the user, the numbers that are not the same for all frames.
    """

    slice_numbers: tuple[int, ...] | None
    others: dict[str, tuple[int, ...]]

    def slice_number(self, index: int) -> int | None:
        """Return the one-based slice of a frame, counted from 0; None where it is not said."""
        return None if self.slice_numbers is None else self.slice_numbers[index]

    def markers(self, index: int) -> dict[str, str]:
        """Return what tells a frame (index from 0) from others of its slice: number by word."""
        return {word: str(numbers[index]) for word, numbers in self.others.items()}


def frame_vectors(dataset: Dataset, frames: int) -> FrameVectors:
    """Read the vectors of an object; those that have another length than `frames` say nothing.

    Parameters
    ----------
    dataset : pydicom Dataset
        Of which `NUCLEAR_TAGS` were read.
    frames : int
        Number of Frames.
    """
    others = {}
    for word, name in _VECTORS:
        numbers = _vector(dataset, name, frames)
        if numbers is not None and len(set(numbers)) > 1:
            others[word] = numbers
    return FrameVectors(_vector(dataset, "SliceVector", frames), others)


def why_no_volume(dataset: Dataset, frames: int, multiframe: bool) -> str:
    """Return why the frames of an object cannot be told apart; empty if they can.

    Parameters
    ----------
    dataset : pydicom Dataset
    frames : int
    multiframe : bool
        Whether functional groups describe the frames, which need no vectors then.
    """
    if frames < 2 or multiframe:
        return ""
    vectors = frame_vectors(dataset, frames)
    slices = whole_of(dataset, "NumberOfSlices")
    if vectors.slice_numbers is not None:
        return ""
    if 0 < slices < frames:
        said = f"{frames} frames of {slices} slices"
    elif vectors.others and numbers_of(dataset, "SpacingBetweenSlices", 1):
        said = f"{frames} frames that differ in their {', '.join(vectors.others)}"
    else:
        return ""
    return (
        f"holds {said} and does not say which slice each frame is of; export it again as one "
        "series for each volume."
    )


def plane_of(
    dataset: Dataset,
    position: tuple[float, ...] | None,
    orientation: tuple[float, ...] | None,
    between: tuple[float, ...] | None,
    steps: int,
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return position and orientation of a frame, each None where the object does not say them.

    Parameters
    ----------
    dataset : pydicom Dataset
    position, orientation : tuple of float, or None
        Of the first slice, as far as the image plane module states them.
    between : tuple of one float, or None
        Spacing Between Slices, which may be negative.
    steps : int
        Slices between the first one and that of the frame.
    """
    detector = first_of(dataset, "DetectorInformationSequence")
    if detector is not None:
        position = position or numbers_of(detector, "ImagePositionPatient", 3)
        orientation = orientation or numbers_of(detector, "ImageOrientationPatient", 6)
    if position is None or orientation is None or not between:
        return None, None
    with np.errstate(invalid="ignore"):  # directions that are no directions are no place
        start = np.asarray(position) + steps * between[0] * normal_of(orientation)
    return (tuple(map(float, start)), orientation) if np.isfinite(start).all() else (None, None)


def _vector(dataset: Dataset, name: str, frames: int) -> tuple[int, ...] | None:
    numbers = numbers_of(dataset, name, frames)
    return None if numbers is None else tuple(map(int, numbers))
