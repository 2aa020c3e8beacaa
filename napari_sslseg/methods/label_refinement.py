"""Optional corrections of matched labels: class frequencies and small holes.

Both belong to the public code of RPG's first author; whether the paper's results use them is not
known, so they are off by default.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def align_frequencies(
    scores: Tensor, symbols: Tensor, target: Tensor, steps: int = 50, rate: float = 0.005
) -> Tensor:
    """Find divisors of the scores that bring the predicted label frequencies to `target`.

    Starting from ones, ``b <- b + rate * (predicted - target)``, and the b with the smallest L1 gap
    is kept. Symbol 0, the background, takes no part.

    Parameters
    ----------
    scores
        ``(Q, k)`` of `matching.votes`.
    symbols
        ``(Q, k)``, of what each score is.
    target
        ``(S,)`` frequencies.
    steps, rate
        Number and size of the steps.

    Returns
    -------
    Tensor
        ``(S,)``, each divisor at least `rate`.
    """
    foreground = (torch.arange(target.numel(), device=target.device) > 0).to(target.dtype)

    def share(values: Tensor) -> Tensor:
        masked = values * foreground
        return masked / masked.sum().clamp_min(1e-12)

    wanted = share(target)
    bias = torch.ones_like(target)
    best, smallest = bias, torch.full_like(target.sum(), torch.inf)
    counted = target.new_ones(symbols.shape[0])
    for step in range(steps + 1):
        winners = (scores / bias[symbols]).argmax(1, keepdim=True)
        # A sum of ones is exact in any order.
        found = torch.zeros_like(target).index_add_(0, symbols.gather(1, winners)[:, 0], counted)
        gap = share(found) - wanted
        size = gap.abs().sum()
        best = torch.where(size < smallest, bias, best)
        smallest = torch.minimum(size, smallest)
        if step < steps:
            bias = (bias + rate * gap).clamp_min(rate)
    return best


def clean_up(labels: Tensor) -> Tensor:
    """Close a label map by 3x3 dilation and erosion, then take the 3x3 majority.

    Parameters
    ----------
    labels
        ``(B, h, w)`` non-negative integers. The closing lets larger ids grow over smaller ones, as
        on a grey-value image. In a tie a pixel keeps its own label, or else takes the smallest.

    Returns
    -------
    Tensor
        ``(B, h, w)`` int64.
    """
    maps = labels[:, None].float()
    dilated = F.max_pool2d(maps, 3, stride=1, padding=1)
    closed = -F.max_pool2d(-dilated, 3, stride=1, padding=1)
    h, w = labels.shape[1:]
    padded = F.pad(closed, (1, 1, 1, 1), value=-1)
    around = [padded[:, 0, i : i + h, j : j + w] for i in range(3) for j in range(3)]
    own = around[4]
    best, rank = own, torch.full_like(own, -1)
    for candidate in around:
        votes = torch.stack([candidate == other for other in around]).sum(0)
        # Votes first, then the own label, then the smaller one; outside the map nobody stands.
        score = torch.where(candidate < 0, -1, 2 * votes + (candidate == own)).to(rank)
        wins = (score > rank) | ((score == rank) & (candidate < best))
        best, rank = torch.where(wins, candidate, best), torch.where(wins, score, rank)
    return best.long()
