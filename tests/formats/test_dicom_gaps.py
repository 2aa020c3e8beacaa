"""DICOM slices that are missing, tilted, irregular or damaged: one sentence each."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from napari_sslseg.formats import FormatError
from napari_sslseg.formats.choice import SeveralVolumesError
from napari_sslseg.formats.dicom import read

from .dicom_files import choices_in, write_series

ARRAY = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4) * 7 - 100
SPACING = (1.3, 0.7)  # rows, columns
ORIGIN = (12.5, -30.25, 7.125)
LPS = np.diag([-1.0, -1.0, 1.0])


def stated_position(how, k, row, column):
    """LPS+ position of a pixel by the equation of the image plane module (C.7.6.2.1-1)."""
    along_row, along_column = np.reshape(how["orientation"], (2, 3))
    start = np.asarray(how["origin"]) + k * np.asarray(how["step"])
    return start + column * SPACING[1] * along_row + row * SPACING[0] * along_column


def is_one_sentence(text):
    return text.count(". ") == 0 and text.endswith(".") and "\n" not in text


def test_missing_slices_are_said_and_nothing_is_made_up(tmp_path):
    paths = write_series(tmp_path, ARRAY)
    paths[2].unlink()
    with pytest.raises(SeveralVolumesError, match="uneven distances") as caught:
        read(tmp_path)
    first, rest = caught.value.choices
    assert "slices 1 to 2 of 5" in first.title
    assert "slices 3 to 5 of 5" in rest.title
    volume = read(tmp_path, rest.key)
    assert np.array_equal(volume.array.T, ARRAY[3:])
    np.testing.assert_allclose(volume.geometry.origin, (0, 0, 3))


def test_missing_slice_next_to_the_first(tmp_path):
    write_series(tmp_path, ARRAY)[1].unlink(missing_ok=True)
    titles = [info.title for info in choices_in(tmp_path)]
    assert ["slice 1 of 5" in titles[0], "slices 2 to 5 of 5" in titles[1]] == [True, True]


def test_change_of_the_slice_distance_splits_the_stack(tmp_path):
    positions = [(0, 0, z) for z in (0, 5, 10, 20, 30, 40)]
    write_series(tmp_path, ARRAY, positions=positions)
    spacings = [info.spacing[2] for info in choices_in(tmp_path)]
    assert spacings == [5, 10]


def test_small_irregularity_is_said_and_large_is_refused(tmp_path):
    wavering = np.array([0, 0, 0.15, 0, 0.1, 0])
    positions = [(0, 0, 5 * n + wavering[n]) for n in range(6)]
    write_series(tmp_path / "a", ARRAY, positions=positions)
    volume = read(tmp_path / "a")
    assert "not evenly spaced" in volume.warnings[0]
    assert "0.15 mm" in volume.warnings[0]
    chaos = np.random.default_rng(0).uniform(0, 100, 40)
    write_series(tmp_path / "b", np.repeat(ARRAY, 7, 0)[:40], positions=[(0, 0, z) for z in chaos])
    with pytest.raises(FormatError, match="again and again; resample") as caught:
        read(tmp_path / "b")
    assert is_one_sentence(str(caught.value))


def test_positions_rounded_by_a_scanner_are_regular(tmp_path):
    positions = [(0, 0, round(0.625 * n, 2)) for n in range(40)]
    write_series(tmp_path, np.repeat(ARRAY, 7, 0)[:40], positions=positions)
    volume = read(tmp_path)
    assert volume.array.shape == (4, 5, 40)
    assert volume.warnings == ()


def test_gantry_tilt_is_said_and_kept(tmp_path):
    tilt = np.radians(12)
    orientation = (1, 0, 0, 0, np.cos(tilt), np.sin(tilt))
    how = {"orientation": orientation, "step": (0, 0, 4.0), "origin": ORIGIN}
    write_series(tmp_path, ARRAY, pixel_spacing=SPACING, modality="CT", **how)
    volume = read(tmp_path)
    assert "tilted by 12.0°" in volume.warnings[0]
    for k, row, column in [(0, 0, 0), (5, 4, 3), (3, 1, 2)]:
        (index,) = np.argwhere(volume.array == ARRAY[k, row, column])
        expected = LPS @ stated_position(how, k, row, column)
        np.testing.assert_allclose(volume.geometry.position(index), expected, atol=1e-4)


def test_sideways_shifts_are_refused(tmp_path):
    positions = [(9 * (n % 2), 0, n) for n in range(6)]
    write_series(tmp_path, ARRAY, positions=positions)
    with pytest.raises(FormatError, match="shifted sideways"):
        read(tmp_path)


def test_truncated_slice_is_named(tmp_path):
    paths = write_series(tmp_path, ARRAY)
    paths[3].write_bytes(paths[3].read_bytes()[:-30])
    with pytest.raises(FormatError, match=r"im\d{4}\.dcm.*(damaged|incomplete)") as caught:
        read(tmp_path)
    assert is_one_sentence(str(caught.value))


def test_damaged_neighbour_is_left_out_and_said(tmp_path):
    paths = write_series(tmp_path, ARRAY)
    content = paths[5].read_bytes()
    paths[5].write_bytes(content[:132] + content[300:])
    volume = read(tmp_path)
    assert np.array_equal(volume.array.T, ARRAY[:5])
    assert "1 file" in volume.warnings[0]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"PixelSpacing": ["0", "1"]}, "pixel spacing of 0 × 1 mm"),
        ({"Rows": 60000}, "promises"),
        ({"NumberOfFrames": "2000000000"}, "promises 2000000000 frames"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]}, "mosaic"),
    ],
)
def test_impossible_headers_are_said(tmp_path, edit, message):
    def change(out, n):
        for name, value in edit.items():
            setattr(out, name, value)

    paths = write_series(tmp_path, ARRAY, edit=change)
    with pytest.raises(FormatError, match=message) as caught:
        read(paths[0])
    assert is_one_sentence(str(caught.value))


def test_folder_or_file_without_images_is_said(tmp_path):
    with pytest.raises(FormatError, match="holds no DICOM images"):
        read(tmp_path)
    with pytest.raises(FormatError, match="holds no image"):
        read(Path(get_testdata_file("rtplan.dcm", download=False)))


def test_missing_library_is_named(tmp_path, monkeypatch):
    write_series(tmp_path, ARRAY[:2])
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(FormatError, match=r"pydicom.*napari-sslseg\[dicom\]"):
        read(tmp_path)
