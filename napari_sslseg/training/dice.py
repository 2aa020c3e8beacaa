"""Dice of class indices, for whole volumes slice by slice."""

from __future__ import annotations

import numpy as np
from torch import Tensor


def dice_scores(prediction: Tensor, truth: Tensor, classes: int) -> list[float]:
    """Dice of each class but the background; NaN for one that occurs in neither.

    Parameters
    ----------
    prediction, truth : Tensor, (...) of int
        Of one shape; the volumes of (Z, H, W) are read slice by slice.
    classes : int
        Number of classes, background included.
    """
    both, sizes = np.zeros(classes), np.zeros(classes)
    volumes = prediction.ndim > 2
    for p, t in zip(prediction, truth, strict=True) if volumes else [(prediction, truth)]:
        one, two = p.cpu().numpy().ravel(), t.cpu().numpy().ravel()
        both += np.bincount(one[one == two], minlength=classes)[:classes]
        sizes += np.bincount(one, minlength=classes)[:classes]
        sizes += np.bincount(two, minlength=classes)[:classes]
    hits, total = 2 * both[1:], sizes[1:]
    nowhere = np.full(classes - 1, np.nan)
    return [float(score) for score in np.divide(hits, total, out=nowhere, where=total > 0)]


def mean_dice(prediction: Tensor, truth: Tensor, classes: int) -> float:
    """Mean of `dice_scores` over the classes that occur; NaN when none does."""
    finite = [s for s in dice_scores(prediction, truth, classes) if s == s]
    return float(np.mean(finite)) if finite else float("nan")


def overall_dice(prediction: Tensor, truth: Tensor) -> float:
    """Dice of all classes at once, the large ones counting more; 0 when none occurs.

    Parameters
    ----------
    prediction, truth : Tensor
        Class indices, of one shape; 0 is the background.
    """
    found, there = prediction > 0, truth > 0
    total = int(found.sum()) + int(there.sum())
    return 2 * int(((prediction == truth) & there).sum()) / total if total else 0.0
