"""How good a network is that only other volumes have taught: all labelled slices of this one tell.

No reference had a part in what it made of them, so nothing is scaled to distances as in `estimate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..volume.annotation import NOT_ANNOTATED
from .dice import dice_scores, overall_dice
from .estimate import Estimate, spread
from .stack import SliceStack


@dataclass(frozen=True)
class Unaided:
    """What a network made of the labelled slices before it learned from them.

    Parameters
    ----------
    dice : float
        Of all classes at once. A class that a slice does not show counts as whichever class lies
        there, and beside the object as wrong.
    estimate : Estimate
        Of the slices without ink: the Dice of each class that is labelled.
    """

    dice: float
    estimate: Estimate

    @classmethod
    def of(cls, stack: SliceStack, slices: Sequence[int], classes: Tensor) -> Unaided:
        """Compare.

        Parameters
        ----------
        stack : SliceStack
        slices : sequence of int
            Slices with ink.
        classes : Tensor, (len(slices), H, W)
            Classes predicted for them.
        """
        truth = stack.ink[list(slices)]
        known = truth != NOT_ANNOTATED
        shown = truth.masked_fill(~known, 0)
        # In which slice one class ends and the next begins others cannot tell; the references will.
        elsewhere = torch.stack(
            [~torch.isin(p, t[k].to(p)) for p, t, k in zip(classes, truth, known, strict=True)]
        )
        classes = torch.where(elsewhere & (shown > 0), truth.to(classes), classes)
        return cls(
            overall_dice(classes[known], truth[known]),
            _estimate(stack, classes, truth, known),
        )


def _estimate(stack: SliceStack, classes: Tensor, truth: Tensor, known: Tensor) -> Estimate:
    pooled = dice_scores(classes[known], truth[known], stack.classes)
    found = {
        i: score
        for c, (i, score) in enumerate(zip(stack.class_ids[1:], pooled, strict=True), 1)
        if bool((truth == c).any())
    }
    mean = float(np.mean(list(found.values()))) if found else 0.0
    each = [overall_dice(p[k], t[k]) for p, t, k in zip(classes, truth, known, strict=True)]
    deviation = spread(np.array(each))
    low, high = max(0.0, mean - deviation), min(1.0, mean + deviation)
    return Estimate(found, dict.fromkeys(found, deviation), mean, low, high, len(each))
