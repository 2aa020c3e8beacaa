"""MetaSSL: four regions of trust, adaptive thresholds and the weights of regions.

Two predictions of the same image are compared: the *reference*, which is trusted to teach, and the
*supervised* one, which learns. Whether their classes agree and whether the reference is more
confident than a running threshold of its class split the pixels in four regions, each with its own
weight in a cross-entropy (Zhao et al., IEEE TMI 2025, arXiv 2509.01144). Everything here works on
2D and 3D maps alike and knows nothing of the framework the predictions come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal

import torch
from torch import Tensor, nn

from .losses import IGNORE

Split = Literal["unlabelled", "labelled"]
Formula = Literal["phi", "ratio"]


class Region(IntEnum):
    """Agreement and confidence of a pixel; 0 in a region map means that it has no region."""

    UC = 1
    """Unanimous and confident."""
    US = 2
    """Unanimous and suspicious."""
    DC = 3
    """Discrepant and confident."""
    DS = 4
    """Discrepant and suspicious."""


UNLABELLED_ORDER = (Region.UC, Region.US, Region.DC, Region.DS)
"""Decreasing weight on unlabelled pixels (abstract of the paper)."""
LABELLED_ORDER = (Region.UC, Region.US, Region.DS, Region.DC)
"""Decreasing weight on labelled pixels: a confident contradiction hints at a wrong annotation."""


def stated(
    probs: Tensor, classes: Tensor | None = None, ignore: int = IGNORE
) -> tuple[Tensor, Tensor]:
    """Return how sure a prediction is of what it states, and that; no gradient.

    Parameters
    ----------
    probs
        ``(B, K, ...)`` probabilities.
    classes
        ``(B, ...)`` class ids that it stands for, likeliest or not; None is the likeliest ones.
    ignore
        Id in `classes` where it stands for nothing.

    Returns
    -------
    confidence : Tensor
        ``(B, ...)`` float32, the probability of the class; without meaning where there is none.
    classes : Tensor
        ``(B, ...)`` int64.
    """
    probs = probs.detach().float()
    if classes is None:
        confidence, likeliest = probs.max(1)
        return confidence, likeliest
    classes = classes.long()
    rows = classes.masked_fill(classes == ignore, 0).unsqueeze(1)
    return probs.gather(1, rows).squeeze(1), classes


def partition(
    reference_probs: Tensor,
    supervised_classes: Tensor,
    thresholds: Tensor,
    ignore: int = IGNORE,
    reference_classes: Tensor | None = None,
) -> Tensor:
    """Assign every pixel to one of the four regions.

    Parameters
    ----------
    reference_probs
        ``(B, K, ...)`` probabilities of the reference prediction.
    supervised_classes
        ``(B, ...)`` class ids to agree with: the supervised prediction, or the annotation.
    thresholds
        ``(K,)``; a pixel is confident when the probability of the class that the reference states
        exceeds, strictly, the threshold of that class. ``(K, S)`` where the first axis of the maps
        after the batch is one of S overlapping structures, each with thresholds of its own.
    ignore
        Id in `supervised_classes` or `reference_classes` of pixels that get no region.
    reference_classes
        ``(B, ...)`` class ids that the reference states; None is its likeliest ones.

    Returns
    -------
    Tensor
        ``(B, ...)`` uint8 of `Region` codes, 0 where ignored. Carries no gradient.

    Raises
    ------
    ValueError
        When the shapes do not fit together.
    """
    expected = (reference_probs.shape[0], *reference_probs.shape[2:])
    if tuple(supervised_classes.shape) != expected:
        raise ValueError(f"class map has shape {tuple(supervised_classes.shape)}, not {expected}")
    fitting = (reference_probs.shape[1:2], reference_probs.shape[1:3])
    if thresholds.shape not in fitting:
        raise ValueError(
            f"{reference_probs.shape[1]} classes need as many thresholds, got {thresholds.numel()}"
        )
    with torch.no_grad():
        confidence, classes = stated(reference_probs, reference_classes, ignore)
        blank = (supervised_classes == ignore) | (classes == ignore)
        rows = classes.masked_fill(classes == ignore, 0)
        confident = confidence > _threshold_of(rows, thresholds.to(confidence.device))
        codes = region_codes(confident, classes != supervised_classes)
        return codes.masked_fill(blank, 0)


def _threshold_of(classes: Tensor, thresholds: Tensor) -> Tensor:
    if thresholds.ndim == 1:
        return thresholds[classes]
    structures = torch.arange(classes.shape[1], device=classes.device)
    return thresholds[classes, structures.view(1, -1, *[1] * (classes.ndim - 2))]


def region_codes(confident: Tensor, discrepant: Tensor) -> Tensor:
    """Return the `Region` codes, uint8 from 1 to 4, of two bool maps of any one shape."""
    return 1 + (~confident).to(torch.uint8) + 2 * discrepant.to(torch.uint8)


class AdaptiveThresholds(nn.Module):
    """Running mean confidence of each class, for each prediction and split.

    ``T <- rate * m + (1 - rate) * T`` with ``m = sum(confidence) / (n + 1)`` over the n pixels that
    the prediction assigns to the class. As T follows the mean, *suspicious* means less confident
    than is usual for the class at this stage of training.

    Parameters
    ----------
    classes
        Number of classes, background included.
    predictions
        Number of predictions that serve as reference.
    rate
        Weight of the new value; 0 keeps the thresholds as they were set.
    initial
        Value before the first update.
    cap
        Upper bound of the thresholds in use; the running value is not bounded. None: no bound.
    release
        Treat a class that no pixel is assigned to as in the released code, where it halves the
        threshold. By default such a class keeps its threshold.
    structures
        Number of overlapping structures, each of which has thresholds of its own for each of its
        `classes` answers; None where classes exclude each other.

    Raises
    ------
    ValueError
        When `rate` does not lie in [0, 1].
    """

    values: Tensor
    """``(predictions, 2, classes)``; the second axis is unlabelled, labelled. With structures
    ``(predictions, 2, classes, structures)``."""

    def __init__(
        self,
        classes: int,
        predictions: int = 1,
        rate: float = 0.5,
        initial: float = 0.9,
        cap: float | None = None,
        release: bool = False,
        structures: int | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must lie in [0, 1], not {rate}")
        self.rate = rate
        self.cap = cap
        self.release = release
        each = (classes,) if structures is None else (classes, structures)
        self.register_buffer("values", torch.full((predictions, 2, *each), float(initial)))

    def get(self, prediction: int = 0, split: Split = "unlabelled") -> Tensor:
        """Return the thresholds in use for one prediction and split.

        Parameters
        ----------
        prediction
            Which of the reference predictions.
        split
            Of which images.

        Returns
        -------
        Tensor
            ``(classes,)`` float32, or ``(classes, structures)``; a copy.

        Raises
        ------
        IndexError
            When there is no such prediction.
        ValueError
            When there is no such split.
        """
        values = self.values[prediction, _split_index(split)]
        return values.clone() if self.cap is None else values.clamp(max=self.cap)

    @torch.no_grad()
    def observe(
        self,
        confidence: Tensor,
        classes: Tensor,
        prediction: int = 0,
        split: Split = "unlabelled",
        mask: Tensor | None = None,
    ) -> Tensor:
        """Take in one batch and return the thresholds in use afterwards.

        Parameters
        ----------
        confidence, classes
            ``(B, ...)`` probabilities of the predicted classes, and their ids; the annotation
            plays no part. With structures ``(B, structures, ...)``.
        prediction, split
            Which thresholds to update; as in `get`, with its errors.
        mask
            Bool, shaped like `classes`: the pixels to count; None counts all.
        """
        counted = torch.ones_like(classes, dtype=torch.bool) if mask is None else mask
        # Each structure has sums of its own; exclusive classes are summed over everything.
        axes = None if self.values.ndim == 3 else (0, *range(2, classes.ndim))
        # Class by class, as sums of masked maps: accurate in single precision and repeatable on
        # any device, which scattered additions are not.
        members = [counted & (classes == c) for c in range(self.values.shape[2])]
        total = torch.stack([(confidence * m).sum(dim=axes) for m in members])
        count = torch.stack([m.sum(dim=axes) for m in members])
        mean = (total / (count + 1)).to(self.values.device, self.values.dtype)
        count = count.to(self.values.device)
        old = self.values[prediction, _split_index(split)]
        new = self.rate * mean + (1 - self.rate) * old
        if not self.release:
            new = torch.where(count > 0, new, old)
        self.values[prediction, _split_index(split)] = new
        return self.get(prediction, split)


def _split_index(split: Split) -> int:
    if split not in ("unlabelled", "labelled"):
        raise ValueError(f"split must be 'unlabelled' or 'labelled', not {split!r}")
    return int(split == "labelled")


def region_weights(
    formula: Formula = "phi",
    order: Sequence[Region] = UNLABELLED_ORDER,
    step: float = 0.6,
    beta: float = 3.0,
    ratio: float = 1.25,
    factor: float = 5.0,
    scale: float = 1.0,
) -> Tensor:
    """Weights of the regions, indexed by region code.

    Parameters
    ----------
    formula
        ``"phi"``: ``exp(-(k * step) ** beta)`` for rank k = 0..3, a generalised Gaussian.
        ``"ratio"``: the scale divided by 1, r, r^2 f, r^3 f^3 (r = `ratio`, f = `factor`), the
        hand-made steps of other released scripts; ``factor=1`` gives plain powers of the ratio.
    order
        The four regions by decreasing weight.
    step, beta
        Parameters of ``"phi"``.
    ratio, factor
        Parameters of ``"ratio"``.
    scale
        Weight of the first region.

    Returns
    -------
    Tensor
        ``(5,)`` float32; entry 0 (no region) is 0.

    Raises
    ------
    ValueError
        When `order` is no permutation of the regions or the formula is unknown.
    """
    if sorted(order) != sorted(Region):
        raise ValueError("order must name each of the four regions once")
    if formula == "phi":
        ranks = torch.exp(-((torch.arange(4) * step) ** beta))
    elif formula == "ratio":
        steps = torch.tensor([1.0, ratio, ratio * factor, ratio * factor**2])
        ranks = 1 / steps.cumprod(0)
    else:
        raise ValueError(f"unknown weight formula {formula!r}")
    weights = torch.zeros(5)
    weights[torch.tensor([int(r) for r in order])] = scale * ranks
    return weights
