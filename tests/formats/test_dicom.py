"""DICOM series: every voxel where ITK and the headers put it, and what is odd is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import (
    NuclearMedicineImageStorage,
)

from napari_sslseg.formats import FormatError
from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.formats.dicom import read
from napari_sslseg.formats.dicom_series import DicomSource

from .conftest import DIRECTIONS
from .dicom_files import PATIENT, choices_in, dataset, set_pixels, write_enhanced, write_series

ARRAY = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4) * 7 - 100
SPACING = (1.3, 0.7)  # rows, columns
ORIGIN = (12.5, -30.25, 7.125)
LPS = np.diag([-1.0, -1.0, 1.0])


def layout(name, distance=5.0):
    """Orientation and step, LPS+, of one of the 48 orders, straight or oblique."""
    directions = DIRECTIONS[name]
    orientation = [*directions[:, 0], *directions[:, 1]]
    return {"orientation": orientation, "step": directions[:, 2] * distance, "origin": ORIGIN}


def stated_position(how, k, row, column):
    """LPS+ position of a pixel by the equation of the image plane module (C.7.6.2.1-1)."""
    along_row, along_column = np.reshape(how["orientation"], (2, 3))
    start = np.asarray(how["origin"]) + k * np.asarray(how["step"])
    return start + column * SPACING[1] * along_row + row * SPACING[0] * along_column


def is_one_sentence(text):
    return text.count(". ") == 0 and text.endswith(".") and "\n" not in text


@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_voxel_is_where_its_header_and_itk_put_it(tmp_path, name):
    how = layout(name)
    write_series(tmp_path, ARRAY, pixel_spacing=SPACING, **how)
    volume = read(tmp_path)
    assert volume.array.shape == (4, 5, 6)
    for k, row, column in [(0, 0, 0), (2, 3, 1), (5, 4, 3), (0, 4, 0)]:
        (index,) = np.argwhere(volume.array == ARRAY[k, row, column])
        expected = LPS @ stated_position(how, k, row, column)
        np.testing.assert_allclose(volume.geometry.position(index), expected, atol=1e-4)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    image = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(image), volume.array.T)
    for index in [(0, 0, 0), (3, 4, 5), (1, 2, 3)]:
        point = LPS @ image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(volume.geometry.position(index), point, atol=1e-4)


@pytest.mark.parametrize("name", ["xyz", "YzX", "zXy-oblique", "XYZ-oblique"])
def test_enhanced_object_reads_as_the_single_frames_do(tmp_path, name):
    how = layout(name)
    positions = [np.asarray(ORIGIN) + k * how["step"] for k in range(6)]
    order = [3, 1, 5, 0, 4, 2]
    path = write_enhanced(
        tmp_path / "a.dcm",
        ARRAY[order],
        orientation=how["orientation"],
        positions=[positions[k] for k in order],
        pixel_spacing=SPACING,
    )
    write_series(tmp_path / "single", ARRAY, pixel_spacing=SPACING, **how)
    one, many = read(path), read(tmp_path / "single")
    assert np.array_equal(one.array, many.array)
    np.testing.assert_allclose(one.geometry.affine, many.geometry.affine, atol=1e-5)
    assert one.header.multiframe
    assert not many.header.multiframe
    numbers = [frame.number for frame in one.header.frames]
    frames = one.header.frames_first(one.array)
    assert all(
        np.array_equal(frames[k], ARRAY[order[number - 1]]) for k, number in enumerate(numbers)
    )


def test_source_names_the_file_of_each_slice_and_no_patient(tmp_path):
    paths = write_series(tmp_path, ARRAY, pixel_spacing=SPACING, **layout("yZx-oblique"))
    volume = read(tmp_path)
    source = volume.header
    assert isinstance(source, DicomSource)
    assert source.geometry == volume.geometry
    assert set(source.paths) == set(map(str, paths))
    planes = source.frames_first(volume.array)
    for frame, plane in zip(source.frames, planes, strict=True):
        dataset = pydicom.dcmread(frame.path)
        assert np.array_equal(dataset.pixel_array, plane)
        assert frame.sop_instance_uid == dataset.SOPInstanceUID
        assert frame.position == tuple(dataset.ImagePositionPatient)
    assert source.series_instance_uid == dataset.SeriesInstanceUID
    assert "Secret" in PATIENT
    assert "secret" not in repr((volume.header, volume.name, volume.warnings)).lower()


def test_one_file_finds_the_rest_of_its_series_and_only_that(tmp_path):
    paths = write_series(tmp_path, ARRAY, series_number=1, prefix="a")
    write_series(tmp_path, ARRAY + 1, series_number=2, prefix="b")
    (tmp_path / "notes.txt").write_text("no image")
    volume = read(paths[2])
    assert np.array_equal(volume.array.T, ARRAY)
    assert Path(volume.source) in paths
    assert np.array_equal(read(Path(volume.source)).array, volume.array)


def test_files_without_suffix_in_folders_below_and_copies_are_found(tmp_path):
    paths = write_series(tmp_path / "deep" / "er", ARRAY)
    for path in paths:
        path.rename(path.with_suffix(""))
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in paths[:3]:
        (copies / path.stem).write_bytes(path.with_suffix("").read_bytes())
    volume = read(tmp_path)
    assert np.array_equal(volume.array.T, ARRAY)


def test_several_series_are_listed_and_chosen_by_key_or_uid(tmp_path):
    write_series(tmp_path, ARRAY, series_number=2, prefix="b", description="T2", series="1.2.3")
    write_series(
        tmp_path,
        ARRAY[:3] + 1,
        series_number=10,
        prefix="c",
        description="T1",
        pixel_spacing=SPACING,
        step=(0, 0, 2.5),
    )
    two, ten = choices_in(tmp_path)
    assert (two.key, ten.key) == ("2", "10")
    assert ten.title == "T1, MR, 4 × 5, 3 slices, 0.7 × 1.3 × 2.5 mm"
    assert ten.shape == (4, 5, 3)
    with pytest.raises(SeveralVolumesError, match=r"2 = T2, MR.*10 = T1") as caught:
        read(tmp_path)
    assert caught.value.choices == (two, ten)
    assert is_one_sentence(str(caught.value))
    assert np.array_equal(read(tmp_path, "10").array.T, ARRAY[:3] + 1)
    assert np.array_equal(read(tmp_path, "1.2.3").array.T, ARRAY)
    with pytest.raises(FormatError, match=r"no volume '11'; choose one of 2, 10"):
        read(tmp_path, "11")


def test_series_of_equal_number_get_letters(tmp_path):
    for prefix in "ab":
        write_series(tmp_path, ARRAY, series_number=3, prefix=prefix, description=prefix)
    keys = [info.key for info in choices_in(tmp_path)]
    assert keys == ["3a", "3b"]
    titles = [info.title for info in choices_in(tmp_path)]
    assert len({read(tmp_path, key).name for key in keys}) == len(set(titles)) == 2


@pytest.mark.parametrize(
    ("attribute", "values", "said"),
    [
        ("EchoTime", ["4.6", "2.3"], "echo time 2.3 ms"),
        ("TemporalPositionIdentifier", [2, 1], "time point 1"),
        ("TriggerTime", ["300", "20"], "trigger time 20 ms"),
        ("DiffusionBValue", [1000.0, 0.0], "b-value 0.0 s/mm²"),
        ("ImageType", [list("OPWX"), list("OPFX")], r"kind F\X"),
        ("AcquisitionNumber", [2, 1], "acquisition 1"),
    ],
)
def test_volumes_in_one_series_are_told_apart(tmp_path, attribute, values, said):
    for n, value in enumerate(values):
        write_series(
            tmp_path,
            ARRAY + n,
            series="1.2.3",
            prefix="ab"[n],
            edit=lambda out, _, value=value: setattr(out, attribute, value),
        )
    low, high = choices_in(tmp_path)
    assert low.key == "1.1"
    assert said in low.title
    assert np.array_equal(read(tmp_path, "1.1").array.T, ARRAY + 1)
    assert np.array_equal(read(tmp_path, "1.2").array.T, ARRAY)
    # A file belongs to one of them.
    assert np.array_equal(read(Path(high.paths[0])).array.T, ARRAY)


def test_volumes_that_nothing_tells_apart_go_by_their_numbers(tmp_path):
    for n in range(2):
        write_series(
            tmp_path,
            ARRAY + n,
            series="1.2.3",
            prefix="ab"[n],
            edit=lambda out, _, n=n: setattr(out, "InstanceNumber", out.InstanceNumber + 100 * n),
        )
    assert [read(tmp_path, key).array.min() for key in ("1.1", "1.2")] == [-100, -99]
    assert "volume 2" in choices_in(tmp_path)[1].title


def test_time_points_of_one_enhanced_file(tmp_path):
    def timed(group, n):
        group.FrameContentSequence[0].TemporalPositionIndex = n // 3 + 1

    path = write_enhanced(
        tmp_path / "a.dcm", ARRAY, positions=[(0, 0, n % 3) for n in range(6)], edit=timed
    )
    with pytest.raises(SeveralVolumesError) as caught:
        read(path)
    assert [choice.key for choice in caught.value.choices] == ["7.1", "7.2"]
    volume = read(path, "7.2")
    assert np.array_equal(volume.array.T, ARRAY[3:])
    assert np.array_equal(read(Path(volume.source), volume.part).array, volume.array)


def test_orientations_of_a_scout_are_volumes_of_their_own(tmp_path):
    for n, name in enumerate(["xyz", "yzx", "xzy"]):
        write_series(tmp_path, ARRAY[:2], series="1.2.3", prefix="abc"[n], **layout(name))
    assert [info.title.split(", ")[1] for info in choices_in(tmp_path)] == [
        "axial",
        "sagittal",
        "coronal",
    ]


def test_frames_without_position_stay_in_their_order(tmp_path):
    write_series(tmp_path, ARRAY, positions=[None] * 6, pixel_spacing=(2, 3), shuffle=False)
    volume = read(tmp_path)
    assert not volume.geometry.oriented
    assert np.array_equal(volume.array, ARRAY)
    assert volume.geometry.spacing == (1, 2, 3)
    assert "do not say where the slices lie" in volume.warnings[-1]
    assert np.array_equal(volume.header.frames_first(volume.array), ARRAY)


def test_radiographs_of_one_series_are_no_stack(tmp_path):
    write_series(tmp_path, ARRAY[:2], positions=[None] * 2, modality="DX")
    with pytest.raises(SeveralVolumesError) as caught:
        read(tmp_path)
    assert len({choice.title for choice in caught.value.choices}) == 2
    assert read(Path(caught.value.choices[0].paths[0])).array.shape == (5, 4)


def test_single_slice_keeps_its_plane(tmp_path):
    how = layout("yZx-oblique")
    write_series(tmp_path, ARRAY[:1], pixel_spacing=SPACING, **how)
    volume = read(tmp_path)
    assert volume.array.shape == (4, 5)
    np.testing.assert_allclose(
        volume.geometry.position((3, 2)), LPS @ stated_position(how, 0, 2, 3), atol=1e-4
    )


def test_dicomdir_stands_for_its_folder():
    path = Path(get_testdata_file("DICOMDIR", download=False))
    with pytest.raises(SeveralVolumesError) as caught:
        read(path)
    assert len(caught.value.choices) == len(choices_in(path.parent))


@pytest.mark.parametrize("between", ["4", "-4"])
def test_old_multi_frame_object_lies_where_its_detector_says(tmp_path, between):
    out = dataset(tmp_path / "a.dcm", NuclearMedicineImageStorage, "1.2.3", "NM")
    set_pixels(out, ARRAY)
    out.NumberOfFrames, out.SeriesNumber = 6, 5
    out.PixelSpacing, out.SpacingBetweenSlices = ["2", "3"], between
    detector = Dataset()
    detector.ImagePositionPatient = ["10", "20", "30"]
    detector.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    out.DetectorInformationSequence = [detector]
    out.save_as(tmp_path / "a.dcm", enforce_file_format=True)
    volume = read(tmp_path / "a.dcm")
    (index,) = np.argwhere(volume.array == ARRAY[2, 1, 3])
    expected = LPS @ (10 + 3 * 3, 20 + 1 * 2, 30 + 2 * float(between))
    np.testing.assert_allclose(volume.geometry.position(index), expected)
