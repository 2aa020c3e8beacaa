"""A mixed proposal made coherent across slices: what a slice says counts a little in the next.

Matching and network decide slice by slice and voxel by voxel, so single voxels and outlines that
jump from slice to slice are left. A Gaussian of half a pixel, in all three directions, takes them
away and moves nothing that is wider than two pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..methods.check_point import check_point
from ..methods.gaussian_blur import gaussian_blur
from .stack import SliceStack

#: Standard deviation in pixels of a slice.
SIGMA = 0.5

#: Slices on either side that may count, however thin they are.
_MOST = 4


def make_coherent(
    mixed: Tensor, stack: SliceStack, result: Tensor, release: Callable[[], object] = lambda: None
) -> Tensor:
    """Smooth probabilities in the slice and across slices; references count as they are inked.

    Parameters
    ----------
    mixed : Tensor, (Z, K, H, W)
        May be memory-mapped: a few slices are read at a time.
    stack : SliceStack
    result : Tensor, (Z, K, H, W)
        Filled; not `mixed` itself.
    release : callable
        Called after each slice, to give back the memory of files.

    Returns
    -------
    Tensor
        `result`.
    """
    weights = slice_weights(stack.spacing)
    known = set(stack.references())
    blurred: dict[int, Tensor] = {}
    depth = len(mixed)
    for z in range(depth):
        check_point()
        around = [n for n in range(z - len(weights) + 1, z + len(weights)) if 0 <= n < depth]
        blurred = {n: blurred[n] if n in blurred else _blur(mixed, stack, known, n) for n in around}
        shares = [weights[abs(n - z)] for n in around]
        total = torch.stack([s * blurred[n] for s, n in zip(shares, around, strict=True)]).sum(0)
        result[z] = total / sum(shares)
        release()
    return result


def slice_weights(spacing: Sequence[float]) -> list[float]:
    """Weight of a slice itself, of the next ones on either side, and so on; the first is 1.

    Parameters
    ----------
    spacing : three floats
        Distance of slices, of rows and of columns, in any unit.

    Returns
    -------
    list of float
        One to five, falling; those up to 0.005 are left out.
    """
    step = spacing[0] / math.sqrt(spacing[1] * spacing[2])
    weights = [math.exp(-0.5 * (n * step / SIGMA) ** 2) for n in range(_MOST + 1)]
    return [w for w in weights if w > 0.005]


def _blur(mixed: Tensor, stack: SliceStack, known: set[int], z: int) -> Tensor:
    slice_ = mixed[z].float()
    if z in known:
        ink = stack.ink[z].long().to(slice_.device)
        slice_ = F.one_hot(ink, stack.classes).movedim(-1, 0).float()
    return gaussian_blur(slice_[None], SIGMA)[0]
