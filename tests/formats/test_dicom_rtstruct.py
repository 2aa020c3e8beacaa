"""RT structure sets: contours hold just the labelled voxels, in every plane."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from skimage.measure import points_in_poly

from napari_sslseg.formats import FormatError, dicom_rtstruct
from napari_sslseg.formats.dicom import read
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import BY_TURNS, DIRECTIONS
from .dicom_files import write_enhanced, write_series

ARRAY = np.arange(4 * 9 * 8, dtype=np.int16).reshape(4, 9, 8)
CLASSES = ClassTable(
    [SegmentClass(2, "Left kidney", "#ff0080"), SegmentClass(5, "Knöchel", "#00ff80")]
)


def series(folder, name="xyz"):
    directions = DIRECTIONS[name]
    write_series(
        folder,
        ARRAY,
        orientation=[*directions[:, 0], *directions[:, 1]],
        step=directions[:, 2] * 5,
        origin=(12.5, -30.25, 7.125),
        pixel_spacing=(1.3, 0.7),
    )
    return read(folder)


def ring(volume):
    """Labels with a hole, a single voxel, and an empty slice."""
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1:7, 1:8, 1:3] = 2
    labels[3:5, 3:6, 1] = 0
    labels[4, 4, 1] = 5
    labels[0, 0, 3] = 255
    return labels


def inside(volume, region):
    """Voxels whose centres lie in the contours of a region, by geometry alone."""
    geometry = volume.geometry
    centres = geometry.position(np.argwhere(np.ones(geometry.shape))) * (-1, -1, 1)
    found = np.zeros(len(centres), bool)
    for contour in region.ContourSequence:
        points = np.asarray(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints
        # Coordinates within the plane of the contour, and the distance from it.
        origin, axes = points[0], np.linalg.svd(points - points.mean(axis=0))[2]
        flat, seen = (points - origin) @ axes.T, (centres - origin) @ axes.T
        assert np.abs(flat[:, 2]).max() < 1e-4
        near = np.abs(seen[:, 2]) < 0.1
        found[near] |= points_in_poly(seen[near, :2], flat[:, :2])
    return found.reshape(geometry.shape)


def test_contours_hold_just_the_labelled_voxels(tmp_path):
    for name in BY_TURNS:
        volume = series(tmp_path / name, name)
        labels = ring(volume)
        dicom_rtstruct.write(tmp_path / "rt.dcm", labels, volume, CLASSES, False)
        data = pydicom.dcmread(tmp_path / "rt.dcm")
        kidney, ankle = data.ROIContourSequence
        assert np.array_equal(inside(volume, kidney), labels == 2), name
        assert np.array_equal(inside(volume, ankle), labels == 5), name


def test_regions_have_names_colours_codes_and_references(tmp_path):
    volume = series(tmp_path / "in")
    dicom_rtstruct.write(tmp_path / "rt.dcm", ring(volume), volume, CLASSES, False)
    data = pydicom.dcmread(tmp_path / "rt.dcm")
    assert [r.ROIName for r in data.StructureSetROISequence] == ["Left kidney", "Knöchel"]
    assert list(data.ROIContourSequence[0].ROIDisplayColor) == [255, 0, 128]
    assert data.RTROIObservationsSequence[0].RTROIIdentificationCodeSequence[0].CodeValue == (
        "64033007"
    )
    frame = data.ReferencedFrameOfReferenceSequence[0]
    assert frame.FrameOfReferenceUID == volume.header.frame_of_reference_uid
    (study,) = frame.RTReferencedStudySequence
    (images,) = study.RTReferencedSeriesSequence
    assert images.SeriesInstanceUID == volume.header.series_instance_uid
    uids = [str(i.ReferencedSOPInstanceUID) for i in images.ContourImageSequence]
    assert uids == [f.sop_instance_uid for f in volume.header.frames]
    contour = data.ROIContourSequence[1].ContourSequence[0]
    assert str(contour.ContourImageSequence[0].ReferencedSOPInstanceUID) == uids[1]
    assert contour.ContourGeometricType == "CLOSED_PLANAR"
    assert (data.PatientID, data.Modality) == ("id-of-secret-patient", "RTSTRUCT")


def test_frames_of_a_multi_frame_image_are_numbered(tmp_path):
    order = [2, 0, 3, 1]
    positions = [(0, 0, 2.0 * k) for k in range(4)]
    path = write_enhanced(tmp_path / "a.dcm", ARRAY[order], positions=[positions[k] for k in order])
    volume = read(path)
    labels = ring(volume)
    dicom_rtstruct.write(tmp_path / "rt.dcm", labels, volume, CLASSES, False)
    data = pydicom.dcmread(tmp_path / "rt.dcm")
    image = data.ROIContourSequence[1].ContourSequence[0].ContourImageSequence[0]
    assert image.ReferencedFrameNumber == 1 + order.index(1)
    assert np.array_equal(inside(volume, data.ROIContourSequence[0]), labels == 2)


def test_anonymous_contours_name_nobody(tmp_path):
    volume = series(tmp_path / "in")
    dicom_rtstruct.write(tmp_path / "rt.dcm", ring(volume), volume, CLASSES, True)
    data = pydicom.dcmread(tmp_path / "rt.dcm")
    assert data.PatientIdentityRemoved == "YES"
    for element in data.iterall():
        # Random identifiers may hold any digits; a sequence's elements come on their own.
        if element.VR not in ("UI", "DS", "SQ"):
            for word in ("ecret", "1970", "20200101", "Maker"):
                assert word not in str(element.value), element


def test_long_outlines_fit_into_the_file(tmp_path):
    array = np.zeros((1, 300, 300), np.int16)
    write_series(tmp_path / "in", array)
    volume = read(tmp_path / "in")
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[::2, 1:299] = labels[:, 150] = 2  # a comb: thousands of corners
    dicom_rtstruct.write(tmp_path / "rt.dcm", labels, volume, CLASSES, False)
    (contour,) = pydicom.dcmread(tmp_path / "rt.dcm").ROIContourSequence[0].ContourSequence
    assert sum(len(str(v)) + 1 for v in contour.ContourData) > 1 << 14
    assert len(contour.ContourData) == 3 * contour.NumberOfContourPoints


def test_what_did_not_come_from_dicom_is_refused(tmp_path):
    volume = Volume(np.zeros((2, 3, 4)), Geometry(np.eye(4), (2, 3, 4)))
    with pytest.raises(FormatError, match="did not come from DICOM"):
        dicom_rtstruct.write(
            tmp_path / "a.dcm", np.ones((2, 3, 4), np.uint8), volume, CLASSES, False
        )
