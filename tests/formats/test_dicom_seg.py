"""DICOM-SEG: every voxel where it was, by highdicom and by the equations of the standard."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pydicom
import pytest

hd = pytest.importorskip("highdicom")

from napari_sslseg.formats import FormatError, dicom_origin, dicom_seg, format_for  # noqa: E402
from napari_sslseg.formats import export as export_any  # noqa: E402
from napari_sslseg.formats.dicom import read  # noqa: E402
from napari_sslseg.formats.label_import import import_labels  # noqa: E402
from napari_sslseg.volume.classes import ClassTable, SegmentClass  # noqa: E402
from napari_sslseg.volume.geometry import Geometry  # noqa: E402
from napari_sslseg.volume.image import Volume  # noqa: E402
from napari_sslseg.volume.terminology import Code  # noqa: E402

from .conftest import BY_TURNS, DIRECTIONS  # noqa: E402
from .dicom_files import write_enhanced, write_series  # noqa: E402

ARRAY = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
CLASSES = ClassTable(
    [
        SegmentClass(2, "Left kidney", "#ff0000"),
        SegmentClass(5, "Ödem 骨", "#00ff80", Code("79654002", "SCT", "Edema")),
        SegmentClass(7, "Empty", "#0000ff"),
        SegmentClass(9, "Blob", "#808080"),
    ]
)


def layout(name):
    directions = DIRECTIONS[name]
    return {
        "orientation": [*directions[:, 0], *directions[:, 1]],
        "pixel_spacing": (1.3, 0.7),
    }, directions[:, 2]


def series(folder, name="xyz", **more):
    how, normal = layout(name)
    write_series(folder, ARRAY, **how, step=normal * 5, origin=(12.5, -30.25, 7.125), **more)
    return read(folder)


def some_labels(volume):
    labels = np.random.default_rng(0).choice([0, 2, 5, 9, 255], volume.geometry.shape)
    labels[..., 0] = labels[..., 3] = 0  # empty slices, at the edge and between
    return labels.astype(np.uint8)


def export(path, volume, labels, anonymous=False):
    dicom_seg.write(path, labels, volume, CLASSES, anonymous)
    return path


def wanted_points(volume, labels, class_id):
    """LPS+ positions of the voxels of a class."""
    points = volume.geometry.in_millimetres().position(np.argwhere(labels == class_id))
    return points * (-1, -1, 1)


def stated_points(path, name):
    """Place the voxels of a segment by the image plane module (C.7.6.2.1-1), frame by frame."""
    data = pydicom.dcmread(path)
    (number,) = [int(s.SegmentNumber) for s in data.SegmentSequence if s.SegmentLabel == name]
    pixels = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    shared = data.SharedFunctionalGroupsSequence[0]
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    along_row, along_column = np.reshape(np.asarray(orientation, float), (2, 3))
    rows, columns = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
    found = []
    for plane, group in zip(pixels, data.PerFrameFunctionalGroupsSequence, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
            continue
        start = np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float)
        for r, c in np.argwhere(plane):
            found.append(start + c * columns * along_row + r * rows * along_column)
    return np.array(found)


def same_points(one, other, name=""):
    assert len(one) == len(other) > 0, name
    distance = np.linalg.norm(one[:, None] - other[None], axis=-1).min(axis=1)
    assert distance.max() < 1e-4, name


def test_positions_of_voxels_in_every_orientation(tmp_path):
    for name in BY_TURNS:
        volume = series(tmp_path / name, name)
        labels = some_labels(volume)
        path = export(tmp_path / "seg.dcm", volume, labels)
        for class_id, label in ((2, "Left kidney"), (5, "Ödem 骨"), (9, "Blob")):
            wanted = wanted_points(volume, labels, class_id)
            same_points(stated_points(path, label), wanted, name)
        found = hd.seg.segread(path).get_volume(combine_segments=True)
        points = np.argwhere(found.array == 2) @ found.affine[:3, :3].T + found.affine[:3, 3]
        same_points(points, wanted_points(volume, labels, 5), name)  # the second segment
        again = import_labels(path, volume, classes=CLASSES)
        assert not again.resampled
        assert np.array_equal(again.labels, np.where(labels == 255, 0, labels)), name


def test_positions_in_an_enhanced_file_whose_frames_are_in_no_order(tmp_path):
    how, normal = layout("yZX-oblique")
    order = [4, 0, 5, 2, 1, 3]
    positions = [np.array([1.0, 2.0, 3.0]) + 2.5 * k * normal for k in range(6)]
    path = write_enhanced(
        tmp_path / "a.dcm", ARRAY[order], positions=[positions[k] for k in order], **how
    )
    volume = read(path)
    labels = some_labels(volume)
    seg = export(tmp_path / "seg.dcm", volume, labels)
    for class_id, label in ((2, "Left kidney"), (9, "Blob")):
        same_points(stated_points(seg, label), wanted_points(volume, labels, class_id))
    source = pydicom.dcmread(path)
    for group in pydicom.dcmread(seg).PerFrameFunctionalGroupsSequence:
        (image,) = group.DerivationImageSequence[0].SourceImageSequence
        assert image.ReferencedSOPInstanceUID == source.SOPInstanceUID
        assert image.ReferencedSOPClassUID == source.SOPClassUID
        frame = source.PerFrameFunctionalGroupsSequence[image.ReferencedFrameNumber - 1]
        np.testing.assert_allclose(
            np.asarray(group.PlanePositionSequence[0].ImagePositionPatient, float),
            np.asarray(frame.PlanePositionSequence[0].ImagePositionPatient, float),
        )
    found = hd.seg.segread(seg).get_volume(combine_segments=True)
    points = np.argwhere(found.array == 1) @ found.affine[:3, :3].T + found.affine[:3, 3]
    same_points(points, wanted_points(volume, labels, 2))


def test_tilted_gantry_keeps_every_position(tmp_path):
    how, normal = layout("xyz")
    step = normal * 5 + np.array([0.0, 1.5, 0.0])
    write_series(tmp_path / "in", ARRAY, **how, step=step, modality="CT")
    volume = read(tmp_path / "in")
    labels = some_labels(volume)
    path = export(tmp_path / "seg.dcm", volume, labels)
    same_points(stated_points(path, "Blob"), wanted_points(volume, labels, 9))


def test_directions_that_are_rounded_unalike_are_one(tmp_path):
    def edit(out, n):
        out.ImageOrientationPatient = ["1", "0", "0", "0", f"0.999999{n}", f"0.00001{n}"]

    volume = series(tmp_path / "in", edit=edit)
    labels = some_labels(volume)
    path = export(tmp_path / "seg.dcm", volume, labels)
    same_points(stated_points(path, "Blob"), wanted_points(volume, labels, 9))


def test_segments_have_names_colours_and_codes(tmp_path):
    volume = series(tmp_path / "in")
    data = hd.seg.segread(export(tmp_path / "seg.dcm", volume, some_labels(volume)))
    kidney, edema, blob = data.SegmentSequence
    assert [str(s.SegmentLabel) for s in (kidney, edema, blob)] == [
        "Left kidney",
        "Ödem 骨",
        "Blob",
    ]
    kind = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert (kind.CodeValue, kind.CodingSchemeDesignator) == ("64033007", "SCT")
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert edema.SegmentedPropertyTypeCodeSequence[0].CodeValue == "79654002"
    assert edema.SegmentedPropertyCategoryCodeSequence[0].CodeValue == "49755003"
    assert blob.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator.startswith("99")
    colour = hd.color.CIELabColor.from_dicom_value(tuple(kidney.RecommendedDisplayCIELabValue))
    assert colour.to_rgb() == (255, 0, 0)
    assert str(data.SegmentationType) == "BINARY"
    assert kidney.SegmentAlgorithmType == "SEMIAUTOMATIC"


def test_every_source_image_is_referred_to_and_empty_frames_are_left_out(tmp_path):
    volume = series(tmp_path / "in")
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1, 2, 3] = 2
    data = pydicom.dcmread(export(tmp_path / "seg.dcm", volume, labels))
    assert data.NumberOfFrames == 1
    (referred,) = data.ReferencedSeriesSequence
    assert referred.SeriesInstanceUID == volume.header.series_instance_uid
    uids = {str(i.ReferencedSOPInstanceUID) for i in referred.ReferencedInstanceSequence}
    assert uids == {frame.sop_instance_uid for frame in volume.header.frames}
    (image,) = (
        data.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence
    )
    assert str(image.ReferencedSOPInstanceUID) == volume.header.frames[3].sop_instance_uid
    assert data.StudyInstanceUID == volume.header.study_instance_uid
    assert data.FrameOfReferenceUID == volume.header.frame_of_reference_uid


def test_patient_is_carried_over_in_any_script(tmp_path):
    def edit(out, n):
        out.SpecificCharacterSet = "ISO_IR 100"
        out.PatientName = "Müller^Ä"
        out.PatientComments = "talkative"
        del out.AccessionNumber
        out.PatientSex = "?"

    with pytest.warns(UserWarning, match="Invalid value"):
        volume = series(tmp_path / "in", edit=edit)
    data = pydicom.dcmread(export(tmp_path / "seg.dcm", volume, some_labels(volume)))
    assert str(data.PatientName) == "Müller^Ä"
    assert data.PatientID == "id-of-secret-patient"
    assert data.AccessionNumber == data.PatientSex == ""
    assert "PatientComments" not in data  # not needed, so not copied


def test_anonymous_segmentation_names_nobody(tmp_path):
    volume = series(tmp_path / "in")
    path = export(tmp_path / "seg.dcm", volume, some_labels(volume), anonymous=True)
    data = pydicom.dcmread(path)
    assert data.PatientIdentityRemoved == "YES"
    for element in data.iterall():
        # Random identifiers may hold any digits; a sequence's elements come on their own.
        if element.VR not in ("UI", "SQ"):
            for word in ("ecret", "1970", "20200101", "Maker"):
                assert word not in str(element.value), element
    same_points(stated_points(path, "Blob"), wanted_points(volume, some_labels(volume), 9))


def test_odd_values_of_a_header_are_not_quoted_in_warnings_and_logs(tmp_path, caplog):
    def edit(out, n):
        out.PatientSex = "secret?"
        out.PatientBirthDate = "secret"

    with pytest.warns(UserWarning, match="secret"):  # as pydicom does
        volume = series(tmp_path / "in", edit=edit)
    caplog.clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for key in ("dicom-seg", "rtstruct"):
            kind = format_for("", key)
            export_any(tmp_path / f"{key}.dcm", some_labels(volume), volume, CLASSES, kind=kind)
        with dicom_origin.discreet():
            pydicom.dataset.Dataset().PatientSex = "secret?"
    assert not [w for w in said if "secret" in str(w.message)]
    assert "secret" not in caplog.text


def test_a_single_picture_without_a_position(tmp_path):
    write_series(tmp_path, ARRAY[:1], positions=[None], modality="CR")
    (path,) = tmp_path.iterdir()
    volume = read(path)
    assert volume.geometry.ndim == 2
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[1, 2] = 2
    data = pydicom.dcmread(export(tmp_path / "seg.dcm", volume, labels))
    assert np.argwhere(data.pixel_array).tolist() == [[1, 2]]


def test_what_did_not_come_from_dicom_is_refused(tmp_path):
    geometry = Geometry(np.eye(4), (2, 3, 4))
    labels = np.full((2, 3, 4), 2, np.uint8)
    with pytest.raises(FormatError, match="did not come from DICOM"):
        export(tmp_path / "a.dcm", Volume(labels, geometry), labels)


def test_missing_and_exchanged_source_files_are_named(tmp_path):
    volume = series(tmp_path / "in")
    labels = some_labels(volume)
    path = volume.header.frames[2].path
    data = pydicom.dcmread(path)
    data.SOPInstanceUID = "1.2.3"
    data.save_as(path)
    with pytest.raises(FormatError, match="no longer the image"):
        export(tmp_path / "a.dcm", volume, labels)
    (tmp_path / "in").rename(tmp_path / "away")
    with pytest.raises(FormatError, match="can no longer be read"):
        export(tmp_path / "a.dcm", volume, labels)


def test_missing_library_is_said_with_what_to_install(tmp_path, monkeypatch):
    volume = series(tmp_path / "in")
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(FormatError, match=r'needs highdicom.*pip install "napari-sslseg\[dicom\]"'):
        export(tmp_path / "a.dcm", volume, some_labels(volume))


def test_dates_in_an_older_way_of_writing_are_understood(tmp_path):
    def edit(out, n):
        out.StudyDate, out.StudyTime, out.PatientBirthDate = "2020.01.31", "14:04:38", "unknown"

    with pytest.warns(UserWarning, match="Invalid value"):
        volume = series(tmp_path / "in", edit=edit)
    data = pydicom.dcmread(export(tmp_path / "seg.dcm", volume, some_labels(volume)))
    assert (data.StudyDate, data.StudyTime, data.PatientBirthDate) == ("20200131", "140438", "")


def test_no_voxel_is_nothing_to_export(tmp_path):
    volume = series(tmp_path / "in")
    with pytest.raises(FormatError, match="nothing to export"):
        export(tmp_path / "a.dcm", volume, np.zeros(volume.geometry.shape, np.uint8))
