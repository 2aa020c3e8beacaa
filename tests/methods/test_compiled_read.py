"""The compiled read is the softmax-weighted mean that it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numba.core import caching

from napari_sslseg.methods.compiled_read import compiled, window_costs, window_read

OFFSETS = np.array([(0, 1), (1, 0), (1, 1), (1, 2), (2, 1)])
BIAS = np.array([-0.5, -0.5, 0.0, -0.5, -0.5], np.float32)


def slices(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return descriptors of two slices and values of the second, which has a border of a pixel."""
    generator = torch.Generator().manual_seed(height)
    query = torch.randn(3, height, width, generator=generator)
    key = torch.randn(3, height + 2, width + 2, generator=generator)
    return query, key, torch.rand(2, height + 2, width + 2, generator=generator)


def shifted(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Return maps (C, N, H, W) as the offsets see them."""
    return torch.stack([maps[:, y : y + height, x : x + width] for y, x in OFFSETS.tolist()], 1)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (3, 40)])
def test_costs_are_squared_distances(shape: tuple[int, int]) -> None:
    query, key, _ = slices(*shape)
    expected = (query[:, None] - shifted(key, *shape)).square().sum(0)
    torch.testing.assert_close(window_costs(query, key, OFFSETS), expected)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (3, 40)])
@pytest.mark.parametrize("temperature", [0.03, 1.0, 50.0])
def test_a_read_is_the_mean_under_the_softmax_of_the_costs(
    shape: tuple[int, int], temperature: float
) -> None:
    query, key, values = slices(*shape)
    costs = (query[:, None] - shifted(key, *shape)).square().sum(0)
    weights = (torch.from_numpy(BIAS)[:, None, None] - costs / temperature).softmax(0)
    read, cost = window_read(query, key, values, OFFSETS, BIAS, temperature)
    expected = (weights * shifted(values, *shape)).sum(1)
    torch.testing.assert_close(read, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cost, (weights * costs).sum(0), atol=1e-5, rtol=1e-5)


def test_parts_of_larger_arrays_are_read_alike() -> None:
    query, key, values = slices(6, 8)
    whole = window_read(query, key, values, OFFSETS, BIAS, 0.5)
    strided = [torch.zeros(*t.shape[:2], 2 * t.shape[2]) for t in (query, key, values)]
    for room, tensor in zip(strided, (query, key, values), strict=True):
        room[..., ::2] = tensor
    parts = window_read(*(room[..., ::2] for room in strided), OFFSETS, BIAS, 0.5)
    for found, expected in zip(parts, whole, strict=True):
        assert torch.equal(found, expected)


def test_without_a_place_to_keep_it_code_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def double(values: Any) -> None:
        values *= 2

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    values = np.ones(2, np.float32)
    compiled(double)(values)
    assert values.tolist() == [2.0, 2.0]
