"""Numbers per slice, and the words made from them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.acquisition.evidence import (
    Evidence,
    count_regions,
    doubt_of_slices,
    evidence_of,
    object_areas,
)
from napari_sslseg.acquisition.reasons import end_names, reason_for
from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.proposal import Proposal


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_regions_are_counted_slice_by_slice(axis):
    rng = np.random.default_rng(0)
    regions = rng.integers(0, 5, (4, 5, 6)).astype(np.uint8)
    counts = count_regions(regions, axis)
    for z in range(regions.shape[axis]):
        here = np.take(regions, z, axis)
        assert counts[z].tolist() == [int((here == code).sum()) for code in range(5)]


def test_doubt_is_the_expected_number_of_wrong_voxels():
    confidence = np.full((3, 4, 4), 255, np.uint8)
    confidence[1, :2] = 51  # right in one of five
    confidence[2] = 254  # rounding of certainty
    assert doubt_of_slices(confidence, 0) == pytest.approx([0, 8 * 0.8, 0])
    assert doubt_of_slices(confidence, 1) == pytest.approx([3.2, 3.2, 0, 0])
    assert object_areas(np.eye(3, dtype=np.uint8)[None], 1).tolist() == [1, 1, 1]


def test_a_proposal_tells_what_is_doubtful_along_any_axis():
    classes, regions, confidence = (np.zeros((3, 4, 5), np.uint8) for _ in range(3))
    classes[:, 2], regions[1] = 1, 4
    told = evidence_of(Proposal("p", classes, regions, confidence), 0, [2], volume="v")
    assert told.doubt is None  # nothing was judged
    assert told.expected_errors().tolist() == [0, 20, 0]
    assert (told.known, told.volume) == ((2,), "v")
    confidence[:] = 255
    confidence[0, 3] = 0
    told = evidence_of(Proposal("p", classes, regions, confidence), 1, [])
    assert told.areas.tolist() == [0, 0, 15, 0]
    assert told.expected_errors() == pytest.approx([0, 0, 0, 5])


def test_what_is_proposed_outside_of_the_object_is_none():
    classes = np.ones((6, 2, 2), np.uint8)
    blank = np.zeros_like(classes)
    told = evidence_of(Proposal("p", classes, blank, blank), 0, [0], extent=(2, 4), ends=("A", "B"))
    assert told.areas.tolist() == [4, 0, 4, 4, 4, 0]  # ink stands above what is said
    assert (told.extent, told.ends) == ((2, 4), ("A", "B"))
    assert told.open_slices().tolist() == [2, 3, 4]


def test_evidence_of_other_length_or_place_is_refused():
    with pytest.raises(ValueError, match="5 slices, but doubt of 4"):
        Evidence(np.zeros((5, 5), np.int64), doubt=np.zeros(4))
    with pytest.raises(ValueError, match="outside"):
        Evidence(np.zeros((5, 5), np.int64), known=(5,))


def test_the_reason_says_what_where_and_how_far():
    regions = np.zeros((30, 5), dtype=np.int64)
    regions[6, 2], regions[15, 4], regions[28, 3] = 90, 7, 1
    areas = np.zeros(30, dtype=np.int64)
    areas[5:26] = 200
    given = Evidence(regions, (13,), areas=areas, ends=("inferior end", "superior end"))
    assert reason_for(given, 6) == (
        "large suspicious area that both predictions are unsure of (90 voxels) "
        "near the inferior end of the object, 7 slices from the nearest known one"
    )
    assert reason_for(given, 15).startswith("small area where the predictions disagree (7 voxels),")
    assert "past the proposed object, towards the superior end" in reason_for(given, 28)
    nameless = Evidence(regions, (), areas=areas)
    assert "near the first slices of the object, nothing is labelled yet" in reason_for(nameless, 6)


def test_ends_are_named_where_the_orientation_is_known():
    geometry = Geometry(np.diag([1.0, -1.0, 2.0, 1.0]), (4, 5, 6))
    assert end_names(geometry, 2) == ("inferior end", "superior end")
    assert end_names(geometry, 1) == ("anterior end", "posterior end")
    plain = Geometry.from_spacing((1.0, 1.0, 1.0), (4, 5, 6))
    assert end_names(plain, 0) == ("", "")
