"""Segmentation losses in which single pixels can be left out or weighted.

Pixels left out leave numerator and denominator alike, so that the loss of a partly annotated image
is the loss of its annotated part. Libraries either lack this or approximate it by zeroing.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255
DICE_SMOOTHING = 1e-5


def one_hot(target: Tensor, classes: int) -> Tensor:
    """Return float32 indicators ``(B, classes, ...)`` of ids ``(B, ...)``; none for unknown ids."""
    ids = torch.arange(classes, device=target.device).view(1, -1, *[1] * (target.ndim - 1))
    return (target.unsqueeze(1).long() == ids).float()


def pixel_cross_entropy(logits: Tensor, target: Tensor, ignore: int = IGNORE) -> Tensor:
    """Cross-entropy of each pixel, zero where the target is `ignore`.

    Parameters
    ----------
    logits
        ``(B, K, ...)``.
    target
        ``(B, ...)`` class ids.
    ignore
        Id of pixels without a target.

    Returns
    -------
    Tensor
        ``(B, ...)`` float32.
    """
    return F.cross_entropy(logits.float(), target.long(), ignore_index=ignore, reduction="none")


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return ``sum(weight * values) / sum(weight)``, zero when all weights are.

    Parameters
    ----------
    values, weight
        Of shapes that broadcast to that of `weight`; weights are not negative.
    """
    total = weight.sum()
    return (values * weight).sum() / total.clamp_min(torch.finfo(torch.float32).tiny)


def cross_entropy(
    logits: Tensor, target: Tensor, weight: Tensor | None = None, ignore: int = IGNORE
) -> Tensor:
    """Mean cross-entropy over the annotated pixels.

    Parameters
    ----------
    logits
        ``(B, K, ...)``.
    target
        ``(B, ...)`` class ids.
    weight
        ``(B, ...)`` mask or non-negative weights; None counts every pixel once.
    ignore
        Id of pixels without a target; they never count.

    Returns
    -------
    Tensor
        Scalar, exactly zero with zero gradient when no pixel counts.
    """
    valid = (target != ignore).float()
    if weight is not None:
        valid = valid * weight
    return weighted_mean(pixel_cross_entropy(logits, target, ignore), valid)


def soft_cross_entropy(
    logits: Tensor, probabilities: Tensor, weight: Tensor, counted: Tensor | None = None
) -> Tensor:
    """Cross-entropy to soft labels, weighted by pixel.

    Parameters
    ----------
    logits, probabilities
        ``(B, K, ...)``.
    weight
        ``(B, ...)`` trust in each soft label, in [0, 1].
    counted
        ``(B, ...)`` bool, the pixels that the mean is over; None counts all.

    Returns
    -------
    Tensor
        Scalar: the sum of weighted cross-entropies of the counted pixels over their number, not
        over the sum of weights, so that labels of little trust have little say even when there are
        no others. Zero when no pixel is counted.
    """
    loss = -(probabilities * F.log_softmax(logits.float(), dim=1)).sum(1) * weight
    if counted is None:
        return loss.sum() / max(loss.numel(), 1)
    return weighted_mean(loss, counted.float())


def masked_dice(
    probabilities: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore: int = IGNORE,
    background: bool = True,
    absent: bool = True,
) -> Tensor:
    """Soft Dice loss over the pixels that count.

    For each class, ``1 - (2 sum(w p g) + s) / (sum(w p^2) + sum(w g) + s)`` with ``s = 1e-5``, sums
    over the whole batch, averaged over all classes, background included. This is the form with
    squared denominators that the published semi-supervised baselines share; a mask is a weight of
    zeros and ones.

    Parameters
    ----------
    probabilities
        ``(B, K, ...)``.
    target
        ``(B, ...)`` class ids.
    weight
        ``(B, ...)`` mask or non-negative weights; None counts every pixel once.
    ignore
        Id of pixels without a target; they never count.
    background
        Whether class 0 is one of those averaged over.
    absent
        Whether a class that no pixel has as its target is averaged in. Such a class pulls its
        probabilities towards zero, by a force that grows as they vanish: for a sum S of squares far
        above s it is ``2 p s / S^2`` a pixel. An annotation means that; a pseudo-label that lacks a
        class may only not have found it yet.

    Returns
    -------
    Tensor
        Scalar, exactly zero with zero gradient when no pixel counts.
    """
    valid = (target != ignore).float()
    if weight is not None:
        valid = valid * weight.float()
    first = 0 if background else 1
    g = one_hot(target, probabilities.shape[1])[:, first:]
    return _dice(probabilities[:, first:].float(), g, g, valid.unsqueeze(1), absent)


def flattened_dice(probabilities: Tensor, target: Tensor, ignore: int = IGNORE) -> Tensor:
    """Soft Dice loss of overlapping classes, all channels of an image taken as one.

    ``1 - (2 sum(p g) + 1) / (sum(p^2) + sum(g) + 1)`` for each image ``(K, ...)``, averaged over
    images. Small structures hardly count beside large ones. Source: released code of RPG.

    Parameters
    ----------
    probabilities
        ``(B, K, ...)``.
    target
        ``(B, K, ...)`` of 0 and 1.
    ignore
        Value of pixels and classes without a target.

    Returns
    -------
    Tensor
        Scalar; exactly zero with zero gradient when nothing is annotated.
    """
    valid = (target != ignore).float()
    p, g = probabilities.float() * valid, (target == 1).float()
    overlap, size = (p * g).flatten(1).sum(1), (p * p + g).flatten(1).sum(1)
    return (1 - (2 * overlap + 1) / (size + 1)).sum() / max(target.shape[0], 1)


def overlapping_dice(
    probabilities: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore: int = IGNORE,
    absent: bool = True,
) -> Tensor:
    """Soft Dice loss of classes that may overlap, each averaged in alike.

    Parameters
    ----------
    probabilities
        ``(B, K, ...)``.
    target
        ``(B, K, ...)`` of 0 and 1.
    weight
        ``(B, K, ...)`` or ``(B, 1, ...)`` mask or non-negative weights.
    ignore
        Value of pixels and classes without a target.
    absent
        As in `masked_dice`.

    Returns
    -------
    Tensor
        Scalar, exactly zero with zero gradient when nothing counts.
    """
    valid = (target != ignore).float()
    g = (target == 1).float()
    counted = valid if weight is None else valid * weight.float()
    return _dice(probabilities.float(), g, g, counted, absent)


def soft_masked_dice(
    probabilities: Tensor, target: Tensor, weight: Tensor, absent: bool = True
) -> Tensor:
    """Dice loss to soft labels, squared in the denominator like the prediction.

    For labels of zeros and ones it equals `masked_dice`.

    Parameters
    ----------
    probabilities, target
        ``(B, K, ...)``.
    weight
        ``(B, ...)`` mask or non-negative weights.
    absent
        As in `masked_dice`.
    """
    target, counted = target.float(), weight.float().unsqueeze(1)
    return _dice(probabilities.float(), target, target * target, counted, absent)


def soft_overlapping_dice(
    probabilities: Tensor, target: Tensor, weight: Tensor, absent: bool = True
) -> Tensor:
    """Dice loss to soft labels of overlapping classes.

    Parameters
    ----------
    probabilities, target
        ``(B, K, ...)``.
    weight
        ``(B, K, ...)`` or ``(B, 1, ...)`` mask or non-negative weights.
    absent
        As in `masked_dice`.
    """
    target = target.float()
    return _dice(probabilities.float(), target, target * target, weight.float(), absent)


def _dice(p: Tensor, g: Tensor, squared: Tensor, w: Tensor, absent: bool = True) -> Tensor:
    if p.shape[1] == 0:
        return p.sum()  # no class to average over: zero
    axes = (0, *range(2, p.ndim))
    overlap = (w * p * g).sum(axes)
    there = (w * squared).sum(axes)
    size = (w * p * p).sum(axes) + there
    each = 1 - (2 * overlap + DICE_SMOOTHING) / (size + DICE_SMOOTHING)
    return each.mean() if absent else weighted_mean(each, (there > 0).float())


def supervised_loss(logits: Tensor, target: Tensor, ignore: int = IGNORE) -> Tensor:
    """Half the sum of cross-entropy and Dice over the annotated pixels (SemSim Eq. 2).

    Parameters
    ----------
    logits
        ``(B, K, ...)``.
    target
        ``(B, ...)`` class ids.
    ignore
        Id of pixels without a target.

    Returns
    -------
    Tensor
        Scalar; exactly zero with zero gradient when nothing is annotated.
    """
    dice = masked_dice(logits.float().softmax(1), target, ignore=ignore)
    return 0.5 * (cross_entropy(logits, target, ignore=ignore) + dice)
