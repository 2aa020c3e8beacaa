"""DICOM-SEG back onto its image: irregular slices, a single slice, many segments."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

hd = pytest.importorskip("highdicom")

from pydicom.sr.codedict import codes  # noqa: E402

from napari_sslseg.formats import FormatError, export, format_for  # noqa: E402
from napari_sslseg.formats.dicom import read  # noqa: E402
from napari_sslseg.formats.dicom_seg_planes import plane_placement  # noqa: E402
from napari_sslseg.formats.label_import import GridDiffersError, import_labels  # noqa: E402
from napari_sslseg.volume.classes import ClassTable, SegmentClass  # noqa: E402
from napari_sslseg.volume.geometry import Geometry  # noqa: E402
from napari_sslseg.volume.image import Volume  # noqa: E402

from .conftest import rotation  # noqa: E402
from .dicom_files import write_series  # noqa: E402

ARRAY = np.arange(10 * 5 * 6, dtype=np.int16).reshape(10, 5, 6)
CLASSES = ClassTable([SegmentClass(3, "Liver", "#ff0000")])
SEG = format_for("", "dicom-seg")


def some_labels(volume):
    return (3 * np.random.default_rng(0).integers(0, 2, volume.geometry.shape)).astype(np.uint8)


def bare(volume):
    """As the application has an image: nothing but where it lies."""
    return Volume(np.zeros(volume.geometry.shape, np.uint8), volume.geometry)


def comes_back(folder, path):
    volume = read(folder)
    labels = some_labels(volume)
    export(path, labels, volume, CLASSES, kind=SEG)
    for image in (volume, bare(volume)):
        found = import_labels(path, image, classes=CLASSES)
        assert not found.resampled
        assert np.array_equal(found.labels, labels)


@pytest.mark.parametrize("distance", [0.75, 1.25])
def test_positions_rounded_to_a_tenth_come_back(tmp_path, distance):
    positions = [(0, 0, round(distance * n + 0.33, 1)) for n in range(10)]
    write_series(tmp_path / "in", ARRAY, positions=positions)
    assert "not evenly spaced" in read(tmp_path / "in").warnings[0]
    comes_back(tmp_path / "in", tmp_path / "a.dcm")


@pytest.mark.parametrize("tilt", [0, 0.3])
def test_as_irregular_as_images_may_be(tmp_path, tilt):
    positions = [(0, tilt * n, 2.0 * n + (0.19 if n == 5 else 0)) for n in range(10)]
    write_series(tmp_path / "in", ARRAY, positions=positions)
    comes_back(tmp_path / "in", tmp_path / "a.dcm")


def test_oblique_positions_and_directions_of_few_digits(tmp_path):
    turn = rotation((0.31, -0.22, 0.17))
    array = np.zeros((10, 5, 300), np.int16)  # long rows: a wrong pixel spacing would show
    write_series(
        tmp_path / "in",
        array,
        orientation=[*turn[:, 0].round(3), *turn[:, 1].round(3)],
        positions=[(2.5 * n * turn[:, 2]).round(2) for n in range(10)],
    )
    comes_back(tmp_path / "in", tmp_path / "a.dcm")


def test_a_plane_between_slices_is_no_slice():
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    onto = Geometry(affine, (6, 5, 10))
    for off, fits in ((0.0, True), (0.2, True), (-0.2, True), (0.3, False), (1.0, False)):
        affine[2, 3] = 8 + off
        placed = plane_placement(Geometry(affine, (6, 5, 1)), onto)
        assert (placed is not None) == fits, off
        assert placed is None or placed.offset == (0, 0, 4)
    affine[:3, 3] = (0.3, 0, 8)
    assert plane_placement(Geometry(affine, (6, 5, 1)), onto) is None


def test_a_single_slice_comes_back(tmp_path):
    turn = rotation((0.31, -0.22, 0.17))
    write_series(
        tmp_path / "in",
        ARRAY[:1],
        orientation=[*turn[:, 0], *turn[:, 1]],
        origin=(12.5, -30.25, 7.125),
        pixel_spacing=(1.3, 0.7),
    )
    assert read(tmp_path / "in").geometry.ndim == 2
    comes_back(tmp_path / "in", tmp_path / "a.dcm")


def test_segmentation_of_a_stack_onto_one_of_its_slices_and_beside(tmp_path):
    write_series(tmp_path / "in", ARRAY, step=(0, 0, 2))
    volume = read(tmp_path / "in")
    labels = some_labels(volume)
    export(tmp_path / "a.dcm", labels, volume, CLASSES, kind=SEG)
    affine = volume.geometry.affine.copy()
    affine[2, 2], affine[2, 3] = 1, 8
    image = Volume(np.zeros((6, 5), np.uint8), Geometry(affine, (6, 5)))
    with pytest.raises(GridDiffersError):
        import_labels(tmp_path / "a.dcm", image)
    found = import_labels(tmp_path / "a.dcm", image, classes=CLASSES, resample=True)
    assert np.array_equal(found.labels, labels[..., 4])


def segmentation(folder, path, mask, kind="BINARY"):
    """Write a mask of segment numbers with as many segments as its highest one."""
    described = [
        hd.seg.SegmentDescription(n, f"segment {n}", codes.SCT.Tissue, codes.SCT.Liver, "MANUAL")
        for n in range(1, int(mask.max()) + 1)
    ]
    images = [pydicom.dcmread(file) for file in sorted(folder.iterdir())]
    images.sort(key=lambda image: image.ImagePositionPatient[2])
    written = hd.seg.Segmentation(
        images, mask, kind, described, hd.UID(), 5, hd.UID(), 1, "m", "m", "1", "1"
    )
    written.save_as(path)
    return path


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_more_segments_than_class_ids_are_one_sentence(tmp_path, kind):
    write_series(tmp_path / "in", ARRAY)
    mask = np.minimum(np.arange(ARRAY.size), 260).astype(np.uint16).reshape(ARRAY.shape)
    path = segmentation(tmp_path / "in", tmp_path / "a.dcm", mask, kind)
    with pytest.raises(FormatError, match="has 260 segments, but there are 254") as caught:
        import_labels(path, read(tmp_path / "in"))
    assert str(caught.value).count(". ") == 0


def test_as_many_segments_as_class_ids_come_in_unless_classes_take_some(tmp_path):
    write_series(tmp_path / "in", ARRAY)
    mask = np.minimum(np.arange(ARRAY.size), 254).astype(np.uint16).reshape(ARRAY.shape)
    path = segmentation(tmp_path / "in", tmp_path / "a.dcm", mask)
    assert np.array_equal(import_labels(path, read(tmp_path / "in")).labels, mask.T)
    with pytest.raises(FormatError, match="more than there are free class ids"):
        import_labels(path, read(tmp_path / "in"), classes=CLASSES)


def test_segment_numbers_above_255_of_a_label_map_come_in(tmp_path):
    write_series(tmp_path / "in", ARRAY)
    mask = np.zeros(ARRAY.shape, np.uint16)
    mask[2:4, 1:3] = 1
    path = segmentation(tmp_path / "in", tmp_path / "a.dcm", mask, "LABELMAP")
    data = pydicom.dcmread(path)
    data.SegmentSequence[-1].SegmentNumber = 1001
    data.PixelData = (data.pixel_array.astype(np.uint16) * 1001).tobytes()
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data["PixelData"].VR = "OW"
    data.save_as(path)
    found = import_labels(path, read(tmp_path / "in"))
    assert found.names == {1: "segment 1"}
    assert np.array_equal(found.labels, mask.T)
