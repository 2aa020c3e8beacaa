"""Where to look next: the largest disputed part, each only once."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.editing.doubt import doubtful_places


def test_parts_come_by_size_and_each_only_once():
    regions = np.ones((9, 30, 30), np.uint8)
    regions[2:5, 2:8, 2:8] = 4
    regions[3, 2:9, 2:9] = 3  # the same part, largest here
    regions[3, 20:24, 20:26] = 4
    regions[8, 0:2, 0:2] = 3
    regions[8, 10, 10] = 4  # a speck
    regions[6, 12:18, 12:18] = 2  # unsure, but agreed
    found = doubtful_places(lambda z: regions[z], 9)
    places = found.listed
    assert (found.more, found.specks) == (False, True)
    assert [(p.index, p.pixels) for p in places] == [(3, 49), (3, 24), (8, 4)]
    assert places[0].box == (2, 9, 2, 9)
    assert places[0].unsure == 0
    assert places[1].unsure == 24
    row, column = places[1].seed
    assert regions[3, row, column] == 4


def test_parts_far_apart_in_the_same_place_are_two():
    regions = np.zeros((12, 10, 10), np.uint8)
    regions[1, 2:6, 2:6] = regions[9, 2:6, 2:6] = 4
    found = doubtful_places(lambda z: regions[z], 12, most=2)
    assert [p.index for p in found.listed] == [1, 9]
    assert (found.more, found.specks) == (False, False)
    found = doubtful_places(lambda z: regions[z], 12, most=1)
    assert len(found.listed) == 1
    assert found.more


@pytest.mark.parametrize(("apart", "expected"), [(2, [1]), (3, [1, 4])])
def test_parts_two_slices_apart_are_one_and_three_apart_are_two(apart, expected):
    regions = np.zeros((6, 10, 10), np.uint8)
    regions[1, 2:6, 2:6] = regions[1 + apart, 2:6, 2:6] = 4
    assert [p.index for p in doubtful_places(lambda z: regions[z], 6).listed] == expected


def test_parts_beside_each_other_in_neighbouring_slices_are_two():
    regions = np.zeros((2, 10, 10), np.uint8)
    regions[0, 2:5, 2:5] = regions[1, 5:8, 2:5] = 4
    assert len(doubtful_places(lambda z: regions[z], 2).listed) == 2


def test_no_doubt_no_places():
    assert doubtful_places(lambda z: np.zeros((5, 5), np.uint8), 4).listed == []
