"""SemSim across images: unlabelled pixels query regional class prototypes of labelled images.

Anatomy sits at similar places in every slice, so prototypes are taken cell by cell of an N x N grid
and a pixel queries those of its own cell (arXiv 2410.13486, Eqs. 7 to 12).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import IGNORE, one_hot

DEFAULT_REGIONS = 4
DEFAULT_TEMPERATURE = 0.1
DEFAULT_SHARPNESS = 1000.0

Divergence = Literal["softmax", "raw"]

# Logit of a class that is nowhere labelled. Finite, so that gradients stay finite, yet low enough
# that its probability underflows to an exact zero.
_ABSENT = -1e4


@dataclass(frozen=True)
class Prototypes:
    """Mean features of labelled images by cell and class.

    Attributes
    ----------
    vectors
        ``(N * N, J, K, D)`` for J labelled images and K classes, cells in row-major order. Where a
        cell lacks a class it holds the image's prototype of the class.
    present
        ``(J, K)`` bool; False where the whole image lacks the class.
    regions
        N, the number of cells a side.
    """

    vectors: Tensor
    present: Tensor
    regions: int

    def detach(self) -> Prototypes:
        """Return the same prototypes without gradient."""
        return Prototypes(self.vectors.detach(), self.present, self.regions)


@dataclass(frozen=True)
class QueryResult:
    """What the prototypes say about unlabelled images.

    Attributes
    ----------
    log_probs
        ``(B, K, h, w)`` logarithm of Eq. 9; a class that no labelled image has has probability 0.
    similarity
        ``(B, J, K, h, w)`` cosines (Eq. 8); meaningless where ``present`` is False.
    weight
        ``(B, h, w)`` in [0, 1]: agreement of the labelled images (Eq. 12), without gradient.
    """

    log_probs: Tensor
    similarity: Tensor
    weight: Tensor


def cells(length: int, regions: int, device: torch.device | None = None) -> Tensor:
    """Return for each of `length` positions the index of its cell, ``(length,)`` int64.

    Of `regions` cells, of sizes that differ by one at most; fewer positions leave some empty.
    """
    return torch.arange(length, device=device) * regions // length


def cell_sizes(length: int, regions: int) -> list[int]:
    """Return the number of positions in each of the `regions` cells of `cells`."""
    starts = [-(-i * length // regions) for i in range(regions + 1)]
    return [b - a for a, b in pairwise(starts)]


def regional_prototypes(
    features: Tensor,
    labels: Tensor,
    classes: int,
    regions: int = DEFAULT_REGIONS,
    ignore: int = IGNORE,
) -> Prototypes:
    """Average features over the pixels of each class in each cell (Eq. 7).

    Parameters
    ----------
    features
        ``(J, D, h, w)`` fused features of labelled images.
    labels
        ``(J, H, W)`` class ids, resized to the features by nearest neighbour. Pixels of `ignore`
        enter no prototype.
    classes
        K.
    regions
        Cells a side; limited to the size of the features.
    ignore
        Id of pixels that are not annotated.

    Returns
    -------
    Prototypes
        float32, with gradient to `features`.
    """
    # Sums over many pixels overflow half precision.
    with torch.autocast(features.device.type, enabled=False):
        return _regional_prototypes(features, labels, classes, regions, ignore)


def _regional_prototypes(
    features: Tensor, labels: Tensor, classes: int, regions: int, ignore: int
) -> Prototypes:
    j, d, h, w = features.shape
    regions = max(1, min(regions, h, w))
    if labels.shape[-2:] != (h, w):
        resized = F.interpolate(labels[:, None].float(), (h, w), mode="nearest-exact")
        labels = resized[:, 0].long()
    labels = labels.long().masked_fill(labels == ignore, -1)
    masks = one_hot(labels, classes).flatten(2)
    cell = cells(h, regions, features.device)[:, None] * regions + cells(
        w, regions, features.device
    )
    n = regions**2
    in_cell = (cell.flatten()[:, None] == torch.arange(n, device=cell.device)).to(masks.dtype)
    # (J, n * K, P): a matrix product sums features by cell and class, repeatably on any device.
    indicator = (in_cell.T[None, :, None] * masks[:, None]).flatten(1, 2)
    flat = features.float().flatten(2).transpose(1, 2)
    local_sum = (indicator @ flat).view(j, n, classes, d)
    local_count = indicator.sum(-1).view(j, n, classes, 1)
    image_sum, image_count = local_sum.sum(1, keepdim=True), local_count.sum(1, keepdim=True)
    image_mean = image_sum / image_count.clamp_min(1)
    local_mean = local_sum / local_count.clamp_min(1)
    vectors = torch.where(local_count > 0, local_mean, image_mean.expand_as(local_mean))
    present = image_count[:, 0, :, 0] > 0
    return Prototypes(vectors.transpose(0, 1), present, regions)


def query(
    features: Tensor,
    prototypes: Prototypes,
    temperature: float = DEFAULT_TEMPERATURE,
    sharpness: float = DEFAULT_SHARPNESS,
    divergence: Divergence = "softmax",
) -> QueryResult:
    """Classify pixels by the prototypes of their cell (Eqs. 8 to 12).

    Parameters
    ----------
    features
        ``(B, D, h, w)`` fused features of unlabelled images.
    prototypes
        Of `regional_prototypes`.
    temperature
        Divides the cosines in Eq. 9. The published formula has none (1.0); with non-negative
        features the largest probability is then e / (e + K - 1), below any usual threshold.
    sharpness
        r of Eq. 12. Softmaxes whose divergence is taken have a temperature of 1, for which the
        published 1000 is a fitting scale.
    divergence
        See `agreement`.

    Returns
    -------
    QueryResult
        On the grid of `features`.

    Raises
    ------
    ValueError
        When the map has fewer pixels a side than there are cells, or for an unknown divergence.
    """
    with torch.autocast(features.device.type, enabled=False):
        similarity = _similarity(features, prototypes)
    present = prototypes.present
    log_probs = _pool(similarity / temperature, present).log_softmax(1)
    weight = agreement(similarity.detach(), present, sharpness, divergence)
    return QueryResult(log_probs, similarity, weight)


def _similarity(features: Tensor, prototypes: Prototypes) -> Tensor:
    """Cosines ``(B, J, K, h, w)`` of pixels to the prototypes of their own cell."""
    h, w = features.shape[-2:]
    n = prototypes.regions
    if min(h, w) < n:
        raise ValueError(f"a {h} x {w} map cannot be cut into {n} x {n} cells")
    f = F.normalize(features.float(), dim=1)
    g = F.normalize(prototypes.vectors, dim=-1)
    rows, columns = cell_sizes(h, n), cell_sizes(w, n)
    bands = []
    for r, band in enumerate(f.split(rows, dim=2)):
        tiles = [
            torch.einsum("bdhw,jkd->bjkhw", tile, g[r * n + c])
            for c, tile in enumerate(band.split(columns, dim=3))
        ]
        bands.append(torch.cat(tiles, dim=-1))
    return torch.cat(bands, dim=-2)


def _pool(scores: Tensor, present: Tensor) -> Tensor:
    """Log of the sum over labelled images of exp scores, absent classes left out."""
    if scores.shape[1] == 0:
        return scores.sum(1) + _ABSENT  # no class is anywhere: all are alike
    return scores.masked_fill(~present[None, :, :, None, None], _ABSENT).logsumexp(1)


@torch.no_grad()
def agreement(
    similarity: Tensor,
    present: Tensor,
    sharpness: float = DEFAULT_SHARPNESS,
    divergence: Divergence = "softmax",
) -> Tensor:
    """How alike the labelled images judge a pixel, ``mean_j exp(-r KL(m_j || mean m))``.

    Eqs. 10 to 12 with each image's similarities made a distribution by a softmax over classes, as a
    divergence needs. Where an image lacks a class, the mean of the others stands in: no opinion is
    no dissent. Images without any class are left out.

    Parameters
    ----------
    similarity
        ``(B, J, K, h, w)``.
    present
        ``(J, K)`` bool.
    sharpness
        r of Eq. 12.
    divergence
        ``"raw"`` puts the similarities into the formula of the divergence as printed, without
        making them distributions. It then turns negative for most pixels, and its exponential
        exceeds every number: such weights are cut to 1. Similarities must not be negative.

    Returns
    -------
    Tensor
        ``(B, h, w)`` in [0, 1].

    Raises
    ------
    ValueError
        For an unknown divergence.
    """
    mask = present[None, :, :, None, None]
    m = similarity.float()
    mean = (m * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp_min(1)
    filled = torch.where(mask, m, mean.expand_as(m))
    filled = filled.masked_fill(~present.any(0)[None, None, :, None, None], _ABSENT)
    # By a weight, not by picking: how many images vote is known to the device alone.
    voters = present.any(1).to(m.dtype)[None, :, None, None]
    if divergence == "raw":
        return _raw_agreement(filled.clamp_min(0), sharpness, voters)
    if divergence != "softmax":
        raise ValueError(f"unknown divergence {divergence!r}")
    q = filled.softmax(2)
    average = _mean_of(q, voters.unsqueeze(2)).unsqueeze(1)
    # Divergences of interest are about 1e-5. As q and its mean sum to one alike, the sum of
    # q log(q / mean) is the sum of q (x - log(1 + x)) with x = mean / q - 1, whose terms are all
    # positive and of second order: nothing cancels in single precision.
    x = torch.where(q > 0, average / q.clamp_min(1e-30) - 1, 0.0)
    dissent = (q * (x - x.log1p())).sum(2).clamp_min(0)
    return _mean_of(torch.exp(-sharpness * dissent), voters)


def _mean_of(values: Tensor, voters: Tensor) -> Tensor:
    """Mean over the second axis of those with weight 1; zero where there are none."""
    return (values * voters).sum(1) / voters.sum(1).clamp_min(1)


def _raw_agreement(similarity: Tensor, sharpness: float, voters: Tensor) -> Tensor:
    average = _mean_of(similarity, voters.unsqueeze(2)).unsqueeze(1)
    # x log(x / y) with the limit 0 at x = 0.
    terms = torch.special.xlogy(similarity, similarity.clamp_min(1e-30) / average.clamp_min(1e-30))
    return _mean_of(torch.exp((-sharpness * terms.sum(2)).clamp_max(0)), voters)
