"""RPG: pseudo-labels from the nearest annotated pixels.

Every pixel of an unlabelled image looks up its nearest neighbours, in feature space, among the
pixels of a pool of annotated images, takes over the label of the nearest, and trusts it as far as
the neighbours agree (Seibold et al., AAAI 2022, arXiv 2112.00735). Nothing here carries a gradient
but the loss, and that only into the prediction.

A label may be a class (multi-class) or a set of classes (multi-label); sets are matched as a whole,
each distinct one being a *symbol*.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .label_refinement import align_frequencies, clean_up
from .losses import IGNORE, pixel_cross_entropy

DEFAULT_NEIGHBOURS = 5
DEFAULT_GRID = 64

FrequencySource = Literal["full", "features", "distribution"]


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
            ``(N, D, h, w)``, the last decoder map.
        labels
            ``(N, H, W)`` class ids, or ``(N, classes, H, W)`` of 0 and 1 for multi-label.
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
        sampled = _nearest(features.detach().float(), size)
        unit = F.normalize(sampled, dim=1).permute(0, 2, 3, 1).flatten(0, 2)
        multilabel = labels.ndim == 4
        stacked = labels if multilabel else labels[:, None]
        ids = _nearest(stacked.float(), size).permute(0, 2, 3, 1).flatten(0, 2).long()
        keep = (ids != ignore).all(1)
        count = labels.shape[0]
        image = torch.arange(count, device=ids.device).repeat_interleave(size[0] * size[1])
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


@dataclass(frozen=True)
class Match:
    """Pseudo-labels of unlabelled images on the matching grid, without gradient.

    Attributes
    ----------
    labels
        Multi-class ``(B, h, w)`` int64, multi-label ``(B, K, h, w)`` float of 0 and 1. `IGNORE`
        where the pool was empty.
    probabilities
        ``(B, K, h, w)``, the class marginals of the neighbours' labels.
    weight
        ``(B, h, w)`` in [0, 1]: 1 minus the normalised entropy of the marginals.
    """

    labels: Tensor
    probabilities: Tensor
    weight: Tensor


def grid_size(shape: torch.Size | tuple[int, ...], grid: int) -> tuple[int, int]:
    """Return the size of the matching grid for maps of `shape`, whose sides it never exceeds."""
    return min(grid, shape[-2]), min(grid, shape[-1])


def _nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if tuple(maps.shape[-2:]) == size:
        return maps
    return F.interpolate(maps, size, mode="nearest-exact")


def _draw(symbols: Tensor, limit: int, generator: torch.Generator | None) -> Tensor:
    device = generator.device if generator is not None else symbols.device
    order = torch.randperm(symbols.numel(), generator=generator, device=device).to(symbols.device)
    kept = [
        members[:limit] for s in symbols.unique() if (members := order[symbols[order] == s]).numel()
    ]
    return torch.cat(kept) if kept else order


@torch.no_grad()
def nearest_references(
    queries: Tensor, pool: ReferencePool, k: int = DEFAULT_NEIGHBOURS, chunk: int = 1024
) -> tuple[Tensor, Tensor]:
    """Find the k references with the largest ``max(0, cosine)``.

    Parameters
    ----------
    queries
        ``(Q, D)``, of any length.
    pool
        Not empty.
    k
        Limited to the size of the pool.
    chunk
        Queries compared at a time; bounds memory to ``chunk * len(pool)`` values.

    Returns
    -------
    similarities : Tensor
        ``(Q, k)`` in [0, 1], decreasing.
    indices : Tensor
        ``(Q, k)`` rows of the pool.
    """
    k = min(k, len(pool))
    unit = F.normalize(queries.detach().float(), dim=1)
    with torch.autocast(unit.device.type, enabled=False):
        found = [(part @ pool.features.T).clamp(0, 1).topk(k, dim=1) for part in unit.split(chunk)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def symbol_scores(similarities: Tensor, symbols: Tensor, count: int) -> Tensor:
    """Return ``(Q, count)``: of each symbol the best similarity among the neighbours, else 0."""
    scores = similarities.new_zeros(similarities.shape[0], count)
    return scores.scatter_reduce(1, symbols, similarities, "amax")


def transfer(scores: Tensor, nearest: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Turn scores into a symbol and a distribution over symbols for each query.

    Parameters
    ----------
    scores
        ``(Q, S)`` of `symbol_scores`.
    nearest
        ``(Q,)`` symbol of the nearest reference.
    bias
        ``(S,)`` divisors of the scores, from `align_frequencies`; None is all ones. Without bias
        the label is that of the nearest reference, whatever k.

    Returns
    -------
    symbol : Tensor
        ``(Q,)``.
    probabilities : Tensor
        ``(Q, S)``; all zero where no neighbour has any similarity.
    """
    biased = scores if bias is None else scores / bias
    total = biased.sum(1, keepdim=True)
    probabilities = torch.where(total > 0, biased / total.clamp_min(1e-12), 0.0)
    # Ties go to the neighbour that came first, which argmax over symbols would not respect.
    symbol = nearest if bias is None else torch.where(total[:, 0] > 0, biased.argmax(1), nearest)
    return symbol, probabilities


def agreement_weight(marginals: Tensor) -> Tensor:
    """Return ``1 - H`` clamped to [0, 1] for class marginals ``(Q, K)``.

    H is the entropy in units of ``log K``. Marginals of sets of classes do not sum to one, so that
    H may exceed 1; unclamped, the weight would turn negative.
    """
    classes = max(marginals.shape[1], 2)
    entropy = -torch.special.xlogy(marginals, marginals).sum(1)
    return (1 - entropy / math.log(classes)).clamp(0, 1)


@torch.no_grad()
def match(
    features: Tensor,
    pool: ReferencePool,
    k: int = DEFAULT_NEIGHBOURS,
    grid: int = DEFAULT_GRID,
    chunk: int = 1024,
    refine: FrequencySource | None = None,
    morph: bool = False,
) -> Match:
    """Give every grid pixel of unlabelled images the label of its nearest reference.

    Parameters
    ----------
    features
        ``(B, D, h, w)``, from the same layer and network as the pool.
    pool
        Common to all images. From an empty pool nothing is learnt: labels are `IGNORE`, weights 0.
    k
        Neighbours; k changes the weight, not the label.
    grid
        Largest side of the matching grid, sampled nearest.
    chunk
        Queries compared at a time.
    refine
        Align the label frequencies of each image with those of the whole pool (``"full"``), of the
        pool image nearest in mean feature (``"features"``) or nearest in label histogram
        (``"distribution"``). None, the default, leaves the nearest label.
    morph
        Clean the label map up afterwards.
    """
    size = grid_size(features.shape, grid)
    sampled = _nearest(features.detach().float(), size)
    b, d, h, w = sampled.shape
    classes = pool.members.shape[1]
    if len(pool) == 0 or b == 0:
        shape = (b, classes, h, w) if pool.multilabel else (b, h, w)
        zeros = sampled.new_zeros(b, classes, h, w)
        ignored = torch.full(shape, IGNORE, device=sampled.device)
        return Match(ignored.float() if pool.multilabel else ignored, zeros, zeros[:, 0])
    queries = sampled.permute(0, 2, 3, 1).reshape(-1, d)
    similarities, indices = nearest_references(queries, pool, k, chunk)
    found = pool.symbols[indices]
    scores = symbol_scores(similarities, found, pool.members.shape[0])
    if refine is None:
        symbol, probabilities = transfer(scores, found[:, 0])
    else:
        parts = []
        for i, (s, n) in enumerate(zip(scores.split(h * w), found[:, 0].split(h * w), strict=True)):
            target = _target(pool, refine, queries[i * h * w : (i + 1) * h * w], n)
            parts.append(transfer(s, n, align_frequencies(s, target, _background(pool))))
        symbol, probabilities = (torch.cat(p) for p in zip(*parts, strict=True))
    symbol_map = symbol.view(b, h, w)
    if morph:
        symbol_map = clean_up(symbol_map)
    marginals = probabilities @ pool.members.float()
    weight = agreement_weight(marginals) * (probabilities.sum(1) > 0)
    labels = pool.members[symbol_map].float().permute(0, 3, 1, 2) if pool.multilabel else symbol_map
    return Match(
        labels,
        marginals.view(b, h, w, classes).permute(0, 3, 1, 2).contiguous(),
        weight.view(b, h, w),
    )


def _background(pool: ReferencePool) -> int:
    """Return the symbol of background: class 0, or the empty set (-1 when no pixel has it)."""
    if not pool.multilabel:
        return 0
    empty = (~pool.members.any(1)).nonzero()
    return int(empty[0, 0]) if empty.numel() else -1


def _target(pool: ReferencePool, source: FrequencySource, queries: Tensor, near: Tensor) -> Tensor:
    if source == "full":
        return pool.frequencies()
    images = pool.image.unique().tolist()
    if source == "features":
        mean = F.normalize(queries, dim=1).mean(0)
        gaps = [float((pool.features[pool.image == i].mean(0) - mean).norm()) for i in images]
    elif source == "distribution":
        count = pool.members.shape[0]
        predicted = torch.bincount(near, minlength=count).float() / near.numel()
        gaps = [float((pool.frequencies(i) - predicted).abs().sum()) for i in images]
    else:
        raise ValueError(f"unknown source of frequencies {source!r}")
    return pool.frequencies(images[gaps.index(min(gaps))])


def rpg_loss(logits: Tensor, labels: Tensor, weight: Tensor, ignore: int = IGNORE) -> Tensor:
    """Cross-entropy to matched labels, weighted by agreement, averaged over all grid pixels.

    Parameters
    ----------
    logits
        ``(B, K, H, W)`` prediction of the unlabelled images; sampled, nearest, on the grid of
        `weight`.
    labels
        ``(B, h, w)`` class ids, or ``(B, K, h, w)`` of 0 and 1 for multi-label, for which the loss
        is the binary cross-entropy averaged over classes.
    weight
        ``(B, h, w)``.
    ignore
        Label of pixels that contribute nothing.

    Returns
    -------
    Tensor
        Scalar. Disputed pixels lower the loss as a whole instead of being averaged away: a batch
        that matches badly teaches little.
    """
    z = _nearest(logits.float(), (weight.shape[-2], weight.shape[-1]))
    if labels.ndim == 4:
        valid = (labels != ignore).float()
        bce = F.binary_cross_entropy_with_logits(z, labels.float() * valid, reduction="none")
        loss = (bce * valid).mean(1)
    else:
        loss = pixel_cross_entropy(z, labels, ignore)
    return (loss * weight).sum() / max(loss.numel(), 1)


def warm_up(progress: float, start: float = 0.1, end: float = 0.4) -> float:
    """Gaussian ramp of an unsupervised weight.

    Parameters
    ----------
    progress
        Share of the training done, in [0, 1].
    start, end
        The weight is 0 before `start`, then ``exp(-5 (1 - t)^2)`` with t from 0 to 1, and 1 after
        `end`.
    """
    if progress < start:
        return 0.0
    t = 1.0 if progress >= end else (progress - start) / (end - start)
    return math.exp(-5 * (1 - t) ** 2)
