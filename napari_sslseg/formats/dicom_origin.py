"""The DICOM images that a volume was read from, for objects that are derived from them."""

from __future__ import annotations

import contextlib
import logging
import re
import warnings
from typing import TYPE_CHECKING

from .dicom_series import DicomSource
from .errors import FormatError
from .extras import needing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

    from ..volume.image import Volume

#: What derived objects need of an image; nothing here says whose it is.
_IMPERSONAL = [
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "Modality",
    "ImageType",
    "Rows",
    "Columns",
    "NumberOfFrames",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "InstanceNumber",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]

#: Patient and study, as every DICOM object has to state them, if only by an empty value.
REQUIRED = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


def why_not(volume: Volume) -> str:
    """Return why no DICOM object can be derived from a volume; empty if one can.

    The reason is a clause without a capital and a full stop. No file is looked at.
    """
    source = volume.header
    if not isinstance(source, DicomSource):
        return (
            "this volume did not come from DICOM images, or they are no longer where they were, "
            "and a DICOM object refers to the images it was drawn on"
        )
    if source.geometry != volume.geometry:
        return "the volume no longer has the grid of its DICOM images"
    if not volume.geometry.oriented and volume.geometry.ndim == 3:
        return "its DICOM images do not say where they lie"
    if not (source.study_instance_uid and source.series_instance_uid):
        return "its DICOM images do not name the study and series they belong to"
    if volume.geometry.oriented and not source.frame_of_reference_uid:
        return "its DICOM images do not name the frame of reference of their positions"
    if volume.geometry.oriented and any(frame.pixel_spacing is None for frame in source.frames):
        return "its DICOM images do not say how large a pixel is"
    return ""


def source_of(volume: Volume) -> DicomSource:
    """Return what a volume was read from.

    Raises
    ------
    FormatError
        If no DICOM object can be derived from it.
    """
    reason = why_not(volume)
    if reason:
        raise FormatError(f"DICOM is not possible here: {reason}; choose NIfTI or NRRD.")
    assert isinstance(volume.header, DicomSource)
    return volume.header


@contextlib.contextmanager
def discreet() -> Iterator[None]:
    """Keep pydicom from quoting odd values of a header in warnings and logs."""
    logger = logging.getLogger("pydicom")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


def read_headers(source: DicomSource, anonymous: bool) -> list[Dataset]:
    """Read the headers of a volume's files, one for each of `paths`, as far as they are needed.

    Parameters
    ----------
    source : DicomSource
    anonymous : bool
        Leave empty all that may say whose images these are; the UIDs stay, without which nothing
        could be found again.

    Raises
    ------
    FormatError
        If a file is missing, or is no longer the one that was read.
    """
    with needing("dicom", "DICOM"):
        import pydicom
    wanted = {frame.path: frame.sop_instance_uid for frame in source.frames}
    headers = []
    for path, uid in wanted.items():
        try:
            with discreet():
                header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
                same = str(header.get("SOPInstanceUID", "")) == uid
                headers.append(_reduced(header, anonymous))
        except Exception as error:  # missing, forbidden, damaged
            raise FormatError(
                f"{path} can no longer be read; put the DICOM images back where they were, or "
                "choose NIfTI or NRRD."
            ) from error
        if not same:
            raise FormatError(
                f"{path} is no longer the image it was; put the DICOM images back where they "
                "were, or choose NIfTI or NRRD."
            )
    return headers


def _reduced(header: Dataset, anonymous: bool) -> Dataset:
    """Return what derived objects need of a header, and nothing else."""
    from pydicom.dataset import Dataset

    kept = Dataset()
    for keyword in _IMPERSONAL:
        if keyword in header:
            kept[keyword] = header[keyword]
    for keyword in REQUIRED:
        if keyword in header and not anonymous:
            kept[keyword] = header[keyword]
        else:
            setattr(kept, keyword, "")
    if kept.PatientSex not in ("M", "F", "O"):
        kept.PatientSex = ""
    # Dates and times in an older way of writing, as 1997.04.24 and 14:04:38, are refused today.
    for kind, foreign, form in (
        ("Date", r"\D", r"\d{8}"),
        ("Time", r"[^\d.]", r"\d{2,6}(\.\d{1,6})?"),
    ):
        for keyword in (name for name in REQUIRED if name.endswith(kind)):
            text = re.sub(foreign, "", str(kept[keyword].value or ""))
            setattr(kept, keyword, text if re.fullmatch(form, text) else "")
    return kept
