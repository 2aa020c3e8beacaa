"""Neighbouring slices matched in a window, coarse to fine."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.slice_matching import (
    MatchSettings,
    match_slices,
    pyramid,
    read_at_once,
    warp,
)


def test_matching_finds_a_known_shift() -> None:
    generator = torch.Generator().manual_seed(0)
    texture = torch.randn(4, 60, 60, generator=generator)
    texture = torch.nn.functional.avg_pool2d(texture[None], 5, 1, 2)[0] * 5
    key, query = texture[:, 5:53, 5:53], texture[:, 8:56, 3:51]
    settings = MatchSettings(levels=3, searched_levels=3)
    match = match_slices(pyramid(query, 3), pyramid(key, 3), settings)
    inner = match.flow[:, 12:-12, 12:-12]
    assert inner[0].median() == pytest.approx(3.0, abs=0.5)
    assert inner[1].median() == pytest.approx(-2.0, abs=0.5)


def test_warp_by_nothing_changes_nothing() -> None:
    values = torch.rand(2, 9, 13, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(warp(values, torch.zeros(2, 9, 13)), values, atol=1e-5)


def test_reading_a_window_at_once_is_reading_offset_by_offset() -> None:
    generator = torch.Generator().manual_seed(0)
    features, other = torch.randn(2, 4, 11, 9, generator=generator)
    match = match_slices(pyramid(features, 2), pyramid(other, 2), MatchSettings())
    values = torch.rand(3, 11, 9, generator=generator)
    r = match.radius
    padded = F.pad(warp(values, match.flow)[None], (r, r, r, r), mode="replicate")[0]
    assert torch.allclose(read_at_once(padded, match.weights, r), match.carry(values), atol=1e-6)
