"""Headers of DICOM files, single-frame and multi-frame alike, as a list of frames.

Attribute names are those of DICOM PS3.3: the image plane, pixel and VOI LUT modules of
single-frame objects, and the functional groups of enhanced multi-frame ones. Nothing that says
who the patient is gets read.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .dicom_attributes import Attributes, first_of, text_of, whole_of
from .dicom_nuclear import NUCLEAR_TAGS, FrameVectors, frame_vectors, plane_of, why_no_volume
from .dicom_opening import read_dataset
from .errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

#: Objects with rows and columns that are no images of the kind that is stacked: segmentations,
#: doses, parametric maps, and the tiles of whole slides.
_NO_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.77.1.6",
    "1.2.840.10008.5.1.4.1.1.66.4",
    "1.2.840.10008.5.1.4.1.1.66.7",
    "1.2.840.10008.5.1.4.1.1.481.2",
    "1.2.840.10008.5.1.4.1.1.30",
)

_TAGS = """
    SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID FrameOfReferenceUID Modality
    SeriesDescription SeriesNumber InstanceNumber AcquisitionNumber ImageType Rows Columns
    NumberOfFrames SamplesPerPixel PhotometricInterpretation BitsAllocated BitsStored
    PixelRepresentation ImagePositionPatient ImageOrientationPatient PixelSpacing
    ImagerPixelSpacing NominalScannedPixelSpacing SpacingBetweenSlices SliceThickness
    RescaleSlope RescaleIntercept ModalityLUTSequence WindowCenter WindowWidth EchoTime
    DiffusionBValue DiffusionGradientOrientation TemporalPositionIdentifier TriggerTime
    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence
""".split()  # noqa: SIM905 - one name a line would fill a page

#: What tells the volumes of one series apart: (word for the user, attribute, functional group).
_MARKERS = (
    ("echo time", "EchoTime", ""),
    ("echo time", "EffectiveEchoTime", "MREchoSequence"),
    ("b-value", "DiffusionBValue", ""),
    ("b-value", "DiffusionBValue", "MRDiffusionSequence"),
    ("time point", "TemporalPositionIdentifier", ""),
    ("time point", "TemporalPositionIndex", "FrameContentSequence"),
    ("trigger time", "TriggerTime", ""),
    ("trigger time", "NominalCardiacTriggerDelayTime", "CardiacSynchronizationSequence"),
    ("kind", "ImageType", ""),
    ("kind", "FrameType", "MRImageFrameTypeSequence"),
    ("kind", "FrameType", "CTImageFrameTypeSequence"),
    ("kind", "FrameType", "PETFrameTypeSequence"),
    ("stack", "StackID", "FrameContentSequence"),
    ("acquisition", "AcquisitionNumber", ""),
    ("direction", "DiffusionGradientOrientation", ""),
    ("direction", "DiffusionGradientDirectionSequence", "MRDiffusionSequence"),
)


@dataclass(frozen=True)
class FileHeader:
    """What a file says once, for all of its frames."""

    path: str
    stored: int
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    modality: str
    description: str
    series_number: int
    instance_number: int
    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    transfer_syntax: str
    has_lut: bool
    mosaic: bool
    multiframe: bool
    trouble: str  # why its frames are no volume, to be said behind its path; empty where they are

    @property
    def decoded(self) -> int:
        """Bytes of all decoded frames."""
        return self.rows * self.columns * self.samples * self.frames * self.bits_allocated // 8


@dataclass(frozen=True)
class FrameHeader:
    """What is said of one frame; None stands for what is not stated."""

    file: FileHeader
    number: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    slice_spacing: float | None
    slope: float = 1.0
    intercept: float = 0.0
    window: tuple[float, float] | None = None
    markers: dict[str, str] = field(default_factory=dict)
    slice_number: int | None = None


def read_frames(path: str) -> list[FrameHeader]:
    """Read the headers of a file's frames; none if it is DICOM but no image.

    Returns
    -------
    list of FrameHeader
        In the order of the file.

    Raises
    ------
    FormatError
        If the file cannot be read, or its header contradicts itself.
    PermissionError
        If the user may not read it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks on odd values
            dataset = read_dataset(
                path, stop_before_pixels=True, specific_tags=[*_TAGS, *NUCLEAR_TAGS]
            )
            header = _file_header(path, dataset)
            return [] if header is None else list(_frames(dataset, header))
    except (FormatError, PermissionError):
        raise
    except Exception as error:  # pydicom raises nearly anything on damaged files
        raise FormatError(
            f"{path} cannot be read as DICOM: its header is damaged; copy or export it again."
        ) from error


def _file_header(path: str, dataset: Dataset) -> FileHeader | None:
    rows, columns = whole_of(dataset, "Rows"), whole_of(dataset, "Columns")
    sop_class = text_of(dataset, "SOPClassUID")
    if rows < 1 or columns < 1 or sop_class in _NO_IMAGES:
        if not sop_class:
            raise ValueError("neither an image nor any other object")
        return None
    stored = os.path.getsize(path)
    frames = max(1, whole_of(dataset, "NumberOfFrames", 1))
    if frames > stored:  # before anything is done for each frame
        raise FormatError(f"{path} is damaged: its header promises {frames} frames.")
    multiframe = "PerFrameFunctionalGroupsSequence" in dataset
    allocated = whole_of(dataset, "BitsAllocated", 16)
    kind = [str(word) for word in dataset.get("ImageType") or ()]
    return FileHeader(
        path=path,
        stored=stored,
        sop_class_uid=sop_class,
        sop_instance_uid=text_of(dataset, "SOPInstanceUID"),
        study_uid=text_of(dataset, "StudyInstanceUID"),
        series_uid=text_of(dataset, "SeriesInstanceUID"),
        frame_of_reference_uid=text_of(dataset, "FrameOfReferenceUID"),
        modality=text_of(dataset, "Modality"),
        description=text_of(dataset, "SeriesDescription"),
        series_number=whole_of(dataset, "SeriesNumber"),
        instance_number=whole_of(dataset, "InstanceNumber"),
        rows=rows,
        columns=columns,
        samples=max(1, whole_of(dataset, "SamplesPerPixel", 1)),
        frames=frames,
        bits_allocated=allocated,
        bits_stored=whole_of(dataset, "BitsStored", allocated),
        signed=whole_of(dataset, "PixelRepresentation") == 1,
        photometric=text_of(dataset, "PhotometricInterpretation"),
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
        has_lut=bool(dataset.get("ModalityLUTSequence")),
        mosaic="MOSAIC" in kind,
        multiframe=multiframe,
        trouble=why_no_volume(dataset, frames, multiframe),
    )


def _frames(dataset: Dataset, header: FileHeader) -> Iterator[FrameHeader]:
    shared = first_of(dataset, "SharedFunctionalGroupsSequence")
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if header.multiframe and len(groups) != header.frames:
        raise FormatError(
            f"{header.path} is damaged: it describes {len(groups)} frames of {header.frames}."
        )
    old = header.frames > 1 and not header.multiframe
    vectors = frame_vectors(dataset, header.frames) if old else None
    for index in range(header.frames):
        places = [groups[index], shared] if groups else []
        attributes = Attributes(dataset, [p for p in places if p is not None])
        yield _frame(attributes, header, index, vectors)


def _frame(
    attributes: Attributes, header: FileHeader, index: int, vectors: FrameVectors | None
) -> FrameHeader:
    numbers = attributes.numbers
    position = numbers("ImagePositionPatient", "PlanePositionSequence", 3)
    orientation = numbers("ImageOrientationPatient", "PlaneOrientationSequence", 6)
    pixel_spacing = numbers("PixelSpacing", "PixelMeasuresSequence", 2)
    for name in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pixel_spacing = pixel_spacing or numbers(name, "", 2)
    between = numbers("SpacingBetweenSlices", "PixelMeasuresSequence", 1)
    thickness = numbers("SliceThickness", "PixelMeasuresSequence", 1)
    number, markers = None, {}
    if vectors is not None:
        number, markers = vectors.slice_number(index), vectors.markers(index)
        steps = index if number is None else number - 1
        position, orientation = plane_of(attributes.dataset, position, orientation, between, steps)
    transformation = "PixelValueTransformationSequence"
    slope = numbers("RescaleSlope", transformation, 1)
    intercept = numbers("RescaleIntercept", transformation, 1)
    centre = numbers("WindowCenter", "FrameVOILUTSequence", 0)
    width = numbers("WindowWidth", "FrameVOILUTSequence", 0)
    window = None
    if centre and width and width[0] > 0:
        window = (centre[0] - width[0] / 2, centre[0] + width[0] / 2)
    for word, name, group in _MARKERS:
        if text := attributes.marker(name, group):
            markers[word] = text
    step = between or thickness
    return FrameHeader(
        file=header,
        number=index + 1,
        position=position,
        orientation=orientation,
        pixel_spacing=pixel_spacing,
        slice_spacing=abs(step[0]) if step and step[0] else None,
        slope=slope[0] if slope and slope[0] else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        window=window,
        markers=markers,
        slice_number=number,
    )
