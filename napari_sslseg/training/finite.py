"""Numbers that are none: one step that yields some must not ruin a network, nor be kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class StepGuard:
    """Has a step leave a network as it was if its gradient is not finite.

    Made before the step computes anything. Nothing waits for the device, and all steps do the same
    operations, so that they can be recorded.

    Parameters
    ----------
    module
        What is trained. It has buffers, such as batch statistics, that its losses move already.
    """

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._before = _joined(_measured(module))

    @torch.no_grad()
    def apply(self, norm: Tensor) -> None:
        """Take gradients and buffers back where the norm ``()`` of the gradient is not finite.

        The norm is that of all gradients, on their device. Gradients are zero then: an optimiser's
        momentum runs on, as it would without the step.
        """
        broken = ~norm.isfinite()
        for parameter in self._module.parameters():
            if parameter.grad is not None:
                parameter.grad.masked_fill_(broken, 0)
        buffers = _measured(self._module)
        now = _joined(buffers)
        kept = torch.where(broken | ~now.isfinite(), self._before, now)
        parts = kept.split([buffer.numel() for buffer in buffers])
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part.view_as(buffer))


def _measured(module: nn.Module) -> list[Tensor]:
    return [buffer for buffer in module.buffers() if buffer.is_floating_point()]


def _joined(buffers: list[Tensor]) -> Tensor:
    # One tensor: they are many, and small.
    return torch.cat([buffer.flatten() for buffer in buffers])


def is_finite(tree: Any) -> bool:
    """Whether all numbers in nested dicts, lists and tuples are, those of real tensors too."""
    if isinstance(tree, Tensor):
        return not tree.is_floating_point() or bool(tree.isfinite().all())
    if isinstance(tree, Mapping):
        return all(is_finite(value) for value in tree.values())
    if isinstance(tree, list | tuple):
        return all(is_finite(value) for value in tree)
    return not isinstance(tree, float) or math.isfinite(tree)
