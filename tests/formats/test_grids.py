"""Same grid or not, and what differs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_sslseg.formats.grids import difference, placement
from napari_sslseg.volume.geometry import Geometry

from .conftest import DIRECTIONS
from .conftest import _case as image_case


def turned(geometry, permutation, flips, crop=(0, 0, 0), shape=None):
    """Return a part of a grid with its axes in another order and direction."""
    shape = shape or geometry.shape
    affine = np.eye(4)
    start = np.array(crop, float)
    for axis, (from_axis, flip) in enumerate(zip(permutation, flips, strict=True)):
        step = geometry.affine[:3, from_axis]
        affine[:3, axis] = -step if flip else step
        if flip:
            start[from_axis] += shape[from_axis] - 1
    affine[:3, 3] = geometry.position(start)
    return Geometry(affine, tuple(shape[axis] for axis in permutation))


def test_every_order_and_direction_of_a_grid_is_the_same_grid():
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    for name in ("xyz", "yZX-oblique"):
        onto = Geometry(image_case(name).affine, array.shape)
        for permutation in itertools.permutations(range(3)):
            for flips in itertools.product((False, True), repeat=3):
                placed = placement(turned(onto, permutation, flips), onto)
                assert placed is not None
                other = array.transpose(permutation)[
                    tuple(slice(None, None, -1 if f else 1) for f in flips)
                ]
                assert np.array_equal(placed.turned(other), array)
                assert placed.offset == (0, 0, 0)


def test_a_part_of_a_grid_lies_where_it_was_cut_out():
    onto = Geometry(image_case("yZX-oblique").affine, (4, 5, 6))
    part = turned(onto, (2, 0, 1), (True, False, True), crop=(1, 2, 3), shape=(2, 3, 3))
    placed = placement(part, onto)
    assert placed is not None
    target = np.zeros(onto.shape, int)
    values = np.arange(1, 19).reshape(part.shape)
    inside, view = placed.overlap(values, target)
    view[...] = inside
    for index in np.argwhere(values > 0):
        (found,) = np.argwhere(target == values[tuple(index)])
        np.testing.assert_allclose(onto.position(found), part.position(index), atol=1e-9)


def test_what_reaches_beyond_the_other_grid_is_left_out():
    onto = Geometry(np.eye(4), (4, 5, 6))
    affine = np.eye(4)
    affine[:3, 3] = (-2, 3, 9)
    placed = placement(Geometry(affine, (4, 5, 6)), onto)
    assert placed is not None
    inside, view = placed.overlap(np.ones((4, 5, 6)), np.zeros((4, 5, 6)))
    assert inside.shape == view.shape == (2, 2, 0)


def test_slices_of_one_voxel_fit_whatever_their_thickness():
    onto = Geometry(np.diag([1.0, 1.0, 5.0, 1.0]), (4, 5, 6))
    affine = np.diag([1.0, 1.0, 0.7, 1.0])
    affine[2, 3] = 10
    placed = placement(Geometry(affine, (4, 5, 1)), onto)
    assert placed is not None
    assert placed.offset == (0, 0, 2)
    affine[2, 3] = 11
    assert placement(Geometry(affine, (4, 5, 1)), onto) is None


@pytest.mark.parametrize("what", ["shift", "turn", "scale", "drift", "shear", "units"])
def test_other_grids_are_recognised(what):
    onto = Geometry(np.diag([1.0, 1.0, 2.0, 1.0]), (40, 50, 60))
    affine, units = onto.affine.copy(), "mm"
    if what == "shift":
        affine[0, 3] = 0.1
    elif what == "turn":
        affine[:3, :3] = DIRECTIONS["xyz-oblique"] @ affine[:3, :3]
    elif what == "scale":
        affine[:3, :3] *= 2
    elif what == "drift":
        affine[0, 0] = 1.002  # a tenth of a voxel after fifty
    elif what == "shear":
        affine[1, 2] = 0.1
    else:
        units = "um"
    other = Geometry(affine, onto.shape, units)
    assert placement(other, onto) is None
    assert difference(other, onto)


def test_rounding_of_headers_is_no_difference():
    onto = Geometry(image_case("yZX-oblique").affine, (200, 300, 250))
    rounded = Geometry(onto.affine.astype(np.float32), onto.shape)
    placed = placement(rounded, onto)
    assert placed is not None
    assert placed.offset == (0, 0, 0)


def test_differences_are_said_in_words():
    onto = Geometry(np.diag([1.0, 1.0, 2.0, 1.0]), (4, 5, 6))
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    affine[2, 3] = 30
    text = difference(Geometry(affine, (4, 5, 3)), onto)
    assert "its shape is 4 × 5 × 3, the image's 4 × 5 × 6" in text
    assert "1 × 1 × 4 mm, the image's 1 × 1 × 2 mm" in text
    assert "29 mm off" in text
    turn = Geometry(
        np.vstack([np.hstack([DIRECTIONS["xyz-oblique"], [[0], [0], [0]]]), [[0, 0, 0, 1]]]),
        (4, 5, 6),
    )
    assert "turned by" in difference(turn, Geometry(np.eye(4), (4, 5, 6)))


def test_axes_that_are_compared_in_space_and_origins_without_directions_are_said():
    onto = Geometry(np.eye(4), (4, 5, 6))
    turned = np.eye(4)[:, [2, 0, 1, 3]]
    text = difference(Geometry(turned, (4, 5, 6)), onto)
    assert "its shape along the image's axes is 5 × 6 × 4, the image's 4 × 5 × 6" in text
    stacks = [
        Geometry.from_spacing((2.0, 1.0, 1.0), (4, 5, 6), origin=(z, 0, 1), units=units)
        for z, units in ((1, "mm"), (1.5, "mm"), (1, "pixel"), (2, "pixel"))
    ]
    assert difference(stacks[1], stacks[0]) == "its centre lies 0.5 mm off"
    assert difference(stacks[3], stacks[2]) == "its centre lies 1 voxels off"
    first = stacks[0].canonical().geometry.affine
    assert difference(stacks[1], Geometry(first, (4, 5, 6))) == "its centre lies 0.5 mm off"
