"""The Dice that a proposal is to be expected to have if its confidence is right.

Each voxel that is given a class belongs to it with the chance that the confidence tells; with the
rest of the chance it belongs to one of the others, as the prediction shares it among them. Summed
over the volume that says how many voxels are rightly of a class, and how many there should be.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..methods.voxel_evidence import Predictions


class ExpectedOverlap:
    """Sums over the voxels of a proposal, slice by slice.

    Parameters
    ----------
    class_ids : sequence of int
        Label value of each class index; the first is the background.
    """

    def __init__(self, class_ids: Sequence[int]) -> None:
        self._ids = tuple(class_ids)
        zeros = torch.zeros(len(self._ids), dtype=torch.float64)
        self._right, self._proposed, self._there = zeros, zeros.clone(), zeros.clone()

    def add_slice(self, probabilities: Tensor, certainty: Tensor, counted: Tensor) -> None:
        """Add a slice.

        Parameters
        ----------
        probabilities : Tensor, (K, H, W)
            Whose winning classes are proposed.
        certainty : Tensor, (H, W)
            Chance that the winning class is right.
        counted : Tensor, (H, W) bool
            Voxels to count: those without ink.
        """
        counted = counted.to(probabilities.device)
        chances = probabilities[:, counted].float()
        sure = certainty.to(chances.device)[counted].double()
        named = chances.max(0).indices
        number = len(self._ids)
        right = torch.bincount(named, sure, number).cpu()
        # What is not right is shared among the other classes as the prediction does.
        # In half precision the largest and the others need not sum to one.
        chances.scatter_(0, named[None], 0.0)
        shares = chances.double() / chances.sum(0).clamp_min(1e-12)
        missed = (shares * (1 - sure)).sum(1).cpu()
        self._right = self._right + right
        self._proposed = self._proposed + torch.bincount(named, minlength=number).cpu()
        self._there = self._there + right + missed

    @staticmethod
    def covers(known: Predictions, z: int) -> bool:
        """Whether a slice, counted from 0, is counted: one between slices with ink.

        Beyond the outermost ones an object may go on or end, of which the confidence knows less:
        with those slices the estimate was farther off (docs/results.md).
        """
        return bool(known.inked) and min(known.inked) < z < max(known.inked)

    def dice(self) -> dict[int, float]:
        """Return the expected Dice of each class but the background that there is any of."""
        total = self._proposed + self._there
        return {
            label: float(2 * right / both)
            for label, right, both in zip(self._ids[1:], self._right[1:], total[1:], strict=True)
            if both > 0.5
        }
