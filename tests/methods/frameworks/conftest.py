"""Synthetic batches: bright discs on noise."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from napari_sslseg.methods.frameworks import Batch


def _discs(count: int, seed: int, side: int = 32, classes: int = 3) -> tuple[Tensor, Tensor]:
    """Return noisy images ``(count, 1, side, side)`` of discs, and the class of each pixel."""
    g = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    labels = torch.zeros(count, side, side, dtype=torch.long)
    for c in range(1, classes):
        centre = side * (0.3 + 0.4 * torch.rand(count, 2, generator=g))
        radius = side * 0.32 / c
        distance = (y - centre[:, 0, None, None]) ** 2 + (x - centre[:, 1, None, None]) ** 2
        labels[distance < radius**2] = c
    noise = 0.3 * torch.randn(labels.shape, generator=g)
    return (labels + noise)[:, None], labels


@pytest.fixture
def discs() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return a maker of disc images and labels."""
    return _discs


@pytest.fixture
def disc_batch() -> Callable[..., Batch]:
    """Return a maker of batches with a column that is not annotated."""

    def make(unlabelled: int = 3, side: int = 32, prior: bool = False, seed: int = 0) -> Batch:
        image, target = _discs(2, seed, side)
        target[:, :, : side // 4] = 255
        other, truth = _discs(max(unlabelled, 1), seed + 1, side)
        other, truth = other[:unlabelled], truth[:unlabelled]
        soft = torch.nn.functional.one_hot(truth, 3).permute(0, 3, 1, 2).float()
        return Batch(image, target.to(torch.uint8), other, soft if prior else None)

    return make
