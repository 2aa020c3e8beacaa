"""What the shapes of two neighbouring references say of the slices between them.

The matching follows the image, the network what it has learned; neither knows that an outline
hardly changes over a way that is short against the object. Interpolated outlines (Raya & Udupa,
IEEE TMI 9(1), 1990) say just that, and nothing else: over long ways they are wrong. So they take
part where references are close.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..methods.shape_prior import signed_distances, thinnest_radius
from .stack import SliceStack

#: Share of the interpolated shapes where the references are neighbours.
MOST = 0.35

#: Distance between two references at which that share is halved, in inscribed radii of the thinnest
#: class. It falls with the fourth power: at twice the distance hardly anything is left.
CLOSE = 0.5

#: Pixels over which an outline is soft.
SOFT = 1.5

#: Pixels from which on a distance says no more; a class absent from one end may appear in between.
_FAR = 30.0


class ReferenceShapes:
    """Outlines interpolated between the wholly annotated slices of a stack.

    Parameters
    ----------
    stack : SliceStack
    """

    def __init__(self, stack: SliceStack) -> None:
        self._ink, self._classes = stack.ink, stack.classes
        self._known = stack.references()
        ink = stack.ink[self._known]
        self._close = CLOSE * thinnest_radius(ink, stack.classes) if self._known else 0.0
        self._step = stack.spacing[0] / math.sqrt(stack.spacing[1] * stack.spacing[2])
        self._distances: dict[int, Tensor] = {}

    def share(self, z: int) -> float:
        """Weight of the shapes in a slice, 0 to `MOST`; 0 if it is not between two references."""
        ends = self._ends(z)
        if ends is None or self._close == 0:
            return 0.0
        return MOST / (1 + ((ends[1] - ends[0]) * self._step / self._close) ** 4)

    def labels(self, z: int) -> Tensor:
        """Soft labels (K, H, W) float32, summing to 1, of a slice between two references."""
        ends = self._ends(z)
        assert ends is not None
        # Slices are asked for in their order: the ends of one stretch are all that is kept.
        self._distances = {end: self._at(end) for end in ends}
        here, there = (self._distances[end].clamp_min(-_FAR) for end in ends)
        fraction = (z - ends[0]) / (ends[1] - ends[0])
        return (torch.lerp(here, there, fraction) / SOFT).softmax(0)

    def mixed_into(self, matched: Tensor, first: int = 0) -> Tensor:
        """Return the matching's probabilities with the shapes' share in them, float32.

        Parameters
        ----------
        matched : Tensor, (N, K, H, W)
        first : int
            Slice that it begins with.
        """
        result = matched.float().clone()
        for i, slice_ in enumerate(result):
            share = self.share(first + i)
            if share > 0.01:  # less moves no border by a tenth of a pixel
                slice_.lerp_(self.labels(first + i), share)
        return result

    def _ends(self, z: int) -> tuple[int, int] | None:
        before = [known for known in self._known if known < z]
        after = [known for known in self._known if known > z]
        if z in self._known or not before or not after:
            return None
        return before[-1], after[0]

    def _at(self, z: int) -> Tensor:
        found = self._distances.get(z)
        return signed_distances(self._ink[z], self._classes) if found is None else found
