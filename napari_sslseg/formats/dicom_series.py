"""What a DICOM volume was made of, and what a folder of DICOM files holds.

Nothing here depends on pydicom, so that exporters can use it whatever is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .choice import Choice

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..volume.geometry import Geometry


@dataclass(frozen=True)
class DicomFrame:
    """One slice of a volume, as DICOM describes it; None stands for what it does not state.

    Parameters
    ----------
    path : str
        File that holds the frame.
    sop_instance_uid : str
        SOP Instance UID of that file.
    number : int
        One-based frame number within the file; 1 in a single-frame file.
    position : tuple of three float, or None
        Image Position (Patient): centre of the first pixel, LPS+, mm.
    orientation : tuple of six float, or None
        Image Orientation (Patient): direction in which the column index ascends, then that in
        which the row index ascends, LPS+.
    pixel_spacing : tuple of two float, or None
        Distance of the rows, then of the columns, mm.
    """

    path: str
    sop_instance_uid: str
    number: int
    position: tuple[float, float, float] | None
    orientation: tuple[float, float, float, float, float, float] | None
    pixel_spacing: tuple[float, float] | None


@dataclass(frozen=True)
class DicomSource:
    """Where the slices of a DICOM volume came from: the ``header`` of its `Volume`.

    Where the files state positions, the volume's array is indexed ``[column, row, slice]``, as
    ITK and dcm2niix have it; where they do not (``geometry.oriented`` is false), ``[slice, row,
    column]``. An image of two dimensions has one frame and no slice axis. `frames_first` gives
    ``[frame, row, column]`` in every case, and ``frames[k]`` is its frame ``k``.

    It names nobody: an exporter that needs more of the headers reads them from the files.

    Parameters
    ----------
    frames : tuple of DicomFrame
        One for each slice, in the order of the array.
    geometry : Geometry
        Geometry that the frames were found to have.
    study_instance_uid, series_instance_uid, frame_of_reference_uid : str
        UIDs of the source, empty where the files have none.
    sop_class_uid : str
        SOP class of the files.
    modality : str
        Such as ``"CT"`` or ``"MR"``.
    multiframe : bool
        Whether the files are enhanced multi-frame objects.
    """

    frames: tuple[DicomFrame, ...]
    geometry: Geometry
    study_instance_uid: str
    series_instance_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    modality: str
    multiframe: bool = False

    def frames_first(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view ``(frames, rows, columns)`` of an array on the volume's grid.

        Parameters
        ----------
        array : ndarray, shape `geometry.shape`
            Without channels.
        """
        if self.geometry.oriented:
            array = array.transpose(tuple(range(self.geometry.ndim))[::-1])
        return array[np.newaxis] if self.geometry.ndim == 2 else array

    @property
    def paths(self) -> tuple[str, ...]:
        """Files of the volume, each once, in the order of its slices."""
        return tuple(dict.fromkeys(frame.path for frame in self.frames))


@dataclass(frozen=True)
class SeriesInfo(Choice):
    """One volume that a folder of DICOM files holds.

    Parameters
    ----------
    key, title
        As in `Choice`.
    modality : str
        Such as ``"CT"`` or ``"MR"``.
    description : str
        Series Description, perhaps empty.
    shape : tuple of int
        Columns, rows, slices.
    spacing : tuple of float
        Distance of the columns, of the rows and of the slices, mm; zero where it is unknown.
    series_instance_uid : str
    paths : tuple of str
        Files of the volume.
    """

    modality: str = ""
    description: str = ""
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    series_instance_uid: str = ""
    paths: tuple[str, ...] = ()
