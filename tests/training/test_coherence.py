"""Proposals smoothed within and across slices."""

from __future__ import annotations

import torch

from napari_sslseg.training.coherence import make_coherent, slice_weights
from napari_sslseg.training.stack import SliceStack


def stack_with(ink: torch.Tensor, step: float = 1.0) -> SliceStack:
    return SliceStack(torch.zeros(len(ink), 1, *ink.shape[1:]), ink, (0, 1), (step, 1.0, 1.0), 0)


def probabilities(object_: torch.Tensor) -> torch.Tensor:
    return torch.stack((1 - object_, object_), 1)


def coherent(object_: torch.Tensor, stack: SliceStack) -> torch.Tensor:
    mixed = probabilities(object_)
    before = mixed.clone()
    result = make_coherent(mixed, stack, torch.empty_like(mixed))
    assert torch.equal(mixed, before)
    return result


def nothing_inked(depth: int = 5) -> torch.Tensor:
    return torch.full((depth, 16, 16), 255, dtype=torch.uint8)


def test_single_voxels_go_and_what_is_wide_stays():
    object_ = torch.zeros(5, 16, 16)
    object_[2, 2, 2] = 0.8
    object_[:, 6:12, 6:12] = 0.9
    found = coherent(object_, stack_with(nothing_inked()))
    assert torch.allclose(found.sum(1), torch.ones(5, 16, 16), atol=1e-5)
    expected = (object_ > 0.5).long()
    expected[2, 2, 2] = 0
    assert torch.equal(found.argmax(1), expected)


def test_a_slice_counts_in_the_next_only_where_slices_are_thin():
    object_ = torch.zeros(3, 16, 16)
    object_[1] = 1.0
    thin = coherent(object_, stack_with(nothing_inked(3)))
    thick = coherent(object_, stack_with(nothing_inked(3), step=6.0))
    assert 0.05 < float(thin[0, 1, 8, 8]) < 0.3
    assert float(thick[0, 1, 8, 8]) == 0.0
    assert slice_weights((6.0, 1.0, 1.0)) == [1.0]
    assert len(slice_weights((0.01, 1.0, 1.0))) == 5  # thin slices: no more than four on a side


def test_references_count_as_they_are_inked():
    ink = nothing_inked(3)
    ink[1] = 1
    found = coherent(torch.zeros(3, 16, 16), stack_with(ink))
    assert float(found[1, 1, 8, 8]) > 0.7
    assert 0.05 < float(found[0, 1, 8, 8]) < 0.3
