"""How alike two predictions of one volume are: their Dice."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from ..methods.propagation import Propagation
from .control import Control
from .stack import SliceStack
from .trainer import Trainer, predict_slices

#: Slices on which network and matching are compared, where not all of them are.
SAMPLE = 12


def likeness(one: Tensor, two: Tensor, classes: int) -> float:
    """Return the mean Dice over the classes between two label volumes; NaN when none occurs.

    Parameters
    ----------
    one, two : Tensor, (Z, H, W) uint8
        Class indices; 0, the background, does not count. Read slice by slice.
    classes : int
        Number of classes, background included.
    """
    both, sizes = np.zeros(classes), np.zeros(classes)
    for a, b in zip(one.numpy(), two.numpy(), strict=True):
        both += np.bincount(a[a == b], minlength=classes)
        sizes += np.bincount(a.ravel(), minlength=classes)
        sizes += np.bincount(b.ravel(), minlength=classes)
    seen = np.flatnonzero(sizes[1:]) + 1
    return float(np.mean(2 * both[seen] / sizes[seen])) if len(seen) else float("nan")


def sampled_likeness(
    trainer: Trainer, stack: SliceStack, propagated: Propagation, control: Control
) -> float:
    """Return the Dice between network and matching on a sample of the slices.

    1 where neither sees anything. Cancelled may be raised.
    """
    sample = list(range(0, stack.depth, max(1, stack.depth // SAMPLE)))
    output = predict_slices(trainer.model, stack, sample, trainer.plan, control)
    matched = propagated.probabilities[sample].float().max(1).indices
    found = likeness(output.plain.float().max(1).indices, matched, stack.classes)
    return found if math.isfinite(found) else 1.0
