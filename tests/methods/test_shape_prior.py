"""Measures of shapes, and areas that are kept."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.shape_prior import inscribed_radius, keep_areas, signed_distances


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
