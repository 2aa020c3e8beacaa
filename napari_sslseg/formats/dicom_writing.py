"""What writing a DICOM segmentation and writing a structure set have in common.

Both hold the classes that have voxels, numbered from 1 in the order of their ids, and refer to the
images that the labels were made on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..volume.classes import voxel_counts
from .dicom_origin import read_headers, source_of
from .errors import FormatError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from ..volume.classes import ClassTable, SegmentClass
    from ..volume.image import Volume
    from .dicom_series import DicomSource

MANUFACTURER = "napari-sslseg"

#: Added to the series number of the source, so that the two do not collide in a list.
SERIES_OFFSET = 1000


@dataclass(frozen=True)
class Labelled:
    """Labels, and the images that they are on.

    Parameters
    ----------
    source : DicomSource
    headers : list of pydicom Dataset
        Of the source's files; without patient and study if that was asked for.
    present : list of SegmentClass
        Classes with voxels, by rising id.
    """

    source: DicomSource
    headers: list[Dataset]
    present: list[SegmentClass]


def labelled(
    labels: NDArray[np.uint8], like: Volume, classes: ClassTable, anonymous: bool
) -> Labelled:
    """Find out what is to be written, and on which images.

    Parameters
    ----------
    labels : ndarray of uint8, spatial shape of `like`
        Class ids.
    like : Volume
        Whose DICOM images the labels are on.
    classes : ClassTable
        Those without voxels are left out; voxels of other values belong to no class.
    anonymous : bool
        Headers without patient and study.

    Raises
    ------
    FormatError
        If `like` did not come from DICOM, its files are gone, or no voxel has a class.
    """
    source = source_of(like)
    counts = voxel_counts(labels)
    present = [item for item in classes if counts[item.id]]
    if not present:
        raise FormatError("There is nothing to export: no voxel belongs to any class.")
    return Labelled(source, read_headers(source, anonymous), present)


def say_anonymous(written: Dataset) -> None:
    """State in a pydicom Dataset, which is changed, that it names no patient."""
    written.PatientIdentityRemoved = "YES"
    written.DeidentificationMethod = "Patient and study left empty; UIDs kept"
