"""The mask to export: ink where there is any, else a proposal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED

if TYPE_CHECKING:
    import numpy.typing as npt

    from .proposal_layer import ProposalLayer
    from .reference_layer import ReferenceLayer

#: Times that the mask is made afresh because the user went on painting meanwhile.
_TRIES = 5


def labels_maker(
    references: ReferenceLayer, proposal: ProposalLayer | None
) -> Callable[[], npt.NDArray[np.uint8]]:
    """Return a function that makes the mask, for a thread.

    The mask is that of the layers as they are now: a newer version of the proposal that comes in
    meanwhile is not in it. It is made again when a stroke was painted meanwhile, so that a stroke
    is in it as a whole or not at all (unless the user paints without a pause).
    """
    ink = references.ink
    base = proposal.layer.data if proposal is not None else None

    def serial() -> tuple[int, int]:
        return references.serial, proposal.serial if proposal is not None else 0

    def make() -> npt.NDArray[np.uint8]:
        labels = np.zeros_like(ink)
        for _ in range(_TRIES):
            before = serial()
            for z in range(ink.shape[0]):
                proposed = np.uint8(0) if base is None else base[z]
                labels[z] = np.where(ink[z] != NOT_ANNOTATED, ink[z], proposed)
            if serial() == before:
                break
        return labels

    return make
