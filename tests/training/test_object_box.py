"""Where objects lie, and how places in two volumes correspond."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_sslseg.training.object_box import ObjectBox, aligned_positions
from napari_sslseg.training.stack import View


def test_the_box_holds_the_object_and_nothing_else():
    present = torch.zeros(6, 9, 8, dtype=torch.bool)
    assert ObjectBox.around(present) is None
    present[2, 3:5, 1:7] = True
    present[4, 6, 2] = True
    assert ObjectBox.around(present) == ObjectBox((2, 3, 1), (4, 6, 6))
    assert ObjectBox.around(present).middle(1) == 4.5


def test_a_volume_is_aligned_with_itself(stack):
    box = ObjectBox((2, 5, 6), (9, 20, 31))
    size = (stack.image.shape[-2], stack.image.shape[-1])
    for z in (2, 5, 9):
        found = aligned_positions(z, size, box, box, stack)
        torch.testing.assert_close(found, stack.context(torch.tensor([z]))[0, -3:])


@pytest.mark.parametrize("top", [0, 4])
def test_a_window_of_a_volume_has_the_places_of_the_whole(stack, top):
    height, width = stack.image.shape[-2:]
    view = View(slice(top, height - 2), slice(7, width), height, width)
    window = replace(
        stack, image=stack.image[..., top : height - 2, 7:], ink=stack.ink[:, top : height - 2, 7:]
    )
    window = replace(window, view=view)
    own = ObjectBox((2, 6, 9), (9, 20, 31))
    inside = ObjectBox((2, 6 - top, 2), (9, 20 - top, 24))
    there = ObjectBox((1, 3, 3), (5, 15, 21))
    whole = aligned_positions(3, (30, 28), there, own, stack)
    torch.testing.assert_close(aligned_positions(3, (30, 28), there, inside, window), whole)


def test_an_object_known_in_one_slice_is_like_the_middle_of_the_own_one(stack):
    own, there = ObjectBox((2, 5, 6), (10, 20, 31)), ObjectBox((7, 5, 6), (7, 20, 31))
    size = (stack.image.shape[-2], stack.image.shape[-1])
    for z, expected in ((7, 6), (8, 7), (5, 4)):
        place = aligned_positions(z, size, there, own, stack)[0, 0, 0]
        assert float(place) == pytest.approx(2 * expected / (stack.depth - 1) - 1)


def test_the_box_of_a_volume_reaches_beyond_a_window_of_it(stack):
    depth, _, height, width = stack.image.shape
    assert ObjectBox.of_volume(stack) == ObjectBox((0, 0, 0), (depth - 1, height - 1, width - 1))
    view = View(slice(3, 3 + height), slice(5, 5 + width), height + 10, width + 20)
    part = replace(stack, view=view)
    assert ObjectBox.of_volume(part) == ObjectBox((0, -3, -5), (depth - 1, height + 6, width + 14))
