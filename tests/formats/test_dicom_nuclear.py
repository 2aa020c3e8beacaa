"""Gated and dynamic nuclear medicine: frames of several volumes in one old multi-frame file."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import NuclearMedicineImageStorage

from napari_sslseg.formats import FormatError
from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.formats.dicom import read

from .dicom_files import choices_in, dataset, set_pixels

SLICES = 4
ARRAY = np.arange(12 * 5 * 6, dtype=np.uint16).reshape(12, 5, 6)


def write(path, array=ARRAY, *, placed=True, **attributes):
    """Write frames that one position and one distance are stated for."""
    out = dataset(path, NuclearMedicineImageStorage, "1.2.3", "NM")
    set_pixels(out, array)
    out.NumberOfFrames, out.SeriesNumber, out.InstanceNumber = len(array), 5, 1
    out.ImageType = ["ORIGINAL", "PRIMARY", "RECON GATED TOMO", "EMISSION"]
    out.PixelSpacing, out.SliceThickness = ["2", "3"], "4"
    detector = Dataset()
    if placed:
        out.SpacingBetweenSlices = "4"
        detector.ImagePositionPatient = ["10", "20", "30"]
        detector.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    out.DetectorInformationSequence = [detector]
    for name, value in attributes.items():
        setattr(out, name, value)
    out.save_as(path, enforce_file_format=True)
    return path


def slices_of(volume):
    """Return an array ``[slice, row, column]``, whether its slices are placed or not."""
    return volume.header.frames_first(volume.array)


@pytest.mark.parametrize(
    ("vector", "word"),
    [
        ("TimeSlotVector", "time slot"),
        ("RRIntervalVector", "R-R interval"),
        ("PhaseVector", "phase"),
        ("EnergyWindowVector", "energy window"),
        ("TimeSliceVector", "time slice"),
    ],
)
@pytest.mark.parametrize("placed", [True, False])
def test_frames_of_one_slice_are_volumes_of_their_own(tmp_path, vector, word, placed):
    times = np.repeat([1, 2, 3], SLICES)
    path = write(
        tmp_path / "a.dcm",
        placed=placed,
        NumberOfSlices=SLICES,
        SliceVector=[1, 2, 3, 4] * 3,
        **{vector: times.tolist()},
    )
    with pytest.raises(SeveralVolumesError) as caught:
        read(path)
    assert len(caught.value.choices) == 3
    for time, choice in enumerate(caught.value.choices, 1):
        assert f"{word} {time}" in choice.title
        assert np.array_equal(slices_of(read(path, choice.key)), ARRAY[times == time])


def test_slices_lie_where_the_slice_vector_says(tmp_path):
    places = [3, 1, 4, 2]
    path = write(
        tmp_path / "a.dcm",
        NumberOfSlices=SLICES,
        SliceVector=[n for n in places for _ in range(3)],
        TimeSlotVector=[1, 2, 3] * SLICES,
    )
    second = read(path, choices_in(path)[1].key)
    for frame, place in zip(ARRAY[1::3], places, strict=True):
        (index,) = np.argwhere(second.array == frame[2, 1])
        expected = np.array([-1, -1, 1]) * (10 + 1 * 3, 20 + 2 * 2, 30 + (place - 1) * 4)
        np.testing.assert_allclose(second.geometry.position(index), expected)


def test_time_slots_of_two_energy_windows_are_told_apart_by_both(tmp_path):
    path = write(
        tmp_path / "a.dcm",
        NumberOfSlices=3,
        SliceVector=[1, 2, 3] * 4,
        EnergyWindowVector=[1] * 6 + [2] * 6,
        TimeSlotVector=[1, 1, 1, 2, 2, 2] * 2,
    )
    infos = choices_in(path)
    assert "energy window 2, time slot 1" in infos[2].title
    assert np.array_equal(slices_of(read(path, infos[2].key)), ARRAY[6:9])


@pytest.mark.parametrize("placed", [True, False])
def test_frames_of_fewer_slices_are_refused_where_nothing_says_which(tmp_path, placed):
    path = write(tmp_path / "a.dcm", placed=placed, NumberOfSlices=SLICES)
    with pytest.raises(FormatError, match="12 frames of 4 slices and does not say") as caught:
        read(path)
    assert str(caught.value).count(". ") == 0


def test_placed_frames_of_several_time_slots_are_refused_without_slices(tmp_path):
    path = write(tmp_path / "a.dcm", TimeSlotVector=[1] * 6 + [2] * 6)
    with pytest.raises(FormatError, match="differ in their time slot and does not say"):
        read(path)


def test_a_slice_for_each_frame_is_one_volume(tmp_path):
    path = write(tmp_path / "a.dcm", NumberOfSlices=12, EnergyWindowVector=[1] * 12)
    volume = read(path)
    assert np.array_equal(slices_of(volume), ARRAY)
    np.testing.assert_allclose(volume.geometry.spacing, (3, 2, 4))


def test_planar_frames_in_time_stay_in_their_order(tmp_path):
    path = write(tmp_path / "a.dcm", placed=False, TimeSliceVector=list(range(1, 13)))
    assert np.array_equal(slices_of(read(path)), ARRAY)
