"""Headers of DICOM files, single-frame and multi-frame alike, as a list of frames.

Attribute names are those of DICOM PS3.3: the image plane, pixel and VOI LUT modules of
single-frame objects, and the functional groups of enhanced multi-frame ones. Nothing that says
who the patient is gets read.
"""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    DetectorInformationSequence SharedFunctionalGroupsSequence
    PerFrameFunctionalGroupsSequence
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


def read_frames(path: str) -> list[FrameHeader]:
    """Read the headers of a file's frames; none if it is DICOM but no image.

    Raises
    ------
    FormatError
        If the file cannot be read, or its header contradicts itself.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's remarks on odd values
            dataset = read_dataset(path, stop_before_pixels=True, specific_tags=list(_TAGS))
            header = _file_header(path, dataset)
            return [] if header is None else list(_frames(dataset, header))
    except (FormatError, PermissionError):
        raise
    except Exception as error:  # pydicom raises nearly anything on damaged files
        raise FormatError(
            f"{path} cannot be read as DICOM: its header is damaged; copy or export it again."
        ) from error


def _file_header(path: str, dataset: Dataset) -> FileHeader | None:
    rows, columns = _whole(dataset, "Rows"), _whole(dataset, "Columns")
    sop_class = _text(dataset, "SOPClassUID")
    if rows < 1 or columns < 1 or sop_class in _NO_IMAGES:
        if not sop_class:
            raise ValueError("neither an image nor any other object")
        return None
    stored = os.path.getsize(path)
    frames = max(1, _whole(dataset, "NumberOfFrames", 1))
    if frames > stored:  # before anything is done for each frame
        raise FormatError(f"{path} is damaged: its header promises {frames} frames.")
    allocated = _whole(dataset, "BitsAllocated", 16)
    kind = [str(word) for word in dataset.get("ImageType") or ()]
    return FileHeader(
        path=path,
        stored=stored,
        sop_class_uid=sop_class,
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        frame_of_reference_uid=_text(dataset, "FrameOfReferenceUID"),
        modality=_text(dataset, "Modality"),
        description=_text(dataset, "SeriesDescription"),
        series_number=_whole(dataset, "SeriesNumber"),
        instance_number=_whole(dataset, "InstanceNumber"),
        rows=rows,
        columns=columns,
        samples=max(1, _whole(dataset, "SamplesPerPixel", 1)),
        frames=frames,
        bits_allocated=allocated,
        bits_stored=_whole(dataset, "BitsStored", allocated),
        signed=_whole(dataset, "PixelRepresentation") == 1,
        photometric=_text(dataset, "PhotometricInterpretation"),
        transfer_syntax=str(dataset.file_meta.TransferSyntaxUID),
        has_lut=bool(dataset.get("ModalityLUTSequence")),
        mosaic="MOSAIC" in kind,
        multiframe="PerFrameFunctionalGroupsSequence" in dataset,
    )


def _frames(dataset: Dataset, header: FileHeader) -> Iterator[FrameHeader]:
    shared = _first(dataset, "SharedFunctionalGroupsSequence")
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if header.multiframe and len(groups) != header.frames:
        raise FormatError(
            f"{header.path} is damaged: it describes {len(groups)} frames of {header.frames}."
        )
    for index in range(header.frames):
        places = [groups[index], shared] if groups else []
        yield _frame(_Attributes(dataset, [p for p in places if p is not None]), header, index)


class _Attributes:
    """Attributes of one frame, wherever they are: its own group, the shared one, or the top."""

    def __init__(self, dataset: Dataset, groups: list[Dataset]) -> None:
        self._dataset = dataset
        self._groups = groups

    def numbers(self, name: str, group: str, count: int) -> tuple[float, ...] | None:
        for place in self._places(group):
            if (found := _numbers(place, name, count)) is not None:
                return found
        return None

    def marker(self, name: str, group: str) -> str:
        place = self._dataset if not group else next(self._places(group, top=False), None)
        value = place.get(name) if place is not None else None
        if name == "DiffusionGradientDirectionSequence" and value:
            value = value[0].get("DiffusionGradientOrientation")
        return "" if value is None or value == "" else str(value)

    def _places(self, group: str, top: bool = True) -> Iterator[Dataset]:
        for holder in self._groups:
            if (item := _first(holder, group)) is not None:
                yield item
        if top:
            yield self._dataset


def _frame(attributes: _Attributes, header: FileHeader, index: int) -> FrameHeader:
    numbers = attributes.numbers
    position = numbers("ImagePositionPatient", "PlanePositionSequence", 3)
    orientation = numbers("ImageOrientationPatient", "PlaneOrientationSequence", 6)
    pixel_spacing = numbers("PixelSpacing", "PixelMeasuresSequence", 2)
    for name in ("ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pixel_spacing = pixel_spacing or numbers(name, "", 2)
    between = numbers("SpacingBetweenSlices", "PixelMeasuresSequence", 1)
    thickness = numbers("SliceThickness", "PixelMeasuresSequence", 1)
    if header.frames > 1 and not header.multiframe:
        position, orientation = _nuclear(attributes, position, orientation, between, index)
    transformation = "PixelValueTransformationSequence"
    slope = numbers("RescaleSlope", transformation, 1)
    intercept = numbers("RescaleIntercept", transformation, 1)
    centre = numbers("WindowCenter", "FrameVOILUTSequence", 0)
    width = numbers("WindowWidth", "FrameVOILUTSequence", 0)
    window = None
    if centre and width and width[0] > 0:
        window = (centre[0] - width[0] / 2, centre[0] + width[0] / 2)
    markers: dict[str, str] = {}
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
    )


def _nuclear(
    attributes: _Attributes,
    position: tuple[float, ...] | None,
    orientation: tuple[float, ...] | None,
    between: tuple[float, ...] | None,
    index: int,
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Place a frame of an old multi-frame object, which states the first frame and a distance."""
    group = "DetectorInformationSequence"
    detector = _first(attributes._dataset, group)
    if detector is not None:
        position = position or _numbers(detector, "ImagePositionPatient", 3)
        orientation = orientation or _numbers(detector, "ImageOrientationPatient", 6)
    if position is None or orientation is None or not between:
        return None, None
    a, b, c, d, e, f = orientation
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    return (
        tuple(p + index * between[0] * n for p, n in zip(position, normal, strict=True)),
        orientation,
    )


def _first(dataset: Dataset, sequence: str) -> Dataset | None:
    items = dataset.get(sequence) if sequence else None
    return items[0] if items else None


def _text(dataset: Dataset, name: str) -> str:
    value = dataset.get(name)
    return "" if value is None else str(value).strip()


def _whole(dataset: Dataset, name: str, missing: int = 0) -> int:
    value = dataset.get(name)
    return missing if value is None or value == "" else int(value)


def _numbers(dataset: Dataset, name: str, count: int) -> tuple[float, ...] | None:
    """Return finite numbers, `count` of them or any number for 0; None if there are not."""
    value = dataset.get(name)
    if value is None or value == "":
        return None
    values = [value] if isinstance(value, (int, float)) else list(value)
    numbers = tuple(float(item) for item in values)
    if (count and len(numbers) != count) or not all(map(math.isfinite, numbers)):
        return None
    return numbers or None
