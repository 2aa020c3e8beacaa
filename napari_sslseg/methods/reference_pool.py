"""The annotated pixels that RPG matches against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import IGNORE

DEFAULT_GRID = 64


@dataclass(frozen=True)
class ReferencePool:
    """All annotated pixels of a set of images, ready to be matched against.

    Attributes
    ----------
    features
        ``(R, D)`` of unit length (or zero), without gradient.
    symbols
        ``(R,)`` int64, rows of `members`.
    members
        ``(S, K)`` bool, the classes that each symbol stands for. For multi-class labels symbol and
        class are the same and this is the identity.
    image
        ``(R,)`` int64, the pool image each pixel comes from.
    multilabel
        Whether labels are sets of classes.
    """

    features: Tensor
    symbols: Tensor
    members: Tensor
    image: Tensor
    multilabel: bool

    def __len__(self) -> int:
        """Return the number of reference pixels."""
        return self.symbols.numel()

    @classmethod
    @torch.no_grad()
    def from_maps(
        cls,
        features: Tensor,
        labels: Tensor,
        classes: int,
        grid: int = DEFAULT_GRID,
        ignore: int = IGNORE,
        per_symbol: int | None = None,
        generator: torch.Generator | None = None,
    ) -> ReferencePool:
        """Collect the annotated pixels of labelled images.

        Parameters
        ----------
        features
            ``(N, D, h, w)``, the last decoder map, or ``(N, D, d, h, w)`` of volumes.
        labels
            ``(N, H, W)`` class ids, or ``(N, classes, H, W)`` of 0 and 1 for multi-label; with one
            axis more for volumes.
        classes
            Number of classes.
        grid
            Features and labels are sampled, nearest, on a grid of at most this many pixels a side.
        ignore
            Pixels of this value (in any class) never enter the pool and so are never returned.
        per_symbol
            Keep at most this many pixels of each label, drawn at random; None keeps all. Bounds
            the cost, which grows with the pool, without losing rare labels.
        generator
            Randomness of that draw.
        """
        size = grid_size(features.shape, grid)
        sampled = sample_nearest(features.detach().float(), size)
        unit = as_rows(F.normalize(sampled, dim=1))
        multilabel = labels.ndim == features.ndim
        stacked = labels if multilabel else labels[:, None]
        ids = as_rows(sample_nearest(stacked.float(), size)).long()
        keep = (ids != ignore).all(1)
        count = labels.shape[0]
        image = torch.arange(count, device=ids.device).repeat_interleave(math.prod(size))
        unit, ids, image = unit[keep], ids[keep], image[keep]
        if multilabel:
            sets, symbols = ids.unique(dim=0, return_inverse=True)
            members = sets.bool()
        else:
            symbols = ids[:, 0]
            members = torch.eye(classes, dtype=torch.bool, device=ids.device)
        if per_symbol is not None:
            chosen = _draw(symbols, per_symbol, generator)
            unit, symbols, image = unit[chosen], symbols[chosen], image[chosen]
        return cls(unit, symbols, members, image, multilabel)

    def frequencies(self, image: int | None = None) -> Tensor:
        """Return the share of each symbol ``(S,)`` in the pool, or in one of its images."""
        symbols = self.symbols if image is None else self.symbols[self.image == image]
        counts = torch.bincount(symbols, minlength=self.members.shape[0]).float()
        return counts / counts.sum().clamp_min(1)


def grid_size(shape: Sequence[int], grid: int) -> tuple[int, ...]:
    """Return the size of the matching grid for maps of `shape`, whose sides it never exceeds."""
    return tuple(min(grid, n) for n in shape[2:])


def sample_nearest(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Sample maps ``(B, C, ...)`` on a grid of `size`, by nearest neighbour."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="nearest-exact")


def as_rows(maps: Tensor) -> Tensor:
    """Turn maps ``(B, D, ...)`` into pixels ``(B * ..., D)``."""
    return maps.movedim(1, -1).flatten(0, -2)


def _draw(symbols: Tensor, limit: int, generator: torch.Generator | None) -> Tensor:
    device = generator.device if generator is not None else symbols.device
    order = torch.randperm(symbols.numel(), generator=generator, device=device).to(symbols.device)
    kept = [
        members[:limit] for s in symbols.unique() if (members := order[symbols[order] == s]).numel()
    ]
    return torch.cat(kept) if kept else order
