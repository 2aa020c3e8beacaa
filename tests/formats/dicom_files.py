"""DICOM files made for tests: series, enhanced multi-frame objects and structure sets."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    RTStructureSetStorage,
    generate_uid,
)

from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.formats.dicom import read
from napari_sslseg.formats.dicom_series import SeriesInfo

PATIENT = "Secret^Patient"


def number(value: float) -> str:
    """Write a decimal string of at most 16 characters, with the digits that fit."""
    return next(text for n in range(16, 0, -1) if len(text := f"{value:.{n}g}") <= 16)


def numbers(values) -> list[str]:
    return [number(float(value)) for value in values]


def dataset(path: Path, sop_class: str, series: str, modality: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    out.SOPClassUID = sop_class
    out.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    out.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    out.SeriesInstanceUID = series
    out.FrameOfReferenceUID = "1.2.826.0.1.3680043.8.498.2"
    out.PatientName = PATIENT
    out.PatientID = "id-of-secret-patient"
    out.PatientBirthDate = "19700101"
    out.PatientSex = "O"
    out.StudyDate = "20200101"
    out.StudyTime = "120000"
    out.StudyID = "1"
    out.AccessionNumber = "secret-accession"
    out.ReferringPhysicianName = "Secret^Doctor"
    out.Manufacturer = "Maker"
    out.Modality = modality
    return out


def set_pixels(out: Dataset, array: np.ndarray) -> None:
    """Store an array (…, rows, columns), or (…, rows, columns, 3) of bytes."""
    colours = array.ndim > 2 and array.shape[-1] == 3 and array.dtype == np.uint8
    out.Rows, out.Columns = array.shape[-3:-1] if colours else array.shape[-2:]
    out.SamplesPerPixel = 3 if colours else 1
    out.PhotometricInterpretation = "RGB" if colours else "MONOCHROME2"
    if colours:
        out.PlanarConfiguration = 0
    out.BitsAllocated = out.BitsStored = 8 * array.dtype.itemsize
    out.HighBit = out.BitsStored - 1
    out.PixelRepresentation = int(array.dtype.kind == "i")
    out.PixelData = np.ascontiguousarray(array).tobytes()


def choices_in(path: Path) -> tuple[SeriesInfo, ...]:
    """Return the volumes among which the user has to choose, in a folder or a file."""
    with pytest.raises(SeveralVolumesError) as caught:
        read(path)
    return cast("tuple[SeriesInfo, ...]", caught.value.choices)


def write_series(
    folder: Path,
    array: np.ndarray,
    *,
    orientation=(1, 0, 0, 0, 1, 0),
    origin=(0, 0, 0),
    step=(0, 0, 1),
    positions=None,
    pixel_spacing=(1, 1),
    series: str | None = None,
    series_number: int = 1,
    description: str = "made for a test",
    modality: str = "MR",
    prefix: str = "im",
    shuffle: bool = True,
    edit=None,
) -> list[Path]:
    """Write ``array[slice, row, column]`` as single-frame files; return their paths by slice.

    Parameters
    ----------
    step : (3,) array_like
        From slice to slice, LPS+, mm; `positions` gives them one by one instead.
    shuffle : bool
        Give the files names in another order than that of the slices.
    edit : callable, optional
        Gets each dataset and the number of its slice before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    series = series or generate_uid()
    if positions is None:
        positions = [
            np.asarray(origin, float) + n * np.asarray(step, float) for n in range(len(array))
        ]
    names = np.random.default_rng(3).permutation(len(array)) if shuffle else range(len(array))
    paths = []
    for n, (plane, position) in enumerate(zip(array, positions, strict=True)):
        path = folder / f"{prefix}{names[n]:04d}.dcm"
        kind = CTImageStorage if modality == "CT" else MRImageStorage
        out = dataset(path, kind, series, modality)
        out.SeriesNumber = series_number
        out.SeriesDescription = description
        out.InstanceNumber = int(names[n]) + 1
        out.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        if position is not None:
            out.ImagePositionPatient = numbers(position)
            out.ImageOrientationPatient = numbers(orientation)
        out.PixelSpacing = numbers(pixel_spacing)
        out.SliceThickness = "1"
        set_pixels(out, plane)
        if edit is not None:
            edit(out, n)
        out.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def write_enhanced(
    path: Path,
    array: np.ndarray,
    *,
    orientation=(1, 0, 0, 0, 1, 0),
    positions=None,
    pixel_spacing=(1, 1),
    rescale=None,
    edit=None,
    **attributes,
) -> Path:
    """Write ``array[frame, row, column]`` as one enhanced MR object.

    Parameters
    ----------
    rescale : sequence of (slope, intercept), optional
        One pair for each frame.
    edit : callable, optional
        Gets the functional groups of each frame, and its number.
    """
    out = dataset(path, EnhancedMRImageStorage, generate_uid(), "MR")
    out.SeriesNumber, out.InstanceNumber = 7, 1
    out.SeriesDescription = "enhanced"
    out.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    for name, value in attributes.items():
        setattr(out, name, value)
    shared = Dataset()
    measures = Dataset()
    measures.PixelSpacing = numbers(pixel_spacing)
    measures.SliceThickness = "1"
    shared.PixelMeasuresSequence = Sequence([measures])
    plane = Dataset()
    plane.ImageOrientationPatient = numbers(orientation)
    shared.PlaneOrientationSequence = Sequence([plane])
    out.SharedFunctionalGroupsSequence = Sequence([shared])
    groups = []
    if positions is None:
        positions = [(0, 0, n) for n in range(len(array))]
    for n, position in enumerate(positions):
        group = Dataset()
        place = Dataset()
        place.ImagePositionPatient = numbers(position)
        group.PlanePositionSequence = Sequence([place])
        content = Dataset()
        content.DimensionIndexValues = [n + 1]
        group.FrameContentSequence = Sequence([content])
        if rescale is not None:
            values = Dataset()
            values.RescaleSlope, values.RescaleIntercept = numbers(rescale[n])
            values.RescaleType = "US"
            group.PixelValueTransformationSequence = Sequence([values])
        if edit is not None:
            edit(group, n)
        groups.append(group)
    out.PerFrameFunctionalGroupsSequence = Sequence(groups)
    out.NumberOfFrames = len(array)
    set_pixels(out, array)
    out.save_as(path, enforce_file_format=True)
    return path


def write_structure_set(
    path: Path,
    regions: dict[str, list],
    *,
    frame="1.2.826.0.1.3680043.8.498.2",
    kinds=None,
    edit=None,
) -> Path:
    """Write an RT structure set as a planning system does.

    Parameters
    ----------
    regions : dict of str to list
        Contours by name of the region: corners (n, 3) in LPS+, mm, or pairs of a geometric type
        and those.
    frame : str
        Frame of reference; `write_series` has the default one, too.
    kinds : dict of str to str, optional
        RT ROI Interpreted Type by name.
    edit : callable, optional
        Gets the dataset before it is written.
    """
    out = dataset(path, RTStructureSetStorage, generate_uid(), "RTSTRUCT")
    out.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    out.SpecificCharacterSet = "ISO_IR 100"
    del out.FrameOfReferenceUID  # which these objects mostly have in sequences alone
    described, drawn, observed = [], [], []
    for number, (name, contours) in enumerate(regions.items(), 3):
        described.append(Dataset())
        described[-1].ROINumber = number
        described[-1].ReferencedFrameOfReferenceUID = frame
        described[-1].ROIName = name
        observed.append(Dataset())
        observed[-1].ReferencedROINumber = number
        observed[-1].RTROIInterpretedType = (kinds or {}).get(name, "ORGAN")
        drawn.append(Dataset())
        drawn[-1].ROIDisplayColor = [255, 10 * number, 0]
        drawn[-1].ReferencedROINumber = number
        items = []
        for contour in contours:
            kind, corners = contour if isinstance(contour, tuple) else ("CLOSED_PLANAR", contour)
            items.append(Dataset())
            items[-1].ContourGeometricType = kind
            items[-1].NumberOfContourPoints = len(corners)
            items[-1].ContourData = [f"{v:.2f}" for v in np.ravel(corners)]
        if items:
            drawn[-1].ContourSequence = items
    out.StructureSetROISequence, out.ROIContourSequence = described, drawn
    out.RTROIObservationsSequence = observed
    if edit is not None:
        edit(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    out.save_as(path, enforce_file_format=True)
    return path
