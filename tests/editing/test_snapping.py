"""The brush stops at an edge, and paints all of an even region."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.editing.snapping import snap


def nothing(image: np.ndarray) -> np.ndarray:
    return np.zeros(image.shape[:2], bool)


@pytest.mark.parametrize("noise", [0.0, 6.0, 20.0])
def test_the_brush_stops_at_an_edge(noise):
    image = np.full((51, 51), 60.0)
    image[:, 30:] = 150
    image += np.random.default_rng(0).normal(0, 1, image.shape) * noise
    painted = snap(image, nothing(image), (25, 24), 10)
    disc = np.hypot(*np.mgrid[-25:26, -24:27]) <= 10
    assert painted[25, 17:28].all()
    assert painted[:, :30].sum() > 0.9 * disc[:, :30].sum()
    assert painted[:, 32:].sum() <= 0.1 * disc[:, 32:].sum()


def test_a_bite_out_of_a_class_is_filled_up_to_its_faint_edge():
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:51, :51]
    truth = columns < 28
    image = 100.0 + 25 * truth + rng.normal(0, 15, truth.shape)
    bite = np.hypot(rows - 25, columns - 25) <= 9
    disc = np.hypot(rows - 25, columns - 25) <= 8
    painted = snap(image, truth & ~bite, (25, 25), 8)

    def dice(mask: np.ndarray) -> float:
        return 2 * (mask & truth).sum() / (mask.sum() + (disc & truth).sum())

    assert dice(painted) > dice(disc) + 0.04


def test_an_even_region_is_painted_as_a_disc():
    image = np.full((31, 31), 5.0)
    painted = snap(image, nothing(image), (15, 15), 6)
    assert np.array_equal(painted, np.hypot(*np.mgrid[-15:16, -15:16]) <= 6)


@pytest.mark.parametrize("seed", range(10))
def test_what_is_painted_is_inside_the_disc_and_holds_its_middle(seed):
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(30, 33)) * 50
    centre = (int(rng.integers(0, 30)), int(rng.integers(0, 33)))
    radius = float(rng.uniform(1, 9))
    painted = snap(image, rng.random(image.shape) < 0.4, centre, radius)
    rows, columns = np.mgrid[:30, :33]
    assert painted[centre]
    assert (np.hypot(rows - centre[0], columns - centre[1])[painted] <= radius).all()


def test_noise_is_no_edge():
    image = np.random.default_rng(1).normal(100, 10, size=(41, 41))
    painted = snap(image, nothing(image), (20, 20), 8)
    assert painted.sum() > 0.8 * (np.hypot(*np.mgrid[-20:21, -20:21]) <= 8).sum()


def test_colour_counts_as_well_as_brightness():
    image = np.zeros((41, 41, 3), np.uint8)
    image[:, :23] = (200, 40, 40)
    image[:, 23:] = (40, 40, 200)
    painted = snap(image, nothing(image), (20, 17), 9)
    assert painted[20, 9:22].all()
    assert not painted[:, 25:].any()


def test_voxels_without_a_number_are_as_dark_as_the_darkest():
    image = np.full((31, 31), 60.0)
    image[:, 18:] = 150
    dark, broken = image.copy(), image.copy()
    dark[:, :8], broken[:, :8] = 60, np.nan
    expected = snap(dark, nothing(image), (15, 13), 8)
    assert np.array_equal(snap(broken, nothing(image), (15, 13), 8), expected)
