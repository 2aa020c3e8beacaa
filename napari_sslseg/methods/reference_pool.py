"""The annotated pixels that RPG matches against.

How many pixels are annotated, and how many distinct labels they have, is known only after counting.
A device would have to be waited for to be told, so a pool keeps a row for every pixel of the grid
and marks those that may be matched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import IGNORE, one_hot

DEFAULT_GRID = 64

#: Structures that fit, as bits, beside a rank of another 31 bits in a whole number of 64.
_BITS = 30


@dataclass(frozen=True)
class ReferencePool:
    """The pixels of a set of annotated images, ready to be matched against.

    Attributes
    ----------
    features
        ``(R, D)`` of unit length (or zero), without gradient.
    symbols
        ``(R,)`` int64, equal for equal labels. For multi-class labels the class; for sets of
        classes a number below ``R + 1``, with 0 for the empty set.
    members
        ``(R, K)`` float of 0 and 1, the classes that each pixel belongs to.
    image
        ``(R,)`` int64, the pool image each pixel comes from.
    valid
        ``(R,)`` bool, the annotated pixels; no other is ever found.
    multilabel
        Whether labels are sets of classes.
    images
        Number of pool images.
    symbol_count
        All `symbols` are below it.
    whole
        The pool that a bounded one was drawn from, whose labels are as frequent as in the images;
        None for one that holds all pixels.
    """

    features: Tensor
    symbols: Tensor
    members: Tensor
    image: Tensor
    valid: Tensor
    multilabel: bool
    images: int
    symbol_count: int
    whole: ReferencePool | None = None

    def __len__(self) -> int:
        """Return the number of annotated pixels; a device is waited for."""
        return int(self.valid.sum())

    @classmethod
    @torch.no_grad()
    def from_maps(
        cls,
        features: Tensor,
        labels: Tensor,
        classes: int,
        grid: int = DEFAULT_GRID,
        ignore: int = IGNORE,
        most: int | None = None,
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
        most
            Keep at most this many pixels, drawn at random, of each label as many as of any other
            as far as there are; None keeps all. Bounds the cost, which grows with the pool,
            without losing rare labels.
        generator
            Randomness of that draw.

        Returns
        -------
        ReferencePool
            With a row for every pixel of the grid, or for `most` of them.
        """
        size = grid_size(features.shape, grid)
        unit = as_rows(F.normalize(sample_nearest(features.detach().float(), size), dim=1))
        multilabel = labels.ndim == features.ndim
        stacked = labels if multilabel else labels[:, None]
        ids = as_rows(sample_nearest(stacked.float(), size)).long()
        valid = (ids != ignore).all(1)
        ids = ids.masked_fill(~valid[:, None], 0)
        count = labels.shape[0]
        image = torch.arange(count, device=ids.device).repeat_interleave(math.prod(size))
        symbols = rank_sets(ids) if multilabel else ids[:, 0]
        members = ids.float() if multilabel else one_hot(ids[:, 0], classes)
        bound = ids.shape[0] + 1 if multilabel else classes
        pool = cls(unit, symbols, members, image, valid, multilabel, count, bound)
        return pool if most is None or most >= len(ids) else pool._thinned(most, generator)

    def _thinned(self, most: int, generator: torch.Generator | None) -> ReferencePool:
        device = self.symbols.device
        drawn = torch.rand(self.symbols.shape, generator=generator, device=_home(generator, device))
        shuffled = drawn.to(device).argsort()
        # Pixels in the order of their symbols, by chance within each; how far each is from the
        # first of its symbol is its turn, and early turns stay.
        keys = torch.where(self.valid, self.symbols, self.symbol_count)[shuffled]
        keys, order = keys.sort(stable=True)
        place = torch.arange(keys.numel(), device=device)
        begins = torch.cat([keys.new_ones(1, dtype=torch.bool), keys[1:] != keys[:-1]])
        turn = place - torch.where(begins, place, 0).cummax(0).values
        turn = torch.where(keys == self.symbol_count, keys.numel(), turn)
        kept = shuffled[order][turn.sort(stable=True).indices[:most]]
        return replace(
            self,
            features=self.features[kept],
            symbols=self.symbols[kept],
            members=self.members[kept],
            image=self.image[kept],
            valid=self.valid[kept],
            whole=self,
        )

    def frequencies(self) -> Tensor:
        """Return the share of each symbol in the images, ``(symbol_count,)``."""
        return _shares(self._counts().sum(0))

    def image_frequencies(self) -> Tensor:
        """Return the share of each symbol in each image, ``(images, symbol_count)``."""
        return _shares(self._counts())

    def _counts(self) -> Tensor:
        if self.whole is not None:
            return self.whole._counts()
        table = self.features.new_zeros(self.images * self.symbol_count)
        place = self.image * self.symbol_count + self.symbols
        table = table.index_add_(0, place, self.valid.to(table.dtype))
        return table.view(self.images, self.symbol_count)

    def image_means(self) -> tuple[Tensor, Tensor]:
        """Return the mean feature of each image's annotated pixels, and which images have any.

        The two are ``(images, D)`` and ``(images,)`` bool.
        """
        if self.whole is not None:
            return self.whole.image_means()
        of = (self.image == torch.arange(self.images, device=self.image.device)[:, None]).float()
        of = of * self.valid
        count = of.sum(1, keepdim=True)
        return of @ self.features / count.clamp_min(1), count[:, 0] > 0


def rank_sets(sets: Tensor) -> Tensor:
    """Return a number for each set of classes, equal for equal sets.

    The empty set has 0, the others follow without gaps, in the order of their first class, then of
    their second, and so on.

    Parameters
    ----------
    sets
        ``(R, K)`` int64 of 0 and 1.

    Returns
    -------
    Tensor
        ``(R,)`` int64, at most R.
    """
    padded = torch.cat([sets.new_zeros(1, sets.shape[1]), sets])
    rank = padded.new_zeros(padded.shape[0])
    for part in padded.split(_BITS, dim=1):
        bits = 2 ** torch.arange(part.shape[1] - 1, -1, -1, device=sets.device)
        codes, order = (rank * 2 ** part.shape[1] + (part * bits).sum(1)).sort(stable=True)
        risen = torch.cat([codes.new_zeros(1), (codes[1:] != codes[:-1]).long()]).cumsum(0)
        rank = torch.empty_like(rank).scatter_(0, order, risen)
    return rank[1:]


def grid_size(shape: Sequence[int], grid: int) -> tuple[int, ...]:
    """Return the sides of the matching grid: those of the maps, but at most `grid`.

    Parameters
    ----------
    shape
        ``(B, C, ...)``, of the maps.
    grid
        Most cells a side.
    """
    return tuple(min(grid, n) for n in shape[2:])


def sample_nearest(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Sample float maps ``(B, C, ...)`` by nearest neighbour: ``(B, C, *size)``."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, tuple(size), mode="nearest-exact")


def as_rows(maps: Tensor) -> Tensor:
    """Turn maps ``(B, D, ...)`` into pixels ``(B * ..., D)``, image by image, row-major."""
    return maps.movedim(1, -1).flatten(0, -2)


def _home(generator: torch.Generator | None, device: torch.device) -> torch.device:
    return device if generator is None else generator.device


def _shares(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True).clamp_min(1)
