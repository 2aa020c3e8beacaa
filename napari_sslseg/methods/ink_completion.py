"""Label the rest of a partly inked slice: random walks from its own ink, or from a prediction.

The probability that a random walker starting at a pixel first meets ink of a class, on the
4-connected grid with edge weights that fall with the difference of the descriptors (Grady,
"Random walks for image segmentation", IEEE TPAMI 28(11), 2006, eq. 1 and 5: the combinatorial
Dirichlet problem). It is solved by damped Jacobi sweeps from coarse to fine, which needs a few
dozen sweeps a level, not thousands.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

NOT_ANNOTATED = 255

#: Squared descriptor distance at which an edge weight falls to 1/e.
_TEMPERATURE = 0.05
#: Jacobi sweeps a level.
_SWEEPS = 30
#: Weight of a prediction in each pixel against its edges: in an even region a difference falls to
#: 1/e within ``_LEAK ** -0.5`` pixels.
_LEAK = 0.02


def complete_ink(features: torch.Tensor, ink: torch.Tensor, classes: int) -> torch.Tensor:
    """Class probabilities of one slice from the ink in it.

    Parameters
    ----------
    features : (D, H, W) float tensor
        Descriptors, see `slice_features`.
    ink : (H, W) uint8 tensor
        Class of each pixel, 255 where not annotated.
    classes : int
        Number of classes with background.

    Returns
    -------
    (classes, H, W) float32 tensor
        Sums to 1; exactly one-hot where inked, uniform if nothing is inked.
    """
    known = ink != NOT_ANNOTATED
    height, width = ink.shape
    if not bool(known.any()):
        return torch.full((classes, height, width), 1.0 / classes, device=features.device)
    seeds = torch.zeros((classes, height, width), device=features.device)
    seeds.scatter_(0, torch.where(known, ink, 0).long()[None], known[None].float())
    if bool(known.all()):
        return seeds
    pyramid = [(features[None], seeds[None])]
    while min(pyramid[-1][0].shape[-2:]) >= 8:
        f, s = pyramid[-1]
        pyramid.append((F.avg_pool2d(f, 2, ceil_mode=True), F.avg_pool2d(s, 2, ceil_mode=True)))
    f, s = pyramid[-1]
    total = s.sum((2, 3), keepdim=True)
    solution = (total / total.sum().clamp_min(1e-12)).expand_as(s).clone()
    for f, s in reversed(pyramid):
        if solution.shape[-2:] != s.shape[-2:]:
            solution = F.interpolate(solution, s.shape[-2:], mode="bilinear", align_corners=False)
        solution = _relax(f, s, solution)
    result = solution[0]
    result = result / result.sum(0, keepdim=True).clamp_min(1e-12)
    return torch.where(known[None], seeds, result)


def correct_by_ink(
    features: torch.Tensor,
    ink: torch.Tensor,
    probabilities: torch.Tensor,
) -> torch.Tensor:
    """Let the ink of a slice correct what was predicted for it.

    What the ink changes at its own pixels spreads to pixels that look alike, and dies away with the
    distance: random walks with a prior (Grady, "Multilabel random walker image segmentation using
    prior models", CVPR 2005), solved for the difference to the prior, so that nothing changes where
    the ink confirms the prediction or is far away.

    Parameters
    ----------
    features : (D, H, W) float tensor
        Descriptors, see `slice_features`.
    ink : (H, W) uint8 tensor
        Class of each pixel, 255 where not annotated.
    probabilities : (classes, H, W) float tensor
        The prediction.

    Returns
    -------
    (classes, H, W) tensor
        Sums to 1; exactly one-hot where inked.
    """
    known = ink != NOT_ANNOTATED
    if not bool(known.any()):
        return probabilities
    exact = F.one_hot(torch.where(known, ink, 0).long(), len(probabilities))
    exact = exact.permute(2, 0, 1).to(probabilities.dtype)
    if bool(known.all()):
        return exact
    change = torch.where(known, exact - probabilities, 0.0)
    levels = [(features[None], change[None], known[None, None].float())]
    while min(levels[-1][0].shape[-2:]) >= 8 and len(levels) < 4:
        levels.append(tuple(F.avg_pool2d(x, 2, ceil_mode=True) for x in levels[-1]))  # type: ignore[arg-type]
    solution = torch.zeros_like(levels[-1][1])
    for level in range(len(levels) - 1, -1, -1):
        f, c, amount = levels[level]
        if solution.shape[-2:] != c.shape[-2:]:
            solution = F.interpolate(solution, c.shape[-2:], mode="bilinear", align_corners=False)
        fixed = c / amount.clamp_min(1e-12)
        solution = _sweep(f, fixed, amount > 0, solution, _LEAK * 4**level)
    result = (probabilities + solution[0]).clamp_min(0)
    result = result / result.sum(0, keepdim=True).clamp_min(1e-12)
    return torch.where(known, exact, result)


def _relax(features: torch.Tensor, seeds: torch.Tensor, solution: torch.Tensor) -> torch.Tensor:
    """Jacobi sweeps of the Dirichlet problem on one grid, ink fixed."""
    amount = seeds.sum(1, keepdim=True)
    fixed = seeds / amount.clamp_min(1e-12)
    return _sweep(features, fixed, amount > 0, solution, 0.0)


def _sweep(
    features: torch.Tensor,
    fixed: torch.Tensor,
    known: torch.Tensor,
    solution: torch.Tensor,
    leak: float,
) -> torch.Tensor:
    """Jacobi sweeps on one grid (1, C, H, W); values stay fixed where known."""
    horizontal = (features[..., 1:] - features[..., :-1]).square().sum(1, keepdim=True)
    vertical = (features[..., 1:, :] - features[..., :-1, :]).square().sum(1, keepdim=True)
    # A floor keeps every pixel connected, else a closed contour would leave no label at all.
    horizontal = torch.exp(-horizontal / _TEMPERATURE) + 1e-4
    vertical = torch.exp(-vertical / _TEMPERATURE) + 1e-4
    left, right = F.pad(horizontal, (1, 0)), F.pad(horizontal, (0, 1))
    up, down = F.pad(vertical, (0, 0, 1, 0)), F.pad(vertical, (0, 0, 0, 1))
    degree = left + right + up + down + leak
    solution = torch.where(known, fixed, solution)
    for _ in range(_SWEEPS):
        p = F.pad(solution, (1, 1, 1, 1), mode="replicate")
        mean = (
            left * p[..., 1:-1, :-2]
            + right * p[..., 1:-1, 2:]
            + up * p[..., :-2, 1:-1]
            + down * p[..., 2:, 1:-1]
        ) / degree
        solution = torch.where(known, fixed, mean)
    return solution
