"""Measures of shapes, and areas that are kept."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.methods.shape_prior import (
    inscribed_radius,
    keep_areas,
    object_radius,
    shrinkage,
    signed_distances,
    thinnest_radius,
)


def test_keep_areas_gives_a_thin_class_its_area_back() -> None:
    thin = torch.zeros(40, 40)
    thin[18:22] = 0.45
    soft = torch.stack((1 - thin, thin))
    assert not bool((soft.argmax(0) == 1).any())
    decided = keep_areas(soft)
    assert bool((decided[1, 18:22] > soft[1, 18:22]).all())
    assert torch.allclose(decided.sum(0), torch.ones(40, 40), atol=1e-5)


def test_shape_measures() -> None:
    rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    disc = (rows - 32) ** 2 + (columns - 32) ** 2 <= 10**2
    assert inscribed_radius(disc) == pytest.approx(11, abs=1)
    assert inscribed_radius(torch.zeros(5, 5, dtype=torch.bool)) == 0
    distances = signed_distances(disc.long(), 3)
    assert bool(((distances[1] > 0) == disc).all())
    assert bool((distances[2] < -60).all())


def test_radii_of_what_was_inked() -> None:
    ink = torch.zeros(5, 20, 20, dtype=torch.uint8)
    ink[0, :4, :4] = ink[1, :8, :4] = 1  # 16 and 32 pixels
    ink[2] = 255
    # The lower median of the two slices that show it; empty ones do not count.
    assert object_radius(ink) == pytest.approx(math.sqrt(16 / math.pi))
    labels = torch.zeros(1, 20, 20, dtype=torch.uint8)
    labels[0, 2:11, 2:11], labels[0, 15:18] = 1, 2  # 9 by 9 pixels; a band of 3
    assert thinnest_radius(labels, 3) == 2
    assert inscribed_radius(torch.ones(9, 9, dtype=torch.bool)) == 5  # the edge is an outside


def test_growth_is_no_shrinkage() -> None:
    large, small = torch.zeros(20, 20, dtype=torch.uint8), torch.zeros(20, 20, dtype=torch.uint8)
    large[2:11, 2:11], small[4:9, 4:9] = 1, 1  # radii of 5 and 3
    assert shrinkage(small, large, 4, 2).tolist() == [0, -0.5]
    assert shrinkage(large, small, 4, 2).tolist() == [0, 0]
