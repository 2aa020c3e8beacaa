"""DICOM segmentations by highdicom: one binary segment a class, on the frames of the source.

.. [1] DICOM PS3.3, A.51 Segmentation IOD
.. [2] https://highdicom.readthedocs.io
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from .dicom_writing import MANUFACTURER, SERIES_OFFSET, labelled, say_anonymous
from .errors import FormatError
from .extras import needing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

    from ..volume.classes import ClassTable, SegmentClass
    from ..volume.image import Volume
    from ..volume.terminology import Code
    from .dicom_series import DicomSource

NAME = "DICOM-SEG"

#: Enhanced MR Image Storage: the SOP class of what stands for multi-frame images.
_ENHANCED = "1.2.840.10008.5.1.4.1.1.4.1"

#: Longest Segment Label and Tracking ID that DICOM can store.
_LONGEST_LABEL = 64


def write(
    path: Path, labels: NDArray[np.uint8], like: Volume, classes: ClassTable, anonymous: bool
) -> None:
    """Write a segmentation that refers to every image of its source.

    Parameters
    ----------
    path : Path
    labels : ndarray of uint8
        In the file order of `like`. Values that are no class of the table are left out.
    like : Volume
        Read from DICOM.
    classes : ClassTable
        Those with voxels become segments, numbered from 1 in the order of their ids.
    anonymous : bool
        Leave patient and study attributes empty. The UIDs of the source stay.

    Raises
    ------
    FormatError
        If `like` did not come from DICOM, its files are gone, no voxel has a class, or a single
        slice has no known thickness.
    """
    with needing("dicom", NAME):
        import highdicom as hd
        import pydicom.uid
    on = labelled(labels, like, classes, anonymous)
    source, headers, present = on.source, on.headers, on.present
    numbers = np.zeros(256, dtype=np.uint8)
    numbers[[item.id for item in present]] = np.arange(1, len(present) + 1)
    first = headers[0]
    stacked = source.multiframe or len(headers) < len(source.frames)
    images = [_multiframe(first, source)] if stacked else _each(headers, source)
    written = hd.seg.Segmentation(
        source_images=images,
        pixel_array=numbers[source.frames_first(labels)],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_describe(n, item) for n, item in enumerate(present, 1)],
        series_instance_uid=pydicom.uid.generate_uid(),
        series_number=int(first.get("SeriesNumber") or 0) + SERIES_OFFSET,
        sop_instance_uid=pydicom.uid.generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number="0",
        content_label="SEGMENTATION",
        series_description="Segmentation",
        omit_empty_frames=True,
        specific_character_set="ISO_IR 192",
    )
    if stacked:
        _refer(written, source)
    if anonymous:
        say_anonymous(written)
    written.save_as(path)


def _describe(number: int, item: SegmentClass) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    terms = item.terms
    label = item.name[:_LONGEST_LABEL].replace("\\", "/")
    red, green, blue = (int(item.color[i : i + 2], 16) for i in (1, 3, 5))
    segment = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=_code(terms.category),
        segmented_property_type=_code(terms.kind),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=MANUFACTURER,
            version=__version__,
            family=codes.cid7162.ArtificialIntelligence,
        ),
        tracking_uid=generate_uid(),
        tracking_id=label,
        display_color=hd.color.CIELabColor.from_rgb(red, green, blue),
    )
    if terms.side is not None:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_code(terms.side)]
    return segment


def _code(code: Code) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(code.value, code.scheme, code.meaning)


def _each(headers: list[Dataset], source: DicomSource) -> list[Dataset]:
    """Return the headers of single-frame files; directions that are rounded unalike made one.

    What a segmentation has to state of its pixels may be empty in an image, or stand elsewhere.
    """
    if source.frames[0].orientation is None:
        return headers
    for header, frame in zip(headers, source.frames, strict=True):
        header.ImageOrientationPatient = headers[0].ImageOrientationPatient
        if not header.get("PixelSpacing"):
            header.PixelSpacing = _decimals(frame.pixel_spacing)
        if _is_empty(header, "SliceThickness"):
            header.SliceThickness = _thickness(header, source)
    return headers


def _multiframe(header: Dataset, source: DicomSource) -> Dataset:
    """Return a header as of one multi-frame image that holds the volume's frames and no others.

    Real ones may hold several orientations and time points, have their frames in another order,
    be several files, or be of the old kind, which highdicom does not know.
    """
    import copy

    from pydicom.dataset import Dataset

    image = copy.copy(header)
    image.SOPClassUID = _ENHANCED
    image.NumberOfFrames = len(source.frames)
    shared, each = Dataset(), []
    first = source.frames[0]
    if first.position is not None:
        shared.PixelMeasuresSequence = [_measures(header, source)]
        orientation = Dataset()
        orientation.ImageOrientationPatient = _decimals(first.orientation)
        shared.PlaneOrientationSequence = [orientation]
        for frame in source.frames:
            position, item = Dataset(), Dataset()
            position.ImagePositionPatient = _decimals(frame.position)
            item.PlanePositionSequence = [position]
            each.append(item)
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = each
    return image


def _measures(header: Dataset, source: DicomSource) -> Dataset:
    """Return the pixel measures of the frames, with the slice thickness of the file."""
    from pydicom.dataset import Dataset

    frame = source.frames[0]
    measures = Dataset()
    measures.PixelSpacing = _decimals(frame.pixel_spacing)
    if source.geometry.ndim == 3:
        # Empty slices are left out, so that the distance could not be told from the positions.
        measures.SpacingBetweenSlices = _decimals([_slice_distance(source)])[0]
    groups = [
        *header.get("PerFrameFunctionalGroupsSequence", [])[frame.number - 1 : frame.number],
        *header.get("SharedFunctionalGroupsSequence", []),
    ]
    for group in groups:
        for given in group.get("PixelMeasuresSequence", []):
            if "SliceThickness" not in measures and not _is_empty(given, "SliceThickness"):
                measures["SliceThickness"] = given["SliceThickness"]
    if "SliceThickness" not in measures:
        measures.SliceThickness = _thickness(header, source)
    return measures


def _is_empty(dataset: Dataset, keyword: str) -> bool:
    return dataset.get(keyword) in (None, "")


def _thickness(header: Dataset, source: DicomSource) -> Any:
    """Return the slice thickness that a file states once, else the distance of the slices.

    A segmentation without a thickness cannot be read by highdicom.
    """
    if not _is_empty(header, "SliceThickness"):
        return header.SliceThickness
    if source.geometry.ndim == 3:
        return _decimals([_slice_distance(source)])[0]
    if _is_empty(header, "SpacingBetweenSlices"):
        raise FormatError(
            f"{source.frames[0].path} does not state the thickness of its single slice, which "
            "DICOM-SEG has to state; choose NIfTI or NRRD."
        )
    return _decimals([abs(float(header.SpacingBetweenSlices))])[0]


def _slice_distance(source: DicomSource) -> float:
    """Return the distance of the slices along their normal (they may be sheared), mm."""
    axes = source.geometry.in_millimetres().affine[:3, :3]
    normal = np.cross(axes[:, 0], axes[:, 1])
    return float(abs(axes[:, 2] @ normal) / np.linalg.norm(normal))


def _refer(written: Dataset, source: DicomSource) -> None:
    """Let the frames of a segmentation refer to the real frames that `_multiframe` stood for."""
    from pydicom.dataset import Dataset

    # The segments on one frame share its reference, which must not be changed twice.
    images = {
        id(image): image
        for group in written.PerFrameFunctionalGroupsSequence
        for derivation in group.get("DerivationImageSequence", [])
        for image in derivation.SourceImageSequence
    }
    for image in images.values():
        frame = source.frames[int(image.ReferencedFrameNumber) - 1]
        image.ReferencedSOPClassUID = source.sop_class_uid
        image.ReferencedSOPInstanceUID = frame.sop_instance_uid
        image.ReferencedFrameNumber = frame.number
    references = []
    for uid in dict.fromkeys(frame.sop_instance_uid for frame in source.frames):
        reference = Dataset()
        reference.ReferencedSOPClassUID = source.sop_class_uid
        reference.ReferencedSOPInstanceUID = uid
        references.append(reference)
    written.SourceImageSequence = references
    written.ReferencedSeriesSequence[0].ReferencedInstanceSequence = references


def _decimals(values: Any) -> list[Any]:
    """Return decimal strings of at most 16 characters, as many digits as fit."""
    from pydicom.valuerep import DSfloat

    return [DSfloat(float(value), auto_format=True) for value in values]
