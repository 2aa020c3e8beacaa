"""Neighbouring slices matched in a window, coarse to fine."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods import slice_batches, slice_matching
from napari_sslseg.methods.slice_matching import (
    Match,
    MatchSettings,
    Window,
    match_pairs,
    pyramid,
    warp,
)


def test_matching_finds_a_known_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(4, 60, 60, generator=generator)
    texture = torch.nn.functional.avg_pool2d(texture[None], 5, 1, 2)[0] * 5
    key, query = texture[:, 5:53, 5:53], texture[:, 8:56, 3:51]
    settings = MatchSettings(levels=3, searched_levels=3)
    (match,) = match_pairs(pyramid(query[None], 3), pyramid(key[None], 3), settings)
    inner = match.flow[:, 12:-12, 12:-12]
    assert inner[0].median() == pytest.approx(3.0, abs=0.5)
    assert inner[1].median() == pytest.approx(-2.0, abs=0.5)


def test_a_shift_that_takes_all_levels_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(4, 120, 120, generator=generator)
    texture = torch.nn.functional.avg_pool2d(texture[None], 9, 1, 4)[0] * 9
    key, query = texture[:, 12:108, 12:108], texture[:, 22:118, 12:108]
    (match,) = match_pairs(pyramid(query[None], 3), pyramid(key[None], 3), MatchSettings())
    assert match.flow[0, 24:-24, 24:-24].median() == pytest.approx(10, abs=1)


def test_warp_by_nothing_changes_nothing() -> None:
    values = torch.rand(1, 2, 9, 13, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(values, torch.zeros(1, 2, 9, 13)), values, atol=1e-5)


def test_matching_in_few_operations_is_matching_offset_by_offset(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (0.2 * torch.randn(3, 4, 11, 9, generator=generator) for _ in range(2))
    values = torch.rand(3, 11, 9, generator=generator)

    def matched() -> list[Match]:
        return match_pairs(pyramid(query, 2), pyramid(key, 2), MatchSettings())

    one_by_one = matched()
    monkeypatch.setattr(slice_batches, "launches_dominate", lambda device: True)
    for match, expected in zip(matched(), one_by_one, strict=True):
        assert len(match.weights) == 25 > len(expected.weights) == 21
        assert torch.allclose(match.flow, expected.flow, atol=1e-5)
        assert torch.allclose(match.cost, expected.cost, atol=1e-5)
        at_once = match.carry(values)
        with monkeypatch.context() as processor:
            processor.setattr(slice_batches, "launches_dominate", lambda device: False)
            assert torch.allclose(at_once, expected.carry(values), atol=1e-5)


def test_matching_band_by_band_is_matching_whole_slices(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    query, key = (0.2 * torch.randn(2, 4, 29, 23, generator=generator) for _ in range(2))

    def matched() -> list[Match]:
        return match_pairs(pyramid(query, 2), pyramid(key, 2), MatchSettings())

    whole = matched()
    monkeypatch.setattr(slice_matching, "_BAND", 8 * 23)  # four bands, the last of five rows
    for match, expected in zip(matched(), whole, strict=True):
        assert torch.allclose(match.flow, expected.flow, atol=1e-6)
        assert torch.allclose(match.weights, expected.weights, atol=1e-6)
        assert torch.allclose(match.cost, expected.cost, atol=1e-6)


def test_a_window_is_a_disc_or_a_square_of_which_the_disc_counts() -> None:
    device = torch.device("cpu")
    disc, square = (Window.of(2, 0.5, device, whole) for whole in (False, True))
    assert len(disc.offsets) == 21
    assert len(square.offsets) == 25
    heard = [o for o, bias in zip(square.offsets, square.bias.tolist(), strict=True) if bias > -99]
    assert heard == disc.offsets
    assert disc.bias.min() == -0.5 * 5
