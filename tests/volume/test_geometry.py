"""Geometry: every orientation goes to the display order and back without a trace."""

from __future__ import annotations

import itertools
import json

import nibabel as nib
import numpy as np
import pytest

from napari_sslseg.volume.geometry import CanonicalOrder, Geometry

ORIENTATIONS = [
    (permutation, signs)
    for permutation in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
SHAPE = (4, 5, 6)
SPACING = (0.7, 1.3, 5.0)
ANGLES = [(0.0, 0.0, 0.0), (0.2, -0.1, 0.15), (0.6, 0.3, -0.5)]


def _codes(geometry: Geometry) -> str:
    """Return where each array axis ascends to, such as ``"RAS"``."""
    return "".join(nib.aff2axcodes(geometry.affine))[: geometry.ndim]


def rotation(angles):
    """Rotation about x, then y, then z."""
    out = np.eye(3)
    for axis, angle in enumerate(angles):
        c, s = np.cos(angle), np.sin(angle)
        a, b = [w for w in range(3) if w != axis]
        turn = np.eye(3)
        turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
        out = turn @ out
    return out


def make_affine(permutation, signs, angles=(0.0, 0.0, 0.0), origin=(12.5, -30.25, 7.125)):
    """Affine whose array axis ``a`` runs along world axis ``permutation[a]`` before rotation."""
    axes = np.zeros((3, 3))
    for axis, (world, sign) in enumerate(zip(permutation, signs, strict=True)):
        axes[world, axis] = sign
    affine = np.eye(4)
    affine[:3, :3] = (rotation(angles) @ axes) * SPACING
    affine[:3, 3] = origin
    return affine


@pytest.mark.parametrize("angles", ANGLES)
@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_every_orientation_comes_back_exactly(permutation, signs, angles):
    geometry = Geometry(make_affine(permutation, signs, angles), SHAPE)
    order = geometry.canonical()
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    shown = order.apply(array)

    assert np.array_equal(order.invert(shown), array)
    assert np.shares_memory(shown, array)
    assert np.shares_memory(order.invert(shown), array)
    assert shown.shape == order.shape == order.geometry.shape
    assert order.geometry.canonical().is_identity
    # Every voxel keeps its place: walk through all of them in display order.
    display_index = np.argwhere(np.ones(shown.shape, bool))
    file_index = np.stack(np.unravel_index(shown[tuple(display_index.T)], SHAPE), axis=-1)
    np.testing.assert_allclose(
        order.geometry.position(display_index), geometry.position(file_index), atol=1e-6
    )
    for axis in range(3):
        display = order.axis_to_display(axis)
        assert order.scale[display] == geometry.spacing[axis]
        for index in range(SHAPE[axis]):
            there = SHAPE[axis] - 1 - index if order.flips[display] else index
            one, two = np.take(array, index, axis), np.take(shown, there, display)
            assert np.array_equal(np.sort(one, axis=None), np.sort(two, axis=None))


@pytest.mark.parametrize("angles", ANGLES[:2])
@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_volumes_are_shown_superior_posterior_left(permutation, signs, angles):
    geometry = Geometry(make_affine(permutation, signs, angles), SHAPE)
    assert _codes(geometry.canonical().geometry) == "SPL"
    assert geometry.is_oblique == any(angles)
    assert geometry.spacing == pytest.approx(SPACING)


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_straight_volumes_are_shown_at_their_world_position(permutation, signs):
    geometry = Geometry(make_affine(permutation, signs), SHAPE)
    order = geometry.canonical()
    index = np.array([1, 2, 3])
    x, y, z = order.geometry.position(index)
    np.testing.assert_allclose(np.array(order.scale) * index + order.translate, (z, -y, -x))
    assert min(order.scale) > 0


def test_one_parallel_axis_does_not_make_a_rotation_straight():
    c, s = np.cos(0.2), np.sin(0.2)
    affine = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert Geometry(affine, (3, 4, 5)).is_oblique


def test_axial_slice_has_anterior_on_top_and_right_on_the_left():
    array = np.zeros(SHAPE, int)  # RAS
    array[-1, :, :] += 1  # the patient's right
    array[:, -1, :] += 10  # anterior
    array[:, :, -1] += 100  # superior
    shown = Geometry(np.diag([1.0, 1, 1, 1]), SHAPE).canonical().apply(array)
    assert (shown[-1] >= 100).all()
    assert (shown[0, 0] >= 10).all()
    assert (shown[0, :, 0] % 10 == 1).all()


def test_channels_stay_last():
    geometry = Geometry(make_affine((2, 0, 1), (1, -1, 1)), SHAPE)
    order = geometry.canonical()
    array = np.random.default_rng(0).normal(size=(*SHAPE, 3))
    assert order.apply(array).shape == (*order.shape, 3)
    assert np.array_equal(order.invert(order.apply(array)), array)
    assert np.array_equal(order.apply(array)[..., 1], order.apply(array[..., 1]))


@pytest.mark.parametrize("shape", [(3, 4, 5), (4, 5)])
def test_without_orientation_the_array_keeps_its_order(shape):
    spacing = (2.0, 0.5, 0.25)[-len(shape) :]
    geometry = Geometry.from_spacing(spacing, shape, origin=(1.0, 2.0, 3.0)[-len(shape) :])
    order = geometry.canonical()
    assert order.is_identity
    assert geometry.spacing == order.scale == spacing
    assert order.translate == (1.0, 2.0, 3.0)[-len(shape) :]
    assert _codes(geometry) == "SPL"[-len(shape) :]
    # Were the directions known, the same order would come out.
    known = Geometry(geometry.affine, shape)
    assert known.canonical().is_identity


@pytest.mark.parametrize("swap", [False, True])
def test_oriented_plane_is_shown_upright(swap):
    direction = np.array([[0.0, 1.0], [1.0, 0.0]]) if swap else np.eye(2)
    geometry = Geometry.from_lps(direction, (0.5, 2.0), (10.0, 20.0), (6, 7))
    order = geometry.canonical()
    array = np.arange(42).reshape(6, 7)
    assert order.permutation == ((0, 1) if swap else (1, 0))
    assert np.array_equal(order.invert(order.apply(array)), array)
    assert _codes(order.geometry) == "PL"
    assert order.translate == (20.0, 10.0)


def test_single_coronal_plane_is_shown_superior_down_the_first_axis():
    affine = np.eye(4)
    affine[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, 1, 0]]  # i to Right, j to Superior
    order = Geometry(affine, (5, 6)).canonical()
    assert _codes(order.geometry) == "SL"
    assert len(order.translate) == 2


def test_lps_and_back():
    turn = rotation((0.3, -0.2, 0.1))
    geometry = Geometry.from_lps(turn, SPACING, (1.0, 2.0, 3.0), SHAPE)
    direction, spacing, origin = geometry.to_lps()
    np.testing.assert_allclose(direction, turn, atol=1e-14)
    np.testing.assert_allclose(spacing, SPACING, rtol=1e-14)
    assert np.array_equal(origin, (1.0, 2.0, 3.0))
    assert geometry.origin == (-1.0, -2.0, 3.0)


def test_units_become_millimetres():
    geometry = Geometry.from_spacing((2.0, 0.5, 0.5), SHAPE, units="um")
    assert geometry.in_millimetres().spacing == pytest.approx((2e-3, 5e-4, 5e-4))
    assert geometry.spacing_mm == pytest.approx((2e-3, 5e-4, 5e-4))
    plane = Geometry.from_spacing((0.5, 0.5), (4, 4), units="nm").in_millimetres()
    assert plane.spacing == pytest.approx((5e-7, 5e-7))


def test_the_axis_across_an_image_stays_a_unit_vector():
    geometry = Geometry.from_spacing((0.5, 0.5), (4, 5), units="um").in_millimetres()
    assert geometry.affine[:3, 2].tolist() == [0, 0, 1]
    assert geometry.spacing == pytest.approx((5e-4, 5e-4))


def test_order_survives_json_bit_for_bit():
    geometry = Geometry(make_affine((1, 2, 0), (-1, 1, -1), (0.1, 0.2, 0.3)), SHAPE)
    order = geometry.canonical()
    back = CanonicalOrder.from_dict(json.loads(json.dumps(order.to_dict())))
    assert back == order
    assert back.source.affine.tobytes() == geometry.affine.tobytes()


def test_equality_and_hash():
    one = Geometry(np.eye(4), SHAPE)
    assert one == Geometry(np.eye(4), SHAPE)
    assert hash(one) == hash(Geometry(np.eye(4), SHAPE))
    assert one != Geometry(np.eye(4), (4, 5, 7))
    assert one != Geometry(np.eye(4), SHAPE, oriented=False)


def test_affine_is_a_frozen_copy():
    affine = np.eye(4)
    geometry = Geometry(affine, SHAPE)
    affine[0, 0] = 9
    assert geometry.spacing == (1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="read-only"):
        geometry.affine[0, 0] = 2.0


@pytest.mark.parametrize(
    ("affine", "shape", "units", "message"),
    [
        (np.eye(3), SHAPE, "mm", "4x4"),
        (np.full((4, 4), np.nan), SHAPE, "mm", "finite"),
        (np.diag([1.0, 0, 1, 1]), SHAPE, "mm", "singular"),
        (np.ones((4, 4)), SHAPE, "mm", "last row"),
        (np.eye(4), (4, 5, 6, 7), "mm", "spatial shape"),
        (np.eye(4), (4, 0, 6), "mm", "spatial shape"),
        (np.eye(4), SHAPE, "furlong", "unit"),
    ],
)
def test_impossible_geometry_is_refused(affine, shape, units, message):
    with pytest.raises(ValueError, match=message):
        Geometry(affine, shape, units)


def test_arrays_of_another_shape_are_refused():
    order = Geometry(make_affine((2, 1, 0), (1, 1, 1)), SHAPE).canonical()
    with pytest.raises(ValueError, match="file order"):
        order.apply(np.zeros((5, 4, 6)))
    with pytest.raises(ValueError, match="display order"):
        order.invert(np.zeros((5, 4, 6)))


def test_spacing_must_be_positive():
    with pytest.raises(ValueError, match="not positive"):
        Geometry.from_spacing((1.0, -1.0, 1.0), SHAPE)
