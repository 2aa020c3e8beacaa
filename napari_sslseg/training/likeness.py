"""How alike two predictions of one volume are: their Dice."""

from __future__ import annotations

import math

from ..methods.propagation import Propagation
from .control import Control
from .dice import mean_dice
from .stack import SliceStack
from .trainer import Trainer, predict_slices

#: Slices on which network and matching are compared, where not all of them are.
SAMPLE = 12


def sampled_likeness(
    trainer: Trainer, stack: SliceStack, propagated: Propagation, control: Control
) -> float:
    """Return the Dice between network and matching on a sample of the slices.

    1 where neither sees anything. Cancelled may be raised.
    """
    sample = list(range(0, stack.depth, max(1, stack.depth // SAMPLE)))
    output = predict_slices(trainer.model, stack, sample, trainer.plan, control)
    matched = propagated.probabilities[sample].float().max(1).indices
    found = mean_dice(output.plain.float().max(1).indices, matched, stack.classes)
    return found if math.isfinite(found) else 1.0
