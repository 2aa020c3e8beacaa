"""Thresholds of trust that leave most of what is near an object sure, where that is safe.

The mean confidence of a class, MetaSSL's adaptive threshold, splits what both predictions agree on
about in half where all of it is nearly as good: then the user is asked to look at much that is
right. Confidence is calibrated, so it says how much of a region is to be expected wrong; as long as
that is little, thresholds go down until the sure region has its share.

A fixed limit between DC and DS can leave DS with a dozen voxels, of which nothing can be promised.
It goes up until the least sure of the discrepant are DS, but not beyond an even chance.
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Share of the object's neighbourhood that UC is to hold; somewhat more than what is promised, as
#: the neighbourhood of the proposed object is not that of the true one.
SHARE = 0.76

#: Part of UC that may be expected to be wrong when thresholds are lowered for it.
EXPECTED_ERROR = 0.025

#: Share of the discrepant voxels near the object that DS holds at least, as long as they are no
#: likelier right than wrong.
LEAST_SURE, EVEN = 0.25, 0.5

#: Log odds by which thresholds may be lowered, and the step in which it is done.
_DEEPEST, _STEP = 8.0, 0.01

#: Steps in which the certainty of discrepant voxels is counted.
_LEVELS = 1000


class TrustedShare:
    """Lowers the thresholds of a proposal, from its voxels slice by slice.

    Parameters
    ----------
    thresholds : Tensor, (classes,)
        From `class_thresholds`, in [0, 1].
    """

    def __init__(self, thresholds: Tensor) -> None:
        self._thresholds = thresholds
        self._odds = torch.logit(thresholds.double(), 1e-6)
        bins = round(_DEEPEST / _STEP) + 1
        #: Unanimous voxels, and how many of them are expected to be wrong: above their threshold,
        #: and by how many steps below it.
        self._count, self._wrong = torch.zeros(2, bins, dtype=torch.float64)
        self._open = 0
        self._discrepant = torch.zeros(_LEVELS, dtype=torch.int64)

    def add(self, certainty: Tensor, classes: Tensor, unanimous: Tensor, open_: Tensor) -> None:
        """Take in voxels, all of one shape.

        Parameters
        ----------
        certainty : Tensor, (...)
            Chance that the proposed class is right.
        classes : Tensor, (...)
            Proposed classes.
        unanimous : Tensor of bool
            Which of the open voxels are undisputed.
        open_ : Tensor of bool
            Near the object, and neither inked nor outside of it.
        """
        self._open += int(open_.sum())
        unsure = certainty[open_ & ~unanimous]
        levels = (unsure * _LEVELS).long().clamp(0, _LEVELS - 1)
        self._discrepant += torch.bincount(levels, minlength=_LEVELS)
        sure = certainty[unanimous].double()
        below = self._odds[classes[unanimous].long()] - torch.logit(sure, 1e-6)
        # At the threshold itself a voxel is not confident yet, and is by the first step.
        bins = (below / _STEP).floor().long() + 1
        bins = torch.where(below < 0, 0, bins)
        inside = bins < len(self._count)
        self._count += torch.bincount(bins[inside], minlength=len(self._count))
        self._wrong += torch.bincount(bins[inside], 1 - sure[inside], len(self._count))

    def lowered(self) -> Tensor:
        """Return the thresholds (classes,) float32: lower by the same log odds, or as they were.

        They are lowered by no more than UC needs for `SHARE` of the open voxels, and only as long
        as `EXPECTED_ERROR` of it at most are expected to be wrong.
        """
        count, wrong = self._count.cumsum(0), self._wrong.cumsum(0)
        enough = int((count < SHARE * self._open).sum())  # steps until UC has its share
        safe = (count > 0) & (wrong <= EXPECTED_ERROR * count)
        steps = max(torch.nonzero(safe[: enough + 1]).flatten().tolist(), default=0)
        if steps == 0:
            return self._thresholds
        return torch.sigmoid(self._odds - steps * _STEP).float()

    def confident(self, limit: float) -> float:
        """Return above which certainty a discrepant voxel is confident.

        Parameters
        ----------
        limit : float
            The least that it may be. It is higher, up to `EVEN`, where DS would hold less than
            `LEAST_SURE` of the discrepant voxels.
        """
        below = self._discrepant.cumsum(0)
        wanted = int((below < LEAST_SURE * below[-1]).sum()) + 1 if below[-1] else 0
        return max(limit, min(wanted / _LEVELS, EVEN))
