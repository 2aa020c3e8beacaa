"""Optional corrections of matched labels: class frequencies and small holes.

Both belong to the public code of RPG's first author; whether the paper's results use them is not
known, so they are off by default.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def align_frequencies(
    scores: Tensor, target: Tensor, background: int = 0, steps: int = 50, rate: float = 0.005
) -> Tensor:
    """Find divisors of the scores that bring the predicted class frequencies to `target`.

    Starting from ones, ``b <- b + rate * (predicted - target)``, and the b with the smallest L1 gap
    is kept. The background symbol takes no part.

    Parameters
    ----------
    scores
        ``(Q, S)``.
    target
        ``(S,)`` frequencies.
    background
        Symbol left out; -1 for none.
    steps, rate
        Number and size of the steps.

    Returns
    -------
    Tensor
        ``(S,)``.
    """
    foreground = torch.ones_like(target, dtype=torch.bool)
    if background >= 0:
        foreground[background] = False

    def share(values: Tensor) -> Tensor:
        masked = values * foreground
        return masked / masked.sum().clamp_min(1e-12)

    wanted = share(target)
    bias = torch.ones_like(target)
    best, smallest = bias, torch.inf
    for step in range(steps + 1):
        winners = (scores / bias).argmax(1)
        gap = share(torch.bincount(winners, minlength=target.numel()).to(target.dtype)) - wanted
        size = float(gap.abs().sum())
        if size < smallest:
            best, smallest = bias, size
        if step < steps:
            bias = (bias + rate * gap).clamp_min(rate)
    return best


def clean_up(labels: Tensor) -> Tensor:
    """Close a label map by 3x3 dilation and erosion, then take the 3x3 majority.

    Parameters
    ----------
    labels
        ``(B, h, w)`` small non-negative integers. The closing lets larger ids grow over smaller
        ones, as on a grey-value image.
    """
    maps = labels[:, None].float()
    dilated = F.max_pool2d(maps, 3, stride=1, padding=1)
    closed = -F.max_pool2d(-dilated, 3, stride=1, padding=1)
    ids = closed[:, 0].long()
    votes = F.one_hot(ids, int(ids.max()) + 1).permute(0, 3, 1, 2).float()
    votes = F.avg_pool2d(votes, 3, stride=1, padding=1)
    # The pixel keeps its own label in a tie.
    own = F.one_hot(ids, votes.shape[1]).permute(0, 3, 1, 2)
    return (votes + 1e-3 * own).argmax(1)
