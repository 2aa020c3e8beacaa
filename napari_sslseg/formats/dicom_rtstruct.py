"""Contours as a DICOM RT Structure Set, by pydicom.

.. [1] DICOM PS3.3, A.19 RT Structure Set IOD
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from .contours import outlines
from .dicom_geometry import directions_of
from .dicom_origin import source_of
from .dicom_origin import why_not as why_no_dicom
from .dicom_writing import MANUFACTURER, SERIES_OFFSET, labelled, say_anonymous
from .errors import FormatError
from .extras import needing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from ..volume.classes import ClassTable, SegmentClass
    from ..volume.image import Volume
    from ..volume.terminology import Code
    from .dicom_series import DicomFrame, DicomSource

NAME = "RTSTRUCT"

_RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"  # retired, and still what readers expect here


def why_not(volume: Volume) -> str:
    """Return why no structure set can be made for a volume, as a clause; empty if one can."""
    reason = why_no_dicom(volume)
    if reason:
        return reason
    if not volume.geometry.oriented:
        return "its DICOM images do not say where they lie, as contours have to"
    return ""


def write(
    path: Path, labels: NDArray[np.uint8], like: Volume, classes: ClassTable, anonymous: bool
) -> None:
    """Write the outlines of every class in every slice of the source.

    Parameters
    ----------
    path : Path
    labels : ndarray of uint8
        In the file order of `like`.
    like : Volume
        Read from DICOM.
    classes : ClassTable
        Those with voxels become regions of interest, numbered from 1 in the order of their ids.
    anonymous : bool
        Leave patient and study attributes empty. The UIDs of the source stay.

    Raises
    ------
    FormatError
        If `like` did not come from DICOM, its files are gone, or no voxel has a class.
    """
    with needing("dicom", NAME):
        import pydicom
        from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
        from pydicom.uid import UID, ImplicitVRLittleEndian, generate_uid
    source_of(like)  # says so where there is none
    reason = why_not(like)
    if reason:
        raise FormatError(f"Contours are not possible here: {reason}; choose DICOM-SEG or NIfTI.")
    on = labelled(labels, like, classes, anonymous)
    source, header = on.source, on.headers[0]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_RT_STRUCTURE_SET)
    meta.MediaStorageSOPInstanceUID = generate_uid()
    # A contour may have more numbers than the lengths of explicit VR can count.
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    out = FileDataset(str(path), Dataset(), file_meta=meta, preamble=b"\0" * 128)
    _describe(out, header, source)
    out.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source)]
    frames = source.frames_first(labels)
    regions, contours, observations = [], [], []
    for number, item in enumerate(on.present, 1):
        regions.append(_region(number, item, source))
        drawn = [
            _contour(corners, frame, source)
            for plane, frame in zip(frames, source.frames, strict=True)
            for corners in _corners(plane == item.id, frame)
        ]
        region = Dataset()
        region.ROIDisplayColor = [int(item.color[i : i + 2], 16) for i in (1, 3, 5)]
        region.ContourSequence = drawn
        region.ReferencedROINumber = number
        contours.append(region)
        observations.append(_observation(number, item))
    out.StructureSetROISequence = regions
    out.ROIContourSequence = contours
    out.RTROIObservationsSequence = observations
    if anonymous:
        say_anonymous(out)
    pydicom.dcmwrite(path, out, enforce_file_format=True)


def _describe(out: Dataset, header: Dataset, source: DicomSource) -> None:
    """Add patient, study, series and equipment."""
    from pydicom.uid import generate_uid

    from .dicom_origin import REQUIRED

    out.SpecificCharacterSet = "ISO_IR 192"
    for keyword in REQUIRED:
        out[keyword] = header[keyword]
    date, clock = time.strftime("%Y%m%d"), time.strftime("%H%M%S")
    out.SOPClassUID = _RT_STRUCTURE_SET
    out.SOPInstanceUID = out.file_meta.MediaStorageSOPInstanceUID
    out.StudyInstanceUID = source.study_instance_uid
    out.SeriesInstanceUID = generate_uid()
    out.SeriesNumber = int(header.get("SeriesNumber") or 0) + SERIES_OFFSET
    out.SeriesDescription = "Contours"
    out.Modality = "RTSTRUCT"
    out.FrameOfReferenceUID = source.frame_of_reference_uid
    out.PositionReferenceIndicator = ""
    out.InstanceNumber = 1
    out.InstanceCreationDate = out.StructureSetDate = date
    out.InstanceCreationTime = out.StructureSetTime = clock
    out.OperatorsName = ""
    out.Manufacturer = out.ManufacturerModelName = MANUFACTURER
    out.SoftwareVersions = __version__
    out.StructureSetLabel = "Labels"
    out.ApprovalStatus = "UNAPPROVED"


def _frame_of_reference(source: DicomSource) -> Dataset:
    """Return the reference to every image of the source."""
    from pydicom.dataset import Dataset

    series, study, found = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = source.series_instance_uid
    series.ContourImageSequence = [_image(frame, source) for frame in source.frames]
    study.ReferencedSOPClassUID = _STUDY_MANAGEMENT
    study.ReferencedSOPInstanceUID = source.study_instance_uid
    study.RTReferencedSeriesSequence = [series]
    found.FrameOfReferenceUID = source.frame_of_reference_uid
    found.RTReferencedStudySequence = [study]
    return found


def _image(frame: DicomFrame, source: DicomSource) -> Dataset:
    from pydicom.dataset import Dataset

    image = Dataset()
    image.ReferencedSOPClassUID = source.sop_class_uid
    image.ReferencedSOPInstanceUID = frame.sop_instance_uid
    if source.multiframe or len(source.paths) < len(source.frames):
        image.ReferencedFrameNumber = frame.number
    return image


def _region(number: int, item: SegmentClass, source: DicomSource) -> Dataset:
    from pydicom.dataset import Dataset

    region = Dataset()
    region.ROINumber = number
    region.ReferencedFrameOfReferenceUID = source.frame_of_reference_uid
    region.ROIName = item.name[:64].replace("\\", "/")
    region.ROIGenerationAlgorithm = "SEMIAUTOMATIC"
    return region


def _observation(number: int, item: SegmentClass) -> Dataset:
    from pydicom.dataset import Dataset

    terms = item.terms
    kind = _code(terms.kind)
    if terms.side is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [_code(terms.side)]
    observation = Dataset()
    observation.ObservationNumber = number
    observation.ReferencedROINumber = number
    observation.RTROIIdentificationCodeSequence = [kind]
    observation.RTROIInterpretedType = ""
    observation.ROIInterpreter = ""
    return observation


def _code(code: Code) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code.value, code.scheme
    item.CodeMeaning = code.meaning
    return item


def _corners(mask: NDArray[np.bool_], frame: DicomFrame) -> Iterator[NDArray[np.float64]]:
    """Yield the outlines of a mask (row, column) on a frame as LPS+ positions, mm."""
    along_row, along_column = directions_of(frame.orientation or ())
    between_rows, between_columns = frame.pixel_spacing or (1.0, 1.0)
    for polygon in outlines(mask):
        yield (
            np.asarray(frame.position, float)
            + polygon[:, :1] * between_rows * along_column
            + polygon[:, 1:] * between_columns * along_row
        )


def _contour(corners: NDArray[np.float64], frame: DicomFrame, source: DicomSource) -> Dataset:
    from pydicom.dataset import Dataset

    contour = Dataset()
    contour.ContourImageSequence = [_image(frame, source)]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(corners)
    decimals: Any = [f"{value:.6f}" for value in corners.ravel()]
    contour.ContourData = decimals
    return contour
