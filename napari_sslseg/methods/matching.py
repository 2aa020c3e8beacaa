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
from .reference_pool import DEFAULT_GRID, ReferencePool, as_rows, grid_size, sample_nearest

DEFAULT_NEIGHBOURS = 5

FrequencySource = Literal["full", "features", "distribution"]
Agreement = Literal["entropy", "binary", "unclamped"]


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


@torch.no_grad()
def nearest_references(
    queries: Tensor,
    pool: ReferencePool,
    k: int = DEFAULT_NEIGHBOURS,
    chunk: int = 1024,
    standardise: bool = False,
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
    standardise
        Rank by similarity in standard deviations from the mean of the reference over all queries,
        so that references that are near to everything (hubs) win less often.

    Returns
    -------
    similarities : Tensor
        ``(Q, k)`` in [0, 1], those of the references found; decreasing unless standardised.
    indices : Tensor
        ``(Q, k)`` rows of the pool.
    """
    k = min(k, len(pool))
    unit = F.normalize(queries.detach().float(), dim=1)
    with torch.autocast(unit.device.type, enabled=False):
        if standardise:
            return _standardised(unit, pool.features, k, chunk)
        found = [(part @ pool.features.T).clamp(0, 1).topk(k, dim=1) for part in unit.split(chunk)]
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _standardised(unit: Tensor, references: Tensor, k: int, chunk: int) -> tuple[Tensor, Tensor]:
    count = unit.shape[0]
    total = squares = torch.zeros(references.shape[0], dtype=torch.float64, device=unit.device)
    for part in unit.split(chunk):
        similar = (part @ references.T).clamp(0, 1).double()
        total, squares = total + similar.sum(0), squares + similar.square().sum(0)
    mean = total / count
    spread = (squares / count - mean.square()).clamp_min(0).sqrt().clamp_min(1e-6)
    values, indices = [], []
    for part in unit.split(chunk):
        similar = (part @ references.T).clamp(0, 1)
        best = ((similar - mean.float()) / spread.float()).topk(k, dim=1).indices
        values.append(similar.gather(1, best))
        indices.append(best)
    return torch.cat(values), torch.cat(indices)


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


def agreement_weight(marginals: Tensor, form: Agreement = "entropy") -> Tensor:
    """Return how far the neighbours of each query agree, for class marginals ``(Q, K)``.

    Parameters
    ----------
    marginals
        Probability of each class.
    form
        ``"entropy"``: 1 - H with the entropy H in units of ``log K``, clamped to [0, 1]. Marginals
        of sets of classes do not sum to one, so that H may exceed 1. ``"unclamped"``: the same as
        in the released code, where such a weight is negative. ``"binary"``: 1 minus the mean over
        classes of the entropy of yes and no, which lies in [0, 1] by itself.
    """
    if form == "binary":
        other = 1 - marginals
        bits = torch.special.xlogy(marginals, marginals) + torch.special.xlogy(other, other)
        return (1 + bits.mean(1) / math.log(2)).clamp(0, 1)
    classes = max(marginals.shape[1], 2)
    entropy = -torch.special.xlogy(marginals, marginals).sum(1)
    weight = 1 - entropy / math.log(classes)
    return weight if form == "unclamped" else weight.clamp(0, 1)


@torch.no_grad()
def match(
    features: Tensor,
    pool: ReferencePool,
    k: int = DEFAULT_NEIGHBOURS,
    grid: int = DEFAULT_GRID,
    chunk: int = 1024,
    refine: FrequencySource | None = None,
    morph: bool = False,
    standardise: bool = False,
    agreement: Agreement = "entropy",
) -> Match:
    """Give every grid pixel of unlabelled images the label of its nearest reference.

    Parameters
    ----------
    features
        ``(B, D, h, w)`` or ``(B, D, d, h, w)``, from the same layer and network as the pool.
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
        Clean the label map up afterwards; images only.
    standardise
        See `nearest_references`; over the pixels of each image, so that its labels do not depend
        on the other images of the batch.
    agreement
        See `agreement_weight`.
    """
    size = grid_size(features.shape, grid)
    sampled = sample_nearest(features.detach().float(), size)
    b, place = sampled.shape[0], sampled.shape[2:]
    pixels, classes = math.prod(place), pool.members.shape[1]
    if morph and len(place) != 2:
        raise ValueError("labels of volumes cannot be cleaned up; switch morph off")
    if len(pool) == 0 or b == 0:
        shape = (b, classes, *place) if pool.multilabel else (b, *place)
        zeros = sampled.new_zeros(b, classes, *place)
        ignored = torch.full(shape, IGNORE, device=sampled.device)
        return Match(ignored.float() if pool.multilabel else ignored, zeros, zeros[:, 0])
    queries = as_rows(sampled)
    if standardise:
        each = [nearest_references(q, pool, k, chunk, True) for q in queries.split(pixels)]
        similarities, indices = (torch.cat(p) for p in zip(*each, strict=True))
    else:
        similarities, indices = nearest_references(queries, pool, k, chunk)
    found = pool.symbols[indices]
    scores = symbol_scores(similarities, found, pool.members.shape[0])
    if refine is None:
        symbol, probabilities = transfer(scores, found[:, 0])
    else:
        parts = []
        near = zip(scores.split(pixels), found[:, 0].split(pixels), strict=True)
        for i, (s, n) in enumerate(near):
            target = _target(pool, refine, queries[i * pixels : (i + 1) * pixels], n)
            parts.append(transfer(s, n, align_frequencies(s, target, _background(pool))))
        symbol, probabilities = (torch.cat(p) for p in zip(*parts, strict=True))
    symbol_map = symbol.view(b, *place)
    if morph:
        symbol_map = clean_up(symbol_map)
    marginals = probabilities @ pool.members.float()
    weight = agreement_weight(marginals, agreement) * (probabilities.sum(1) > 0)
    labels = pool.members[symbol_map].float().movedim(-1, 1) if pool.multilabel else symbol_map
    return Match(
        labels,
        marginals.view(b, *place, classes).movedim(-1, 1).contiguous(),
        weight.view(b, *place),
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
    z = sample_nearest(logits.float(), weight.shape[1:])
    if labels.ndim == logits.ndim:
        valid = (labels != ignore).float()
        bce = F.binary_cross_entropy_with_logits(z, labels.float() * valid, reduction="none")
        loss = (bce * valid).mean(1)
    else:
        loss = pixel_cross_entropy(z, labels, ignore)
    return (loss * weight).sum() / max(loss.numel(), 1)
