"""How the weight of an unsupervised loss grows with the training."""

from __future__ import annotations

import math
from typing import Literal

Ramp = Literal["gaussian", "steps", "constant"]


def warm_up(
    progress: float, start: float = 0.1, end: float = 0.4, form: Ramp = "gaussian"
) -> float:
    """Ramp of an unsupervised weight.

    Parameters
    ----------
    progress
        Share of the training done, in [0, 1].
    start, end
        The weight is 0 before `start` and 1 after `end`.
    form
        In between, with t from 0 to 1: ``"gaussian"`` is ``exp(-5 (1 - t)^2)``; ``"steps"`` climbs
        from 0.2 in steps of 0.2; ``"constant"`` is 1 at once.
    """
    if progress < start:
        return 0.0
    t = 1.0 if progress >= end else (progress - start) / (end - start)
    if form == "gaussian":
        return math.exp(-5 * (1 - t) ** 2)
    if form == "steps":
        return min(1.0, 0.2 * (1 + math.floor(5 * t)))
    if form == "constant":
        return 1.0
    raise ValueError(f"unknown ramp {form!r}")
