"""A running average of a framework's weights, which predicts better than the last ones."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ..methods.frameworks.base import Framework


class WeightAverage(nn.Module):
    """Exponential average of parameters and buffers.

    `torch.optim.swa_utils.AveragedModel` counts its updates on the CPU and moves the count to the
    device in each, which cannot be part of a recorded step.

    Parameters
    ----------
    framework
        Whose weights are averaged; the average begins with the weights after the first update.
    decay
        Weight of the average so far.
    """

    started: Tensor

    def __init__(self, framework: Framework, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.module: Framework = copy.deepcopy(framework)
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)
        device = next(framework.parameters()).device
        self.register_buffer("started", torch.zeros((), device=device))

    @torch.no_grad()
    def update(self, framework: Framework) -> None:
        """Take in the weights as they are now, of a framework of the same parts; never waits."""
        own, new = _values(self.module), _values(framework)
        pairs = [(o, n) for o, n in zip(own, new, strict=True) if o.is_floating_point()]
        # The first update copies: the average of nothing has no weight.
        share = torch.where(self.started > 0, 1 - self.decay, 1.0)
        averages, values = [o for o, _ in pairs], [n for _, n in pairs]
        steps = torch._foreach_sub(values, averages)
        torch._foreach_mul_(steps, share)
        torch._foreach_add_(averages, steps)
        for o, n in zip(own, new, strict=True):
            if not o.is_floating_point():
                o.copy_(n)
        self.started.fill_(1)


def _values(framework: Framework) -> list[Tensor]:
    return [*(p.detach() for p in framework.parameters()), *framework.buffers()]
