"""Label values that are painted without a class become classes, whatever way they came in by.

napari's own controls offer every number, and a redo may bring back voxels of a class that was
removed meanwhile. So what is painted has a name: it is listed, exported, and never named by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from .history import Companion, History, Step
    from .proposal_layer import ProposalLayer
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer

    Positions = npt.NDArray[np.integer]


class ClassMeeting:
    """Looks at what is painted, in References and in proposals.

    Parameters
    ----------
    references : ReferenceLayer
    shelf : ProposalShelf
    history : History
    meet : callable
        Makes classes of label values that have none.
    """

    def __init__(
        self,
        references: ReferenceLayer,
        shelf: ProposalShelf,
        history: History,
        meet: Callable[[Iterable[int]], object],
    ) -> None:
        self._references, self._shelf, self._history = references, shelf, history
        self._meet = meet
        references.changed.connect(self._in_ink)
        shelf.added.connect(self._take_up)
        history.moved.connect(self._on_moved)
        history.accompany(references.layer, partial(self._in_step, references))
        self._in_ink()

    def _in_ink(self) -> None:
        self._meet(self._references.index.painted().tolist())

    def _take_up(self, proposal: ProposalLayer) -> None:
        self._meet(proposal.known_ids)
        self._history.accompany(proposal.layer, partial(self._in_step, proposal))

    def _in_step(
        self, painted: ProposalLayer | ReferenceLayer, positions: Positions | None
    ) -> Iterable[Companion]:
        if positions is not None:
            self._meet(_values(painted.layer.data.reshape(-1)[positions]))
        return ()

    def _on_moved(self, step: Step, again: bool) -> None:
        """Look at the slice where something was undone or done again in a proposal."""
        for proposal in self._shelf.layers.values():
            if proposal.layer is step.layer and step.place is not None:
                edited, corrected = proposal.slice_of(*step.place)
                self._meet(_values(edited[corrected]))


def _values(labels: npt.NDArray[np.uint8]) -> list[int]:
    found: list[int] = np.flatnonzero(np.bincount(labels, minlength=1)).tolist()
    return found
