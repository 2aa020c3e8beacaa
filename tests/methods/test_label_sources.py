"""Which inked slices labels are carried from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sslseg.methods.label_sources import carrying_slices, stroke_areas


def carrying(*slices: str) -> list[int]:
    """Slices named by the classes that they show, "!" for whole ones."""
    shown = np.array([[str(c) in s for c in range(3)] for s in slices])
    whole = np.array(["!" in s for s in slices])
    return np.flatnonzero(carrying_slices(shown, whole)).tolist()


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        (("01!", "", "01", "0", "1", "01!"), [0, 5]),  # whole slices show all
        (("01", "", "01", "0", "1"), [0, 2]),  # strokes tell the object from the background
        (("0!", "", "01", "1", "0!"), [0, 2, 4]),  # whole slices show none
        (("01!", "02", "012", "12"), [0, 2]),  # another class, and the known one
        (("012!", "012", "01"), [0]),
        (("12!", "012", "12"), [0]),  # no background anywhere, nor needed
        (("1", "0", ""), []),  # nothing tells where the object ends
        (("0!", "1"), []),
        (("0!", "0"), []),
        (("", ""), []),
    ],
)
def test_slices_that_tell_objects_from_background_are_carried_from(slices, expected):
    assert carrying(*slices) == expected


def test_a_dab_beside_strokes_is_a_correction_though_it_shows_background_too():
    shown, whole = np.ones((4, 2), bool), np.array([False, False, False, True])
    shown[3, 1] = False
    areas = np.array([1600, 99, 100, 0])
    assert carrying_slices(shown, whole, areas).tolist() == [True, False, True, True]
    assert carrying_slices(shown, whole).all()
    assert carrying_slices(shown[1:2], whole[:1], areas[1:2]).all()  # all that there is


def test_areas_are_of_boxes_around_objects():
    ink = torch.full((3, 9, 8), 255, dtype=torch.uint8)
    ink[0, 2, 1:4], ink[0, 5, 6], ink[0, 8] = 1, 2, 0
    ink[1] = 0
    assert stroke_areas(ink).tolist() == [4 * 6, 0, 0]


def test_what_was_given_stays_as_it_is():
    shown, whole = np.ones((2, 3), bool), np.array([True, False])
    carrying_slices(shown, whole)
    assert shown.all()
    assert whole.tolist() == [True, False]
