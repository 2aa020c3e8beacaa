"""RT structure sets as labels: of this program, and as planning systems write them."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from napari_sslseg.formats import FormatError, dicom_rtstruct, write_labels
from napari_sslseg.formats import read as read_any
from napari_sslseg.formats.dicom import read
from napari_sslseg.formats.label_import import import_labels
from napari_sslseg.volume.classes import ClassTable, SegmentClass
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.image import Volume

from .conftest import BY_TURNS, DIRECTIONS
from .dicom_files import write_series, write_structure_set

SHAPE = (6, 20, 24)
#: In the order of the slices as they are shown: 6 slices of 20 rows and 24 columns, 1 mm and 2 mm.
IMAGE = Volume(np.zeros((24, 20, 6), np.uint8), Geometry(np.diag([-1.0, -1, 2, 1]), (24, 20, 6)))


def square(low, high, z=4.0):
    """Corners half way between pixels; what is inside are rows and columns low to high - 1."""
    a, b = low - 0.5, high - 0.5
    return np.array([(a, a, z), (b, a, z), (b, b, z), (a, b, z)])


def boxes(**slices):
    """Return labels as they should come in, 255 on all slices but those with (low, high) boxes."""
    labels = np.full(IMAGE.geometry.shape, 255, np.uint8)
    for name, parts in slices.items():
        plane = labels[..., int(name[1:])]
        plane[...] = 0
        for low, high, value in parts:
            plane[low:high, low:high] = value
    return labels


def awkward(shape):
    """Masks with holes, single pixels, diagonal touches, and pixels at the border."""
    rng = np.random.default_rng(4)
    labels = np.zeros(shape, np.uint8)
    labels[0] = rng.integers(0, 3, shape[1:])
    labels[1] = rng.random(shape[1:]) < 0.85
    labels[2, 2:9, 2:9] = 2
    labels[2, 4:7, 4:7] = 0
    labels[2, 5, 5] = 1
    labels[-1] = 1
    return labels


@pytest.mark.parametrize("name", BY_TURNS[::4])
def test_what_was_written_here_comes_back_voxel_by_voxel(tmp_path, name):
    directions = DIRECTIONS[name]
    write_series(
        tmp_path / "in",
        np.zeros((5, 12, 13), np.int16),
        orientation=[*directions[:, 0], *directions[:, 1]],
        step=directions[:, 2] * 5,
        origin=(12.5, -30.25, 7.125),
        pixel_spacing=(1.3, 0.7),
    )
    volume = read(tmp_path / "in")
    labels = awkward((5, 12, 13)).T
    classes = ClassTable.from_ids([1, 2])
    dicom_rtstruct.write(tmp_path / "rt.dcm", labels, volume, classes, False)
    # The image, and the same one in a file that knows of RAS alone and in another order of axes.
    write_labels(tmp_path / "a.nii.gz", labels[::-1, :, ::-1], turned(volume))
    nifti = read_any(tmp_path / "a.nii.gz")
    for image in (volume, nifti):
        found = import_labels(tmp_path / "rt.dcm", image)
        wanted = labels if image is volume else labels[::-1, :, ::-1]
        assert np.array_equal(np.where(found.labels == 255, 0, found.labels), wanted)
        empty = ~(wanted > 0).any(axis=(0, 1))
        assert (found.labels[..., empty] == 255).all()


def turned(volume):
    affine = volume.geometry.affine.copy()
    for axis in (0, 2):
        affine[:3, 3] += affine[:3, axis] * (volume.geometry.shape[axis] - 1)
        affine[:3, axis] *= -1
    geometry = Geometry(affine, volume.geometry.shape)
    return Volume(np.zeros(geometry.shape, np.uint8), geometry)


def test_holes_as_planning_systems_draw_them(tmp_path):
    keyhole = np.concatenate([square(2, 12), square(2, 12)[:1], square(5, 8)[::-1]])
    keyhole = np.concatenate([keyhole[:-4], square(5, 8), square(5, 8)[:1], square(2, 12)[:1]])
    xor = [("CLOSEDPLANAR_XOR", square(*pair, z=6)) for pair in ((2, 12), (5, 8))]
    plain = [square(2, 12, z=8), square(5, 8, z=8)[::-1], square(2, 12, z=8)]  # one of them twice
    path = write_structure_set(tmp_path / "rt.dcm", {"Wall": [keyhole, *xor, *plain]})
    found = import_labels(path, IMAGE)
    ring = [(2, 12, 1), (5, 8, 0)]
    assert np.array_equal(found.labels, boxes(s2=ring, s3=ring, s4=ring))
    assert found.names == {1: "Wall"}
    assert found.regions.masks[1].color == "#ff1e00"
    assert found.remarks == ()


def test_points_and_open_lines_are_left_out_and_said(tmp_path):
    line = ("OPEN_PLANAR", square(1, 9))
    regions = {"Heart": [square(2, 9), line], "Isocentre": [("POINT", square(3, 4)[:1])]}
    found = import_labels(write_structure_set(tmp_path / "rt.dcm", regions), IMAGE)
    assert np.array_equal(found.labels, boxes(s2=[(2, 9, 1)]))
    said = "Points and open lines of Heart and Isocentre left out: they bound no area."
    assert found.remarks == (said,)


def test_slices_between_outlined_ones_are_not_annotated(tmp_path):
    every_other = [square(2, 9, z) for z in (0, 4, 8)]
    all_but_one = [square(10, 15, z) for z in (0, 2, 6, 8)]
    path = write_structure_set(tmp_path / "rt.dcm", {"Heart": every_other})
    found = import_labels(path, IMAGE)
    heart = [(2, 9, 1)]
    assert np.array_equal(found.labels, boxes(s0=heart, s2=heart, s4=heart))
    assert found.remarks == ()
    # Where another region has an outline there, the slice is annotated in part.
    regions = {"Heart": every_other, "Cord": all_but_one}
    found = import_labels(write_structure_set(tmp_path / "rt.dcm", regions), IMAGE)
    cord = (10, 15, 2)
    both, partly = [*heart, cord], [(0, 24, 255), cord]
    wanted = boxes(s0=both, s1=partly, s2=[(0, 24, 255), *heart], s3=partly, s4=both)
    assert np.array_equal(found.labels, wanted)
    assert found.remarks[0].startswith("Heart and Cord are not outlined on some slices in between")


def test_two_parts_of_a_region_leave_background_between_them(tmp_path):
    image = replace(
        IMAGE, array=np.zeros((24, 20, 12)), geometry=Geometry(IMAGE.geometry.affine, (24, 20, 12))
    )
    parts = [square(2, 9, z) for z in (0, 2, 4, 6, 16, 18, 20, 22)]
    whole = [square(10, 15, z) for z in range(0, 24, 2)]
    path = write_structure_set(tmp_path / "rt.dcm", {"Nodes": parts, "Cord": whole})
    found = import_labels(path, image)
    assert (found.labels < 255).all()
    assert found.remarks == ()


def test_the_smaller_of_two_overlapping_regions_goes_first(tmp_path):
    regions = {"Heart": [square(4, 9)], "BODY": [square(1, 18)], "Lung": [square(8, 16)]}
    found = import_labels(write_structure_set(tmp_path / "rt.dcm", regions), IMAGE)
    wanted = boxes(s2=[(1, 18, 2), (8, 16, 3), (4, 9, 1)])
    assert np.array_equal(found.labels, wanted)
    (said,) = found.remarks
    assert said == (
        "Regions overlap (BODY with Lung, BODY with Heart and 1 more), but a voxel has one class: "
        "what they share went to the smaller one."
    )
    labels, said = found.regions.labels({2: 7})  # without what lies over it
    assert np.array_equal(labels, boxes(s2=[(1, 18, 7)]).T)  # as shown
    assert said == ()


def test_regions_get_the_classes_of_their_names(tmp_path):
    regions = {"heart": [square(4, 9)], "Heart": [square(10, 12)], "": [square(13, 15)]}
    path = write_structure_set(tmp_path / "rt.dcm", regions)
    classes = ClassTable([SegmentClass(1, "Liver", "#ff0000"), SegmentClass(9, "Heart", "#00ff00")])
    found = import_labels(path, IMAGE, classes=classes)
    assert found.names == {9: "heart", 2: "Heart (4)", 3: "ROI 5"}


def test_planes_off_the_slices_are_told(tmp_path):
    regions = {
        "Heart": [square(2, 9, z) for z in (2.2, 4, 5, 7)],
        "Cord": [square(10, 12, z) for z in (-2, 4, 12)],
        "Tilted": [square(2, 9) + np.outer([0, 0, 1, 1], [0, 0, 2])],
        "Beside": [square(40, 50)],
        "Dot": [square(3, 4) * 0.2 + [3.6, 3.6, 3.2]],
        "Skin": [square(-3, 30)],
        "Nothing": [],
    }
    found = import_labels(write_structure_set(tmp_path / "rt.dcm", regions), IMAGE)
    assert sorted(found.names.values()) == ["Cord", "Heart", "Skin"]
    assert found.remarks[:7] == (
        "2 contours of Heart left out: they lie between the slices of the image.",
        "3 contours of Cord and Beside left out: they lie beyond the image.",
        "1 contour of Tilted left out: it lies across the slices of the image, as if drawn on "
        "others.",
        "Contours of Dot left out: no voxel's centre is inside.",
        "Skin cut where the image ends.",
        "Nothing left out: nothing is drawn.",
        "Regions overlap (Skin with Heart and Skin with Cord), but a voxel has one class: what "
        "they share went to the smaller one.",
    )


def test_of_planes_closer_than_the_slices_the_nearest_counts(tmp_path):
    regions = {"Heart": [square(2, 9, 4.1), square(2, 8, 4), square(2, 9, 3.9)]}
    found = import_labels(write_structure_set(tmp_path / "rt.dcm", regions), IMAGE)
    assert np.array_equal(found.labels, boxes(s2=[(2, 8, 1)]))
    assert found.remarks[0].startswith("2 contours of Heart left out: they lie between")


def test_contours_of_an_image_that_was_sliced_anew_go_onto_the_nearest_slices(tmp_path):
    def imported(distance, shape, places, first=0.0):
        affine = np.diag([-1.0, -1, distance, 1])
        affine[2, 3] = first
        image = Volume(np.zeros(shape, np.uint8), Geometry(affine, shape))
        contours = {"Heart": [square(2, 9, z) for z in places]}
        found = import_labels(write_structure_set(tmp_path / "rt.dcm", contours), image)
        inked = np.flatnonzero((found.labels < 255).all(axis=(0, 1)))
        assert (found.labels[2:9, 2:9, inked] == 1).all()
        assert (np.delete(found.labels, inked, axis=2) == 255).all()
        return inked.tolist(), found.remarks

    thick, thin = (24, 20, 6), (24, 20, 18)
    drawn = (0, 3, 6, 9)
    assert imported(1, thin, drawn) == ([0, 3, 6, 9], ())
    slices, (said,) = imported(1, thin, drawn, first=-0.4)
    assert slices == [0, 3, 6, 9]
    assert said == (
        "Contours of Heart were drawn on slices at another distance: each is on the nearest slice "
        "of the image, up to 0.4 mm off, and slices without one are not annotated."
    )
    slices, (said,) = imported(1, thin, [z + (-1) ** z * 0.004 for z in drawn], first=-1.5)
    assert slices == [1, 4, 7, 10]  # always to the same side
    assert "up to 0.5 mm off" in said
    # Thicker slices than they were drawn on take what is near.
    slices, (between, _) = imported(3, thick, range(13), first=0.4)
    assert slices == [0, 1, 2, 3, 4]
    assert between.startswith("8 contours of Heart left out: they lie between the slices")
    # At the distance of the slices: of another image, or of one that was moved.
    with pytest.raises(FormatError, match="between the slices"):
        imported(3, thick, drawn, first=-1)


def test_contours_across_another_axis_come_in(tmp_path):
    sagittal = square(1, 5)[:, [2, 0, 1]] * [1, 1, 2]
    found = import_labels(write_structure_set(tmp_path / "rt.dcm", {"Heart": [sagittal]}), IMAGE)
    assert (found.labels[[3, 5]] == 255).all()
    assert found.labels[4].sum() == 4 * 4
    assert (found.labels[4, 1:5, 1:5] == 1).all()


def test_the_border_of_a_mask_comes_in_whole(tmp_path):
    ring = [square(2.5, 12.5), square(4.5, 8.5)]  # corners on the centres of outermost voxels
    dot, line = square(15.5, 19.5)[:1], square(15.5, 19.5)[:2]
    regions = {
        "Spot": [square(0.5, 1.5, z=8)[:1]],  # alone, it says nothing of its plane
        "Wall": [*ring, dot, line, square(2, 9, z=6), square(3.5, 4.5, z=6)[:1]],
    }
    path = write_structure_set(tmp_path / "rt.dcm", regions)
    wanted = boxes(s2=[(2, 13, 2), (5, 8, 0)], s3=[(2, 9, 2)], s4=[(0, 1, 1)])
    wanted[15:20, 15, 2] = 2
    for image, labels in ((IMAGE, wanted), (turned(IMAGE), wanted[::-1, :, ::-1])):
        found = import_labels(path, image)
        assert np.array_equal(found.labels, labels)
        assert found.remarks == (
            "Points and open lines of Wall left out: they bound no area.",
            "Contours of Spot and Wall run from voxel centre to voxel centre: voxels on them count "
            "as inside.",
        )
    alone = write_structure_set(tmp_path / "rt.dcm", {"Spot": regions["Spot"]})
    assert np.array_equal(import_labels(alone, IMAGE).labels, boxes(s4=[(0, 1, 1)]))


def test_corners_on_voxels_are_taken_alike_in_whatever_order_the_image_is(tmp_path):
    off_centre = [square(10.2, 11.2)]  # so that this is no border of a mask
    path = write_structure_set(tmp_path / "rt.dcm", {"Heart": [square(2.5, 9.5), *off_centre]})
    found = import_labels(path, IMAGE)
    assert np.array_equal(found.labels, boxes(s2=[(2, 9, 1), (10, 11, 1)]))
    other = import_labels(path, turned(IMAGE))
    assert np.array_equal(other.labels, found.labels[::-1, :, ::-1])


def test_contours_come_onto_a_single_slice(tmp_path):
    affine = IMAGE.geometry.affine.copy()
    affine[2, 2], affine[2, 3] = 1, 4
    image = Volume(np.zeros((24, 20), np.uint8), Geometry(affine, (24, 20)))
    path = write_structure_set(tmp_path / "rt.dcm", {"Heart": [square(2, 9), square(1, 3, 6)]})
    found = import_labels(path, image)
    assert np.array_equal(found.labels, boxes(s2=[(2, 9, 1)])[..., 2])
    assert found.remarks == ("1 contour of Heart left out: it lies beyond the image.",)


def test_frames_of_reference(tmp_path):
    write_series(tmp_path / "in", np.zeros((4, 20, 24), np.int16), step=(0, 0, 2))
    image = read(tmp_path / "in")
    heart = {"Heart": [square(2, 9)]}
    assert import_labels(write_structure_set(tmp_path / "a.dcm", heart), image).remarks == ()
    path = write_structure_set(tmp_path / "b.dcm", heart, frame="1.2.3")
    bare = Volume(np.zeros(image.geometry.shape), image.geometry, source=image.source)
    for volume in (image, bare):
        (said,) = import_labels(path, volume).remarks
        assert "in another frame of reference than the image" in said
    assert import_labels(path, IMAGE).remarks == ()  # which does not say in which it is

    def of_two(data):
        data.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.2.3"

    path = write_structure_set(tmp_path / "c.dcm", heart | {"Cord": heart["Heart"]}, edit=of_two)
    found = import_labels(path, image)
    assert found.names == {1: "Heart"}
    assert found.remarks == (
        "Cord left out: drawn in another frame of reference than the image's.",
    )

    def of_none(data):
        for row in data.StructureSetROISequence:
            del row.ReferencedFrameOfReferenceUID

    found = import_labels(write_structure_set(tmp_path / "d.dcm", heart, edit=of_none), image)
    assert "do not say which frame of reference" in found.remarks[0]


def test_the_folder_of_a_structure_set_stands_for_it(tmp_path):
    write_series(tmp_path, np.zeros((4, 20, 24), np.int16), step=(0, 0, 2))
    image = read(tmp_path)
    write_structure_set(tmp_path / "rt.dcm", {"Heart": [square(2, 9)]})
    assert import_labels(tmp_path, image).names == {1: "Heart"}
    write_structure_set(tmp_path / "other.dcm", {"Heart": [square(2, 9)]})
    with pytest.raises(FormatError, match=r"several structure sets: other.dcm, rt.dcm; choose"):
        import_labels(tmp_path, image)


def test_opened_as_an_image_it_says_what_it_is(tmp_path):
    path = write_structure_set(tmp_path / "rt.dcm", {"Heart": [square(2, 9)]})
    with pytest.raises(FormatError, match="is a structure set; open the images"):
        read_any(path)


def refused(path, image=IMAGE):
    with pytest.raises(FormatError) as caught:
        import_labels(path, image)
    assert str(caught.value).count(". ") == 0
    assert str(caught.value).endswith(".")
    return str(caught.value)


def test_what_cannot_be_taken_is_one_sentence(tmp_path):
    def said(**options):
        return refused(write_structure_set(tmp_path / "rt.dcm", **options))

    assert "has nothing drawn in it" in said(regions={"Heart": []})
    assert "nothing but points" in said(regions={"Heart": [("POINT", square(2, 9)[:1])]})
    assert "beyond the image" in said(regions={"Heart": [square(2, 9, 400)]})
    assert "beyond the image" in said(regions={"Heart": [square(200, 209)]})
    assert "between the slices" in said(regions={"Heart": [square(2, 9, 3)]})
    assert "they bound no area" in said(regions={"Heart": [square(2, 9)[:2]]})
    assert "smaller than a voxel" in said(regions={"Heart": [square(3, 4) * 0.2 + 3.2]})
    path = write_structure_set(tmp_path / "rt.dcm", {"Heart": [square(2, 9)]})
    unknown = Volume(np.zeros((6, 20, 24)), Geometry.from_spacing((2, 1, 1), (6, 20, 24)))
    assert "does not say where it lies" in refused(path, unknown)
    many = {f"ROI-{n}": [square(2, 9)] for n in range(255)}
    assert "more than there are free class ids" in said(regions=many)


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "undefined"])
def test_files_cut_short_are_refused(tmp_path, syntax):
    regions = {"Heart": [square(2, 9), square(2, 9, 6)], "Cord": [square(10, 12)]}
    data = pydicom.dcmread(write_structure_set(tmp_path / "a.dcm", regions))
    if syntax == "explicit":
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    for element in data.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = syntax == "undefined"
    path = tmp_path / "a.dcm"
    data.save_as(path)
    stored, whole = path.read_bytes(), import_labels(path, IMAGE)
    needed = stored.rindex(b"ORGAN") - 100  # where what follows the contours begins
    for length in range(stored.rindex(b"481.3") + 8, len(stored), 5):
        (tmp_path / "b.dcm").write_bytes(stored[:length])
        with contextlib.suppress(FormatError):
            found = import_labels(tmp_path / "b.dcm", IMAGE)
            assert length > needed
            assert np.array_equal(found.labels, whole.labels)
    (tmp_path / "b.dcm").write_bytes(stored[: needed - 200])
    assert "damaged or incomplete" in refused(tmp_path / "b.dcm")
