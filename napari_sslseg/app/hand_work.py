"""Which corrections of a proposal come from operations on many slices alone.

*Smooth* in the whole volume, say, changes some voxels of nearly every slice. That makes none of
them a slice that the user has seen to, as a stroke or an operation in that very slice does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..editing.change import Change

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.project import Project
    from .history import History
    from .proposal_layer import ProposalLayer
    from .proposal_shelf import ProposalShelf

    Positions = npt.NDArray[np.integer]

#: Key in the project's settings: by the proposal's slug, slices along each axis.
_SETTING = "corrected_by_operations"

Slices = tuple[frozenset[int], ...]
"""Slices along each axis."""


@dataclass
class _Told:
    """What a step made of the record of a proposal; goes with the step."""

    work: HandWork
    slug: str
    before: Slices
    after: Slices
    nbytes: int = 0

    def undo(self) -> None:
        self.work._set(self.slug, self.before)

    def redo(self) -> None:
        self.work._set(self.slug, self.after)


class HandWork:
    """Follows the steps on all proposals; the record is kept in the project.

    Parameters
    ----------
    project : Project
    history : History
    shelf : ProposalShelf
    """

    def __init__(self, project: Project, history: History, shelf: ProposalShelf) -> None:
        self._project, self._history = project, history
        self._operation: Slices | None = None
        shelf.added.connect(self._take_up)

    def by_operations(self, slug: str, axis: int) -> frozenset[int]:
        """Return the slices of a proposal that operations on many slices alone have corrected."""
        return self._slices(slug)[axis]

    @contextmanager
    def operation(self, slices: Slices | None) -> Iterator[None]:
        """Say that the steps made inside are an operation on many slices.

        Parameters
        ----------
        slices : tuple of frozenset of int, or None
            From `first_corrected`; None for an operation on one slice, which counts as by hand.
        """
        self._operation = slices
        try:
            yield
        finally:
            self._operation = None

    def first_corrected(self, change: Change, proposal: ProposalLayer) -> Slices:
        """Return the slices in which a change, yet to be made, corrects for the first time.

        It takes time, so use a thread.
        """
        shape = proposal.proposed.shape
        before = [np.zeros(count, dtype=bool) for count in shape]
        for index in range(shape[0]):
            corrected = proposal.slice_of(0, index)[1]
            before[0][index] = corrected.any()
            before[1] |= corrected.any(axis=1)
            before[2] |= corrected.any(axis=0)
        touched = _touched(change.positions, shape)
        return tuple(
            frozenset(np.flatnonzero(now & ~earlier).tolist())
            for now, earlier in zip(touched, before, strict=True)
        )

    def _take_up(self, proposal: ProposalLayer) -> None:
        self._history.accompany(proposal.layer, partial(self._follow, proposal.slug))

    def _follow(self, slug: str, positions: Positions | None) -> Iterable[_Told]:
        before = self._slices(slug)
        if self._operation is not None:
            pairs = zip(before, self._operation, strict=True)
            after = tuple(own | new for own, new in pairs)
        elif positions is not None and any(before):
            touched = _touched(positions, self._project.info.shape)
            pairs_by_hand = zip(before, touched, strict=True)
            after = tuple(own.difference(np.flatnonzero(t).tolist()) for own, t in pairs_by_hand)
        else:
            return []
        if after == before:
            return []
        told = _Told(self, slug, before, after)
        told.redo()
        return [told]

    def _slices(self, slug: str) -> Slices:
        rows = self._project.settings.get(_SETTING, {}).get(slug, [[], [], []])
        return tuple(frozenset(row) for row in rows)

    def _set(self, slug: str, slices: Slices) -> None:
        known = self._project.settings.get(_SETTING, {})
        rows = [sorted(row) for row in slices]
        # New objects: the old ones may just be written by the thread that saves.
        self._project.settings = {**self._project.settings, _SETTING: {**known, slug: rows}}


def _touched(positions: Positions, shape: tuple[int, ...]) -> list[npt.NDArray[np.bool_]]:
    """Return which slices along each axis hold any of the places in an array laid flat."""
    found = []
    for axis, count in enumerate(shape):
        after = int(np.prod(shape[axis + 1 :]))
        found.append(np.bincount(positions // after % count, minlength=count) > 0)
    return found
