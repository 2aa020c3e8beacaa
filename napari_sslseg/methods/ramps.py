"""How the weight of an unsupervised loss grows with the training."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

Ramp = Literal["gaussian", "steps", "constant"]

#: A number, or a scalar on the device that trains, which can be used without waiting for it.
Scalar = float | Tensor


def warm_up(
    progress: Scalar, start: float = 0.1, end: float = 0.4, form: Ramp = "gaussian"
) -> Scalar:
    """Ramp of an unsupervised weight.

    Parameters
    ----------
    progress
        Share of the training done, in [0, 1]; a tensor ``()`` gives a tensor.
    start, end
        The weight is 0 before `start` and 1 after `end`.
    form
        In between, with t from 0 to 1: ``"gaussian"`` is ``exp(-5 (1 - t)^2)``; ``"steps"`` climbs
        from 0.2 in steps of 0.2; ``"constant"`` is 1 at once.

    Returns
    -------
    float or Tensor
        In [0, 1].

    Raises
    ------
    ValueError
        For an unknown form.
    """
    if form not in get_args(Ramp):
        raise ValueError(f"unknown ramp {form!r}")
    if isinstance(progress, Tensor):
        return _warm_up_on_device(progress, start, end, form)
    if progress < start:
        return 0.0
    t = 1.0 if progress >= end else (progress - start) / (end - start)
    if form == "gaussian":
        return math.exp(-5 * (1 - t) ** 2)
    if form == "steps":
        return min(1.0, 0.2 * (1 + math.floor(5 * t)))
    return 1.0


def _warm_up_on_device(progress: Tensor, start: float, end: float, form: Ramp) -> Tensor:
    t = ((progress - start) / max(end - start, 1e-12)).clamp(0, 1)
    t = torch.where(progress >= end, 1.0, t)  # a ramp without length is over where it starts
    values = {
        "gaussian": torch.exp(-5 * (1 - t) ** 2),
        "steps": (0.2 * (1 + (5 * t).floor())).clamp(max=1),
        "constant": torch.ones_like(t),
    }
    return torch.where(progress < start, 0.0, values[form])
