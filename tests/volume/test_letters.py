"""Letters at the edges of slices, in every orientation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from napari_sslseg.volume.geometry import Geometry
from napari_sslseg.volume.letters import EdgeLetters, direction_letters, edge_letters

AXIAL = EdgeLetters("A", "P", "R", "L")
CORONAL = EdgeLetters("I", "S", "R", "L")
SAGITTAL = EdgeLetters("I", "S", "A", "P")


@pytest.mark.parametrize("permutation", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_display_order_has_the_same_letters_whatever_the_file_order(permutation, signs):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, permutation] * signs
    shown = Geometry(affine, (4, 5, 6)).canonical().geometry
    assert edge_letters(shown, 1, 2) == AXIAL
    assert edge_letters(shown, 0, 2) == CORONAL
    assert edge_letters(shown, 0, 1) == SAGITTAL
    assert edge_letters(shown, 0, 2, flipped=(True, False)) == EdgeLetters("S", "I", "R", "L")


def test_array_axes_name_their_own_edges():
    affine = np.diag([-2.0, 3.0, 4.0, 1.0])  # i to the Left, j to Anterior, k to Superior
    geometry = Geometry(affine, (4, 5, 6))
    assert edge_letters(geometry, 1, 0) == EdgeLetters("P", "A", "R", "L")
    assert edge_letters(geometry, 2, 1) == EdgeLetters("I", "S", "P", "A")


def test_oblique_directions_have_several_letters():
    assert direction_letters((0, 1, 0)) == "A"
    assert direction_letters((-0.5, 1, 0)) == "AL"
    assert direction_letters((-0.1, 1, 0)) == "A"
    assert direction_letters((0.6, 0.1, -0.8)) == "IR"
    assert direction_letters((1, 1, 1)) == "RAS"
    assert direction_letters((0, 0, 0)) == ""


def test_planes_have_letters_and_unknown_directions_none():
    plane = Geometry(np.eye(4), (4, 5))
    assert edge_letters(plane.canonical().geometry, 0, 1) == AXIAL
    unknown = Geometry.from_spacing((1, 1, 1), (4, 5, 6))
    assert edge_letters(unknown, 1, 2) == EdgeLetters()
