"""MetaSSL: a cross-entropy whose pixels weigh what their region weighs."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .losses import IGNORE, pixel_cross_entropy, weighted_mean
from .regions import Region

Normalisation = Literal["weight_map", "region_mean"]
Unanimous = Literal["halves", "whole", "background"]


def heterogeneous_loss(
    supervised_logits: Tensor,
    target_classes: Tensor,
    region_map: Tensor,
    weights: Tensor,
    normalisation: Normalisation = "weight_map",
    ignore: int = IGNORE,
    trust: Tensor | None = None,
    unanimous: Unanimous = "halves",
    stated_classes: Tensor | None = None,
) -> Tensor:
    """Cross-entropy whose pixels weigh what their region weighs.

    Parameters
    ----------
    supervised_logits
        ``(B, K, ...)`` of the prediction that learns.
    target_classes
        ``(B, ...)`` class ids: the reference prediction, or the annotation.
    region_map
        ``(B, ...)`` of `partition`.
    weights
        ``(5,)`` of `region_weights`.
    normalisation
        ``"weight_map"``: ``sum(w * CE) / sum(w)``, which is plain cross-entropy when all weights
        are equal. ``"region_mean"``: the released form, ``sum_r w_r * sum_r(CE) / (n_r + 1)`` with
        the UC region split in foreground and background. There, a pixel of a small region weighs
        far more than one of a large region with the same weight.
    ignore
        Id of pixels without a target.
    trust
        ``(B, ...)`` in [0, 1], multiplies the loss of single pixels but not what it is divided by.
        None is 1 everywhere.
    unanimous
        What ``"region_mean"`` makes of UC: ``"halves"``, a mean over its foreground and one over
        its background, each with the whole weight, as meant by the released code; ``"whole"``, one
        mean; ``"background"``, what the released 2D scripts compute: a slip of theirs counts the
        background twice and leaves the foreground out.
    stated_classes
        ``(B, ...)`` class ids that the reference prediction states, by which ``"region_mean"``
        tells foreground from background; None is `target_classes`. They differ where the target is
        an annotation that neither of two predictions agrees with.

    Returns
    -------
    Tensor
        Scalar; zero with zero gradient when no pixel counts.

    Raises
    ------
    ValueError
        For an unknown normalisation, or, with ``"region_mean"``, way to treat UC.
    """
    valid = (target_classes != ignore) & (region_map > 0)
    regions = region_map.long().masked_fill(~valid, 0)
    ce = pixel_cross_entropy(supervised_logits, target_classes, ignore)
    weights = weights.to(ce.device, ce.dtype)
    if trust is not None:
        ce = ce * trust
    if normalisation == "weight_map":
        # The weight of "no region" is never used, whatever the caller put there.
        return weighted_mean(ce, weights[regions] * valid)
    if normalisation != "region_mean":
        raise ValueError(f"unknown normalisation {normalisation!r}")
    background = (target_classes if stated_classes is None else stated_classes) == 0
    parts = [(m, Region.UC) for m in _unanimous_parts(regions, background, unanimous)]
    parts += [(regions == r, r) for r in (Region.US, Region.DC, Region.DS)]
    return sum(
        (weights[int(r)] * (ce * m).sum() / (m.sum() + 1) for m, r in parts),
        start=ce.new_zeros(()),
    )


def _unanimous_parts(regions: Tensor, background: Tensor, how: Unanimous) -> list[Tensor]:
    confident = regions == Region.UC
    if how == "halves":
        return [confident & ~background, confident & background]
    if how == "background":
        return [confident & background] * 2
    if how == "whole":
        return [confident]
    raise ValueError(f"unknown way to treat the unanimous and confident region {how!r}")
