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

#: Beyond the outermost known slice, and most of all close to it, the confidence expects too many
#: errors. At d slices from it they count by d / (d + OPEN_END * depth).
OPEN_END = 1 / 20


class ErrorReduction(Strategy):
    """Sum over all slices of the expected errors that knowing one slice would mend.

    It may leave the extent of the object: an empty slice just past an end tells where the object
    stops, and keeps the labels from being carried on.
    """

    name: ClassVar[str] = "error-reduction"

    def first(self, content: Content, wanted: int) -> list[int]:
        """Spread slices over the central part of what is shown, the middle one first."""
        low, high = content.shown()
        if content.extent is None:
            inset = (1 - CENTRAL) / 2 * (high - low + 1)
            low, high = round(low + inset), max(round(low + inset), round(high - inset))
        chosen = from_the_middle(evenly(low, high, wanted))
        # When more are wanted than the central part has:
        first, last = content.shown()
        rest = [z for z in from_the_middle(list(range(first, last + 1))) if z not in chosen]
        return [*chosen, *rest[: max(0, wanted - len(chosen))]]

    def scores(self, evidence: Evidence) -> Reals:
        """Return the voxels that each slice is expected to mend, as a share of the object."""
        distance = distance_to_known(evidence.depth, evidence.known)
        gain = influence(evidence.depth, evidence.known) @ _set_right(evidence, distance)
        if not gain.any():
            return distance * 1e-9  # nothing is in doubt: the farthest slice is worth a look
        return np.asarray(gain / evidence.object_size(), dtype=float)


def _set_right(evidence: Evidence, distance: Reals) -> Reals:
    errors = evidence.expected_errors()
    if not evidence.known:
        return errors
    slices = np.arange(evidence.depth)
    outside = (slices < min(evidence.known)) | (slices > max(evidence.known))
    trust = distance / (distance + OPEN_END * evidence.depth)
    return np.where(outside, errors * trust, errors)
