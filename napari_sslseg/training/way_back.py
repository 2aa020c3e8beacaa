"""What labels lose on the way to other slices and back: no smaller error is to be estimated.

How the error of the matching grows with the distance differs. Around large objects there is little
at first. The borders of thin layers in speckle are missed by a pixel in the very next slice, which
is a good part of a layer, and by hardly more farther away. Left-out references tell the error at
one distance only, far away. The matching's labels of two slices near a reference, carried to it,
have come as far as those of open slices by then, and there the truth is known.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.propagation import Execution, InkedVolume, Propagation, propagate
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from .stack import SliceStack


def half_way(distances: npt.NDArray[np.intp]) -> int:
    """Return how many slices to go, and as many back, to come at least as far as open ones lie.

    Parameters
    ----------
    distances : ndarray, (N,)
        Those of the open slices from the nearest known one.
    """
    return math.ceil(float(distances.mean()) / 2) if len(distances) else 0


def came_back(
    stack: SliceStack, propagated: Propagation, reference: int, half: int, execution: Execution
) -> Tensor | None:
    """Return what a reference is taken for by labels that went out from it, or near it.

    Parameters
    ----------
    stack : SliceStack
    propagated : Propagation
        From all references.
    reference : int
        A slice that is neither the first nor the last one.
    half : int
        Slices to either side to go; fewer where the stack ends before.
    execution : Execution

    Returns
    -------
    Tensor, (H, W), or None
        Classes; None where the slices that labels come back from show no object.
    """
    half = min(half, reference, stack.depth - 1 - reference)
    low, high = reference - half, reference + half
    ends = propagated.probabilities[[low, high]].float().max(1).indices.to(torch.uint8).cpu()
    if half < 1 or not bool((ends != BACKGROUND).any()):
        return None
    around = list(range(low, high + 1))
    ink = torch.full_like(stack.ink[around], NOT_ANNOTATED)
    ink[[0, -1]] = ends
    volume = InkedVolume(stack.image[around], ink, stack.classes, stack.spacing)
    return propagate(volume, None, execution).probabilities[half].float().max(0).indices.cpu()
