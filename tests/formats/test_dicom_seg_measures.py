"""DICOM-SEG of images whose headers leave out thickness or pixel spacing."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

hd = pytest.importorskip("highdicom")

from napari_sslseg.formats import FormatError, export, format_for, why_not  # noqa: E402
from napari_sslseg.formats.dicom import read  # noqa: E402
from napari_sslseg.formats.label_import import import_labels  # noqa: E402
from napari_sslseg.volume.classes import ClassTable, SegmentClass  # noqa: E402

from .dicom_files import choices_in, write_enhanced, write_series  # noqa: E402
from .test_dicom_nuclear import write as write_nuclear  # noqa: E402

ARRAY = np.arange(6 * 5 * 4, dtype=np.int16).reshape(6, 5, 4)
CLASSES = ClassTable([SegmentClass(3, "Liver", "#ff0000")])
SEG = format_for("", "dicom-seg")


def written(path, volume):
    """Export some labels; return the measures that highdicom reads, having imported them again."""
    labels = np.zeros(volume.geometry.shape, np.uint8)
    labels[(slice(1, 3),) * labels.ndim] = 3
    export(path, labels, volume, CLASSES, kind=SEG)
    assert np.array_equal(import_labels(path, volume, classes=CLASSES).labels, labels)
    return hd.seg.segread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def left_out(keyword, empty):
    def edit(out, n):
        delattr(out, keyword)
        if empty:
            setattr(out, keyword, None)

    return edit


@pytest.mark.parametrize("empty", [True, False])
def test_slice_thickness_that_is_not_stated_is_the_slice_distance(tmp_path, empty):
    edit = left_out("SliceThickness", empty)
    write_series(tmp_path / "in", ARRAY, step=(0, 0, 2.5), edit=edit)
    assert written(tmp_path / "a.dcm", read(tmp_path / "in")).SliceThickness == 2.5


def test_stated_slice_thickness_stays(tmp_path):
    write_series(tmp_path / "in", ARRAY, step=(0, 0, 2.5))
    assert written(tmp_path / "a.dcm", read(tmp_path / "in")).SliceThickness == 1


@pytest.mark.parametrize("empty", [True, False])
def test_slice_thickness_that_an_enhanced_file_does_not_state(tmp_path, empty):
    path = write_enhanced(tmp_path / "in.dcm", ARRAY, positions=[(0, 0, 2.5 * n) for n in range(6)])
    data = pydicom.dcmread(path)
    left_out("SliceThickness", empty)(
        data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0], 0
    )
    data.save_as(path)
    assert written(tmp_path / "a.dcm", read(path)).SliceThickness == 2.5


def test_thickness_of_an_old_multi_frame_object_stands_at_its_top(tmp_path):
    path = write_nuclear(
        tmp_path / "in.dcm",
        NumberOfSlices=4,
        SliceVector=[1, 2, 3, 4] * 3,
        TimeSlotVector=[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3],
        SliceThickness="3.5",
    )
    second = read(path, choices_in(path)[1].key)
    assert written(tmp_path / "a.dcm", second).SliceThickness == 3.5


def test_pixel_spacing_at_the_detector_is_taken_where_there_is_no_other(tmp_path):
    def edit(out, n):
        del out.PixelSpacing
        out.ImagerPixelSpacing = ["0.5", "0.25"]

    write_series(tmp_path / "in", ARRAY, edit=edit)
    assert written(tmp_path / "a.dcm", read(tmp_path / "in")).PixelSpacing == [0.5, 0.25]


def test_unknown_pixel_spacing_is_why_it_cannot_be_written(tmp_path):
    write_series(tmp_path / "in", ARRAY, edit=left_out("PixelSpacing", False))
    volume = read(tmp_path / "in")
    for key in ("dicom-seg", "rtstruct"):
        assert "how large a pixel is" in why_not(format_for("", key), volume)
    with pytest.raises(FormatError, match="how large a pixel is"):
        written(tmp_path / "a.dcm", volume)


def test_a_single_slice_of_unknown_thickness_is_said(tmp_path):
    write_series(tmp_path / "in", ARRAY[:1], edit=left_out("SliceThickness", True))
    with pytest.raises(FormatError, match="the thickness of its single slice") as caught:
        written(tmp_path / "a.dcm", read(tmp_path / "in"))
    assert str(caught.value).count(". ") == 0


def test_spacing_between_slices_is_the_thickness_of_a_single_slice(tmp_path):
    def edit(out, n):
        out.SliceThickness = None
        out.SpacingBetweenSlices = "2"

    write_series(tmp_path / "in", ARRAY[:1], edit=edit)
    assert written(tmp_path / "a.dcm", read(tmp_path / "in")).SliceThickness == 2
