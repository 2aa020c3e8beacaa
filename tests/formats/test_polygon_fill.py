"""The even-odd rule at pixel centres, half open, and with the edges of traced borders."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import points_in_poly

from napari_sslseg.formats.polygon_fill import filled, on_centres

SHAPE = (20, 24)


def whole(*polygons, traced=False):
    mask = np.zeros(SHAPE, bool)
    box, part = filled([np.asarray(p, float) for p in polygons], SHAPE, traced=traced)
    mask[box] = part
    return mask


def test_polygons_that_share_edges_share_no_pixel_and_leave_none_out():
    corners = [(0, 0), (0, 23), (19, 23), (19, 0)]
    for hub in ((7, 9), (7.5, 9.25), (10, 12)):  # on a pixel's centre, too
        fan = [whole((a, b, hub)) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
        fan += [whole((b, a, hub)) for a, b in zip(corners, corners[1:] + corners[:1], strict=True)]
        assert np.array_equal(np.sum(fan[:4], axis=0), whole(corners))
        assert np.array_equal(fan[:4], fan[4:])  # in either direction
    assert np.array_equal(np.argwhere(whole(corners))[[0, -1]], [(0, 0), (18, 22)])


def test_what_is_inside_is_what_geometry_says():
    rng = np.random.default_rng(0)
    centres = np.argwhere(np.ones(SHAPE))
    for _ in range(20):
        polygon = rng.uniform(-6, 28, (9, 2))  # crosses itself and the border
        inside = points_in_poly(centres, polygon).reshape(SHAPE)
        assert np.array_equal(whole(polygon), inside)


def test_a_hole_stays_a_hole_and_what_is_in_it_stays_too():
    def square(low, high):
        return [(low, low), (low, high), (high, high), (high, low)]

    mask = whole(square(1.5, 15.5), square(4.5, 12.5), square(7.5, 9.5))
    assert mask.sum() == 14**2 - 8**2 + 2**2


@pytest.mark.parametrize("shift", [(-40, 0), (40, 0), (0, -40), (0, 40), (1e5, 1e5)])
def test_beyond_the_image_is_nothing(shift):
    assert not whole(np.array([(1, 1), (1, 9), (9, 9)]) + shift).any()


def test_nothing_and_a_line_hold_nothing():
    assert not whole().any()
    assert not whole([(2, 3), (9, 3), (5, 3)]).any()


#: Masks and the borders that OpenCV's `findContours` traces of them, as (row, column).
TRACED = {
    "a wall about a hole, and what is in it": (
        ["#######", "#.....#", "#.....#", "#..#..#", "#.....#", "##...##", ".#####."],
        [
            [(0, 0), (5, 0), (6, 1), (6, 5), (5, 6), (0, 6)],
            [(1, 0), (0, 1), (0, 5), (1, 6), (4, 6), (6, 4), (6, 2), (4, 0)],
            [(3, 3)],
        ],
    ),
    "the smallest hole, of which both borders are the same": (
        [".#.", "#.#", ".#."],
        [[(0, 1), (1, 0), (2, 1), (1, 2)], [(1, 0), (0, 1), (1, 2), (2, 1)]],
    ),
    "lines, there and back": (
        ["####...", "......#", ".....#.", "....#..", "###....", "#......"],
        [[(4, 0), (5, 0), (4, 1), (4, 2)], [(1, 6), (3, 4)], [(0, 0), (0, 3)]],
    ),
}


@pytest.mark.parametrize("name", TRACED)
@pytest.mark.parametrize("turned", [False, True])
def test_pixels_on_the_edges_of_a_traced_border_belong(name, turned):
    rows, borders = TRACED[name]
    mask = np.array([list(row) for row in rows]) == "#"
    borders = [np.array(border) + 0.01 for border in borders]  # as positions are rounded
    if turned:
        mask, borders = mask.T, [border[::-1, ::-1] for border in borders]
    wanted = np.zeros(SHAPE, bool)
    wanted[: mask.shape[0], : mask.shape[1]] = mask
    assert on_centres(borders)
    assert np.array_equal(whole(*borders, traced=True), wanted)
    # Cut where the image begins, and where it ends.
    for shift in ((-2, -1), (18, 22)):
        cut = np.zeros(SHAPE, bool)
        if shift[0] < 0:
            cut[:-2, :-1] = wanted[2:, 1:]
        else:
            cut[18:, 22:] = wanted[:2, :2]
        moved = [border + np.array(shift) for border in borders]
        assert np.array_equal(whole(*moved, traced=True), cut)


def test_one_corner_beside_a_centre_makes_a_contour_that_was_drawn():
    square = np.array([(2, 2), (2, 9), (9, 9), (9, 2)])
    assert on_centres([square, square + 0.04])
    assert not on_centres([square, square + np.array([0, 0.06])])
