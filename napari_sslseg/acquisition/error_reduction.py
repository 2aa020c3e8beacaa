"""The default: the slice whose correction is expected to mend most voxels of the volume.

Expected error reduction (Roy and McCallum, ICML 2001), without retraining for every candidate.
The confidence of a proposal is calibrated, so the sum of 1 - confidence is the number of wrong
voxels to expect in a slice; and how much of them would go if another slice were known follows from
where both lie between the known slices (`influence`). Large doubt, distance from what is known
and being representative of the neighbours are all in the sum.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .content import Content
from .evidence import Evidence
from .influence import distance_to_known, influence
from .strategy import Strategy, evenly, from_the_middle

Reals = npt.NDArray[np.float64]

#: Part of the shown slices in which the first ones lie. Where the object ends is not known yet, a
#: slice beside it teaches nothing, and its middle teaches more than its ends.
CENTRAL = 0.7


class ErrorReduction(Strategy):
    """Sum over all slices of the expected errors that knowing one slice would mend.

    Where nobody has said where the object ends, it may suggest an empty slice just past an end:
    that tells where the object stops, and keeps the labels from being carried on.
    """

    name: ClassVar[str] = "error-reduction"

    def first(self, content: Content, wanted: int) -> list[int]:
        """Spread slices over the central part of what is shown, the middle one first."""
        chosen = from_the_middle(evenly(*self.central(content), wanted))
        # When more are wanted than the central part has:
        first, last = content.shown()
        rest = [z for z in from_the_middle(list(range(first, last + 1))) if z not in chosen]
        return [*chosen, *rest[: max(0, wanted - len(chosen))]]

    def central(self, content: Content) -> tuple[int, int]:
        """Leave out the slices at ends of which nobody has said that the object reaches them."""
        low, high = content.shown()
        inset = (1 - CENTRAL) / 2 * (high - low + 1)
        begin, end = content.extent
        low = round(low + inset) if begin is None else low
        high = max(low, round(high - inset)) if end is None else high
        return low, high

    def scores(self, evidence: Evidence) -> Reals:
        """Return the voxels that each slice is expected to mend, by the voxels of the object.

        The expected errors of the slice itself, and of others the share that knowing it would mend
        (`influence`). Where nothing is in doubt, a billionth of the distance to the nearest known
        slice.
        """
        distance = distance_to_known(evidence.depth, evidence.known)
        errors = evidence.expected_errors()
        elsewhere = errors - np.minimum(errors, _lasting(evidence, distance))
        # The slice itself is set right as a whole.
        gain = influence(evidence.depth, evidence.sources) @ elsewhere + (errors - elsewhere)
        if not gain.any():
            return distance * 1e-9  # nothing is in doubt: the farthest slice is worth a look
        return np.asarray(gain / evidence.object_size(), dtype=float)


def _lasting(evidence: Evidence, distance: Reals) -> float:
    """Return the errors to expect in a slice whatever is known of others.

    Outlines are not drawn alike from slice to slice, so that some doubt stays even right beside a
    known slice. Only where the object's ends are known: beyond open ends doubt is of another kind,
    and choosing became no better by it.
    """
    beside = evidence.inside & (distance == 1)
    if evidence.extent == (None, None) or not beside.any():
        return 0.0
    return float(np.median(evidence.expected_errors()[beside]))
