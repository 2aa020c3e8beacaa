"""RPG: pseudo-labels from the nearest annotated pixels.

Every pixel of an unlabelled image looks up its nearest neighbours, in feature space, among the
pixels of a pool of annotated images, takes over the label of the nearest, and trusts it as far as
the neighbours agree (Seibold et al., AAAI 2022, arXiv 2112.00735). Nothing here carries a gradient
but the loss, and that only into the prediction.

A label may be a class (multi-class) or a set of classes (multi-label); sets are matched as a whole,
each distinct one being a *symbol*. What a symbol scores is kept at the first of the neighbours that
have it, so that tables grow with the neighbours and not with the number of symbols.
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
from .nearest import nearest_references
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
        ``(B, h, w)``, how far the neighbours agree; see `agreement_weight`. In [0, 1], unless that
        is unclamped.
    """

    labels: Tensor
    probabilities: Tensor
    weight: Tensor


def votes(similarities: Tensor, symbols: Tensor) -> Tensor:
    """Return the score of each distinct label among the neighbours, at its first neighbour.

    Parameters
    ----------
    similarities, symbols
        ``(Q, k)``, of the neighbours.

    Returns
    -------
    Tensor
        ``(Q, k)``: where a neighbour is the first of its label, the best similarity of that label;
        else 0.
    """
    same = symbols.unsqueeze(2) == symbols.unsqueeze(1)
    best = torch.where(same, similarities.unsqueeze(1), 0.0).amax(2)
    first = ~same.tril(-1).any(2)
    return best * first


def transfer(
    scores: Tensor, divisors: Tensor | None = None, temperature: float | None = None
) -> tuple[Tensor, Tensor]:
    """Turn scores into a choice among the neighbours and a distribution over their labels.

    Parameters
    ----------
    scores
        ``(Q, k)`` of `votes`.
    divisors
        ``(Q, k)`` divisors of the scores, from `align_frequencies`; None is all ones. Without them
        the label is that of the most similar neighbour, whatever k.
    temperature
        None for shares of the total score, else a softmax of the scores of the labels found.

    Returns
    -------
    choice : Tensor
        ``(Q,)``, a column of `scores`: that of the largest probability, of equal ones the first.
    probabilities : Tensor
        ``(Q, k)`` of the labels at their first neighbours; all zero where no neighbour has any
        similarity.
    """
    biased = scores if divisors is None else scores / divisors
    if temperature is None:
        shares = biased
    else:
        peak = biased.amax(1, keepdim=True)
        shares = ((biased - peak) / temperature).exp() * (scores > 0)
    total = shares.sum(1, keepdim=True)
    probabilities = torch.where(total > 0, shares / total.clamp_min(1e-12), 0.0)
    # Of the scores themselves: shares that round to the same number would tie.
    return biased.argmax(1), probabilities


def agreement_weight(marginals: Tensor, form: Agreement = "entropy") -> Tensor:
    """Return how far the neighbours of each query agree.

    Parameters
    ----------
    marginals
        ``(Q, K)``, the probability of each class.
    form
        ``"entropy"``: 1 - H with the entropy H in units of ``log K``, clamped to [0, 1]. Marginals
        of sets of classes do not sum to one, so that H may exceed 1. ``"unclamped"``: the same as
        in the released code, where such a weight is negative. ``"binary"``: 1 minus the mean over
        classes of the entropy of yes and no, which lies in [0, 1] by itself.

    Returns
    -------
    Tensor
        ``(Q,)``, 1 where all neighbours have one label.
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
    block: int | None = None,
    refine: FrequencySource | None = None,
    morph: bool = False,
    standardise: bool = False,
    agreement: Agreement = "entropy",
    temperature: float | None = None,
) -> Match:
    """Give every grid pixel of unlabelled images the label of its nearest reference.

    Parameters
    ----------
    features
        ``(B, D, h, w)`` or ``(B, D, d, h, w)``, from the same layer and network as the pool.
    pool
        Common to all images. From an empty pool nothing is learnt: labels are `IGNORE`, weights 0.
    k
        Neighbours; k changes the weight, and the label only with `standardise` or `refine`: then it
        decides which labels can be chosen.
    grid
        Largest side of the matching grid, sampled nearest.
    block
        See `nearest.nearest_references`.
    refine
        Align the label frequencies of each image with those of the whole pool (``"full"``), of the
        pool image nearest in mean feature (``"features"``) or nearest in label histogram
        (``"distribution"``). None, the default, leaves the nearest label.
    morph
        Clean the label map up afterwards; images only.
    standardise
        See `nearest.nearest_references`; over the pixels of each image, so that its labels do not
        depend on the other images of the batch. It says which references are neighbours; which of
        their labels a pixel takes is a matter of similarity, as without.
    agreement
        See `agreement_weight`.
    temperature
        See `transfer`.

    Returns
    -------
    Match
        On the grid of `grid_size`.

    Raises
    ------
    ValueError
        When labels of volumes are to be cleaned up, or for an unknown way to refine.
    """
    # Marginals are sums of shares: half precision would make another weight of them.
    with torch.autocast(features.device.type, enabled=False):
        return _match(
            features, pool, k, grid, block, refine, morph, standardise, agreement, temperature
        )


def _match(
    features: Tensor,
    pool: ReferencePool,
    k: int,
    grid: int,
    block: int | None,
    refine: FrequencySource | None,
    morph: bool,
    standardise: bool,
    agreement: Agreement,
    temperature: float | None,
) -> Match:
    size = grid_size(features.shape, grid)
    sampled = sample_nearest(features.detach().float(), size)
    b, place = sampled.shape[0], sampled.shape[2:]
    pixels, classes = math.prod(place), pool.members.shape[1]
    if morph and len(place) != 2:
        raise ValueError("labels of volumes cannot be cleaned up; switch morph off")
    if pool.symbols.numel() == 0 or b == 0:
        shape = (b, classes, *place) if pool.multilabel else (b, *place)
        zeros = sampled.new_zeros(b, classes, *place)
        ignored = torch.full(shape, IGNORE, device=sampled.device)
        return Match(ignored.float() if pool.multilabel else ignored, zeros, zeros[:, 0])
    queries = as_rows(sampled)
    if standardise:
        each = [nearest_references(q, pool, k, block, True) for q in queries.split(pixels)]
        similarities, indices = (torch.cat(p) for p in zip(*each, strict=True))
    else:
        similarities, indices = nearest_references(queries, pool, k, block)
    symbols = pool.symbols[indices]
    scores = votes(similarities, symbols)
    divisors = None
    if refine is not None:
        # What is transferred without divisors; the first neighbour may be another one where
        # standardised similarities have ranked them.
        plain = symbols.gather(1, transfer(scores)[0][:, None])[:, 0]
        parts = zip(*(x.split(pixels) for x in (scores, symbols, queries, plain)), strict=True)
        divisors = torch.cat(
            [align_frequencies(s, y, _target(pool, refine, q, p))[y] for s, y, q, p in parts]
        )
    choice, probabilities = transfer(scores, divisors, temperature)
    chosen = indices.gather(1, choice[:, None])[:, 0]
    if morph:
        chosen = _cleaned(pool, chosen, (b, *place))
    marginals = torch.einsum("qk,qkc->qc", probabilities, pool.members[indices])
    weight = agreement_weight(marginals, agreement) * (probabilities.sum(1) > 0)
    known = pool.valid.any()
    if pool.multilabel:
        labels = torch.where(known, pool.members[chosen], float(IGNORE))
        labels = labels.view(b, *place, classes).movedim(-1, 1)
    else:
        labels = torch.where(known, pool.symbols[chosen], IGNORE).view(b, *place)
    return Match(
        labels,
        marginals.view(b, *place, classes).movedim(-1, 1).contiguous(),
        weight.view(b, *place),
    )


@torch.no_grad()
def match_each_other(pool: ReferencePool) -> Tensor:
    """Label every pixel of a pool by its nearest reference in another image of the pool.

    What matching makes of an image whose annotation it does not see. All pixels are compared with
    all others at once: make the pool on a coarse grid.

    Parameters
    ----------
    pool
        Of R > 0 rows, which take ``R ** 2`` similarities.

    Returns
    -------
    Tensor
        ``(R,)`` class ids, or ``(R, K)`` of 0 and 1; `IGNORE` where no other image is annotated.
    """
    with torch.autocast(pool.features.device.type, enabled=False):
        similar = pool.features @ pool.features.T
    allowed = (pool.image[:, None] != pool.image) & pool.valid
    nearest = similar.masked_fill(~allowed, -torch.inf).argmax(1)
    found = pool.members[nearest] if pool.multilabel else pool.symbols[nearest]
    known = allowed.any(1)
    return torch.where(known[:, None] if pool.multilabel else known, found, IGNORE)


def _cleaned(pool: ReferencePool, chosen: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return a reference with the label that each pixel has after cleaning up."""
    symbols = clean_up(pool.symbols[chosen].view(shape)).flatten()
    # Every label that is left was chosen somewhere: take any reference that has it.
    rows = torch.arange(pool.symbols.numel(), device=chosen.device)
    first = rows.new_zeros(pool.symbol_count).scatter_reduce_(
        0, pool.symbols, torch.where(pool.valid, rows, -1), "amax", include_self=True
    )
    return first[symbols]


def _target(pool: ReferencePool, source: FrequencySource, queries: Tensor, plain: Tensor) -> Tensor:
    """Return the label frequencies to bring those of one image, predicted as `plain`, to."""
    if source == "full":
        return pool.frequencies()
    means, annotated = pool.image_means()
    frequencies = pool.image_frequencies()
    if source == "features":
        mean = F.normalize(queries, dim=1).mean(0)
        gaps = (means - mean).norm(dim=1)
    elif source == "distribution":
        ones = frequencies.new_ones(plain.numel())
        predicted = torch.zeros_like(frequencies[0]).index_add_(0, plain, ones) / plain.numel()
        gaps = (frequencies - predicted).abs().sum(1)
    else:
        raise ValueError(f"unknown source of frequencies {source!r}")
    nearest = torch.where(annotated, gaps, torch.inf).argmin()
    return frequencies.index_select(0, nearest[None])[0]


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
