"""The part of the slices worth computing on, and what lies around what is inked."""

from __future__ import annotations

import torch

from napari_sslseg.methods.working_region import (
    grow_where_touched,
    stretch_window,
    within_reach,
)


def test_squares_around_a_mask_are_cut_at_the_border_alone():
    mask = torch.zeros(2, 9, 12, dtype=torch.bool)
    mask[0, 4, 5] = mask[0, 0, 11] = True
    found = within_reach(mask, 2)
    expected = torch.zeros_like(mask)
    expected[0, 2:7, 3:8] = True
    expected[0, :3, 9:] = True
    assert torch.equal(found, expected)
    assert torch.equal(within_reach(mask, 0), mask)


def test_the_window_of_a_stretch_lies_on_a_grid_or_ends_with_the_slice():
    ink = torch.full((3, 60, 90), 255, dtype=torch.uint8)
    ink[0, 30:33, 40:61] = 1
    ink[2, 31, 50] = 2
    rows, columns = stretch_window(ink, 0.5, 4, 8)
    assert (rows.start, rows.stop) == (24, 40)  # 26 to 37 with four pixels around it
    assert (columns.start, columns.stop) == (24, 72)  # 30 to 71 with half of twenty
    rows, columns = stretch_window(ink, 0.5, 40, 8)
    assert (rows.start, rows.stop, columns.start, columns.stop) == (0, 60, 0, 90)


def test_without_an_object_the_window_is_everything():
    ink = torch.zeros((2, 20, 30), dtype=torch.uint8)
    assert stretch_window(ink, 0.5, 4, 8) == (slice(0, 20), slice(0, 30))


def test_a_touched_edge_moves_on_the_grid():
    probabilities = torch.zeros(2, 2, 60, 90)
    probabilities[:, 0] = 1.0
    window = slice(16, 32), slice(24, 48)
    assert grow_where_touched(probabilities, *window, 8) == window
    probabilities[1, 0, 31, 30] = 0.4
    assert grow_where_touched(probabilities, *window, 8) == (slice(16, 40), slice(24, 48))
