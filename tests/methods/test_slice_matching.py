"""Neighbouring slices matched in a window, coarse to fine."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods import slice_batches
from napari_sslseg.methods.read_window import CompiledRead, WeightedRead
from napari_sslseg.methods.slice_matching import (
    Match,
    MatchSettings,
    match_pairs,
    pyramid,
    warp,
)


def _shift(match: Match, side: int, cut: int) -> torch.Tensor:
    """Return how far from each pixel is read, rows and columns; without a border."""
    places = torch.stack(
        torch.meshgrid(torch.arange(float(side)), torch.arange(float(side)), indexing="ij")
    )
    return (match.carry(places)[0] - places)[:, cut:-cut, cut:-cut]


def test_matching_finds_a_known_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(4, 60, 60, generator=generator)
    texture = torch.nn.functional.avg_pool2d(texture[None], 5, 1, 2)[0] * 5
    key, query = texture[:, 5:53, 5:53], texture[:, 8:56, 3:51]
    settings = MatchSettings(levels=3, searched_levels=3)
    (match,) = match_pairs(pyramid(query[None], 3), pyramid(key[None], 3), settings)
    inner = _shift(match, 48, 12)
    assert inner[0].median() == pytest.approx(3.0, abs=0.5)
    assert inner[1].median() == pytest.approx(-2.0, abs=0.5)


def test_a_shift_that_takes_all_levels_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(4, 120, 120, generator=generator)
    texture = torch.nn.functional.avg_pool2d(texture[None], 9, 1, 4)[0] * 9
    key, query = texture[:, 12:108, 12:108], texture[:, 22:118, 12:108]
    (match,) = match_pairs(pyramid(query[None], 3), pyramid(key[None], 3), MatchSettings())
    assert _shift(match, 96, 24)[0].median() == pytest.approx(10, abs=1)


@pytest.mark.parametrize("shape", [(8, 12), (9, 12), (11, 13)])
def test_a_pyramid_averages_what_there_is_of_two_by_two_pixels(shape: tuple[int, int]) -> None:
    maps = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    fine, coarse = pyramid(maps, 2)
    assert fine is maps
    expected = torch.nn.functional.avg_pool2d(maps, 2, ceil_mode=True)
    torch.testing.assert_close(coarse, expected)


def test_warp_by_nothing_changes_nothing() -> None:
    values = torch.rand(1, 2, 9, 13, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(values, torch.zeros(1, 2, 9, 13)), values, atol=1e-5)


def test_matching_in_few_operations_is_matching_as_compiled(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (0.2 * torch.randn(3, 4, 11, 9, generator=generator) for _ in range(2))
    values = torch.rand(3, 11, 9, generator=generator)

    def matched() -> list[Match]:
        return match_pairs(pyramid(query, 2), pyramid(key, 2), MatchSettings())

    compiled = matched()
    monkeypatch.setattr(slice_batches, "launches_dominate", lambda device: True)
    for match, expected in zip(matched(), compiled, strict=True):
        assert isinstance(match.read, WeightedRead)
        assert isinstance(expected.read, CompiledRead)
        assert torch.allclose(match.places, expected.places, atol=1e-5)
        for found, wanted in zip(match.carry(values), expected.carry(values), strict=True):
            assert torch.allclose(found, wanted, atol=1e-5)


def test_what_is_carried_is_read_at_the_displaced_place() -> None:
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(4, 40, 40, generator=generator)
    key, query = texture[:, 1:37, 2:38], texture[:, 2:38, 1:37]
    (match,) = match_pairs(pyramid(query[None], 1), pyramid(key[None], 1), MatchSettings(levels=1))
    carried, cost = match.carry(key)
    inner = slice(8, -8)
    assert (carried - query)[:, inner, inner].abs().mean() < 0.1 * query.abs().mean()
    assert cost[inner, inner].mean() < 0.1
