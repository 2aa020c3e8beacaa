"""DICOM headers with few digits: directions that are no unit vectors, positions not quite even."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from napari_sslseg.formats import export, format_for
from napari_sslseg.formats.dicom import read
from napari_sslseg.volume.classes import ClassTable, SegmentClass

from .conftest import rotation
from .dicom_files import write_enhanced, write_series

ARRAY = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4) * 7 - 100
CLASSES = ClassTable([SegmentClass(3, "Liver", "#ff0000")])

#: Two of these are longer than one after rounding, two are shorter, and two are oblique twice.
ANGLES = [
    (0, 0, np.radians(5)),
    (0, 0, np.radians(10)),
    (0, 0, np.radians(12)),
    (0, 0, np.radians(20)),
    (0.31, -0.22, 0.17),
    (-0.4, 0.1, 0.27),
]


def rounded(angles, digits):
    """Direction cosines of a turned image as a scanner writes them, and the slice normal."""
    turn = rotation(angles)
    return [*turn[:, 0].round(digits), *turn[:, 1].round(digits)], turn[:, 2]


@pytest.mark.parametrize("digits", [3, 4, 5])
@pytest.mark.parametrize("angles", ANGLES)
def test_rounded_directions_are_one_volume_of_the_stated_spacing(tmp_path, angles, digits):
    orientation, normal = rounded(angles, digits)
    write_series(
        tmp_path / "in", ARRAY, orientation=orientation, step=3 * normal, pixel_spacing=(1.3, 0.7)
    )
    volume = read(tmp_path / "in")
    assert np.array_equal(volume.array.T, ARRAY)
    np.testing.assert_allclose(volume.geometry.spacing, (0.7, 1.3, 3), rtol=1e-6)


def test_rounded_directions_of_an_enhanced_file(tmp_path):
    orientation, normal = rounded(ANGLES[1], 4)
    path = write_enhanced(
        tmp_path / "a.dcm",
        ARRAY,
        orientation=orientation,
        positions=[2 * n * normal for n in range(6)],
    )
    volume = read(path)
    assert np.array_equal(volume.array.T, ARRAY)
    np.testing.assert_allclose(volume.geometry.spacing, (1, 1, 2), rtol=1e-6)


def test_rounded_directions_go_out_as_contours_on_the_voxels(tmp_path):
    orientation, normal = rounded(ANGLES[1], 3)  # 0.03 % too long
    write_series(
        tmp_path / "in", np.zeros((2, 4, 400), np.int16), orientation=orientation, step=normal
    )
    volume = read(tmp_path / "in")
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[399, 2, 1] = 3
    export(tmp_path / "a.dcm", labels, volume, CLASSES, kind=format_for("", "rtstruct"))
    (region,) = pydicom.dcmread(tmp_path / "a.dcm").ROIContourSequence
    (contour,) = region.ContourSequence
    middle = np.reshape(np.asarray(contour.ContourData, float), (-1, 3)).mean(axis=0)
    wanted = volume.geometry.position((399, 2, 1)) * (-1, -1, 1)
    np.testing.assert_allclose(middle, wanted, atol=1e-3)
