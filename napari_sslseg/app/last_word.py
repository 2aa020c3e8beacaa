"""Ink and corrections on the same voxel: the later of the two words counts.

A correction is where a proposal layer differs from what was proposed, so nothing in the arrays says
whether it came before or after ink on the same voxel. Therefore ink that is set over a correction
is written into the proposal too, as part of the same step: what differs from ink is always later
than the ink. Being in the arrays, the order outlives new versions and sessions. A correction that
is set over one of another proposal is written into that one in the same way: of two proposals that
speak of a voxel none says what the user has taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from ..volume.annotation import NOT_ANNOTATED
from .reference_layer import NotNowError

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.inkstore import InkStore
    from .history import Companion, History
    from .proposal_layer import ProposalLayer
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer
    from .unread import Corrected

    Positions = npt.NDArray[np.integer]


#: Voxels up to which a stroke that napari describes in an unknown way is looked for.
_SEARCHED = 4_000_000


@dataclass(eq=False)
class _Overruled:
    """Corrections of one proposal that a step in another layer spoke over."""

    #: Asked each time: of a damaged proposal a new version may have come.
    find: Callable[[], Corrected | None]
    speaker: ProposalLayer | None
    said: Callable[[], npt.NDArray[np.uint8]]
    positions: Positions
    old: npt.NDArray[np.uint8]
    new: npt.NDArray[np.uint8]
    done: bool = True

    def __post_init__(self) -> None:
        #: Where no later stroke said the same: there this step alone speaks.
        self.alone = np.ones(self.positions.size, dtype=np.bool_)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        own = self.positions.nbytes + self.alone.nbytes
        return int(own + self.old.nbytes + self.new.nbytes)

    def undo(self) -> None:
        """Put the corrections back, but not over what the user has said there since."""
        self.done = False
        if (proposal := self.find()) is not None:
            now = proposal.flat[self.positions]
            back = (now == self.new) | ~proposal.corrected_at(self.positions)
            back &= self.alone
            proposal.write_at(self.positions[back], self.old[back])

    def redo(self) -> None:
        """Let the step speak over them again."""
        self.done = True
        if (proposal := self.find()) is not None:
            said = self.said()
            here = _overruled(proposal, said, self.positions[self.alone])
            proposal.write_at(here, said[here])

    def within(self, positions: Positions) -> npt.NDArray[np.intp]:
        """Return which of its places that no later stroke went over are among these, rising."""
        mine = self.positions
        if not positions.size or positions[-1] < mine[0] or positions[0] > mine[-1]:
            return np.empty(0, dtype=np.intp)
        next_to = np.minimum(np.searchsorted(positions, mine), positions.size - 1)
        return np.flatnonzero(self.alone & (positions[next_to] == mine))


@dataclass
class _Repeated:
    """Places of an overruled correction where a later stroke went; goes with the stroke.

    Whatever is undone of what came before it, what it said stays said. Nothing in the arrays tells
    it from what was written there by the step that overruled the correction.
    """

    overruled: _Overruled
    which: npt.NDArray[np.intp]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.which.nbytes)

    def undo(self) -> None:
        """Let the earlier step alone speak there."""
        self.overruled.alone[self.which] = True

    def redo(self) -> None:
        """Let the stroke speak there too."""
        self.overruled.alone[self.which] = False


@dataclass
class _Early:
    """A step that was made before all proposals had been read from disk."""

    positions: Positions
    speak_over: Callable[[Corrected, Positions], list[_Overruled]]
    done: bool = True
    late: list[Corrected] = field(default_factory=list)
    parts: list[_Overruled] = field(default_factory=list)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.positions.nbytes) + sum(part.nbytes for part in self.parts)

    def settle(self, proposal: Corrected) -> None:
        """Let the step speak over the corrections of a proposal that has come."""
        if self.done:
            self.parts += self.speak_over(proposal, self.positions)
        else:
            self.late.append(proposal)

    def undo(self) -> None:
        """Put the corrections back."""
        self.done = False
        for part in self.parts:
            part.undo()

    def redo(self) -> None:
        """Let the step speak over them again."""
        self.done = True
        for part in self.parts:
            part.redo()
        late, self.late = self.late, []
        for proposal in late:
            self.settle(proposal)


class LastWord:
    """Lets each step of the user's speak over the corrections that it is set over.

    Parameters
    ----------
    references : ReferenceLayer
    shelf : ProposalShelf
        Whose proposals there are, and which are still being read.
    history : History
        Whose steps it goes with.
    saved : InkStore
        Of References; tells where a stroke was that napari describes in an unknown way.
    """

    def __init__(
        self, references: ReferenceLayer, shelf: ProposalShelf, history: History, saved: InkStore
    ) -> None:
        self._references, self._shelf, self._history = references, shelf, history
        self._saved = saved
        self._early: list[_Early] = []
        #: All that the steps hold; what the history has dropped is gone from here too.
        self._standing: WeakSet[_Overruled] = WeakSet()
        history.accompany(references.layer, self.follow)
        references.words_in = self.words_in
        shelf.added.connect(self._take_up)
        shelf.unread.settled.connect(self._settle)

    def follow(self, positions: Positions | None) -> list[Companion]:
        """Write new ink into the proposals where they hold another correction.

        Parameters
        ----------
        positions : ndarray of int or None
            Places of the step in the volume laid flat. None where they are not known: then it is
            what has not been saved yet, at most some seconds' work. In a large volume, where that
            takes long to find, nothing is done, as corrections elsewhere may be later than the ink
            below them.

        Returns
        -------
        list
            What goes with the step, to be undone and done again with it.
        """
        if positions is None:
            if self._references.ink.size > _SEARCHED:
                return []
            positions = self._saved.changed_since(self._references.ink)
        return self._speak(lambda: _flat(self._references.ink), positions, None)

    def words_in(self, index: int) -> npt.NDArray[np.uint8]:
        """Return the corrections in a slice, 255 where there are none.

        Parameters
        ----------
        index : int
            Along the slicing axis.

        Raises
        ------
        NotNowError
            While some have not been read, and once of those that cannot be.
        """
        if reason := self._shelf.unread.before_marking():
            raise NotNowError(f"Nothing was changed: {reason}")
        axis, shown = self._references.axis, self._shelf.in_view()
        words = np.full(self._references.slice_ink(index).shape, NOT_ANNOTATED, dtype=np.uint8)
        # Where two proposals hold one, they hold the same, unless they were never there together.
        for proposal in sorted(self._shelf.all(), key=lambda one: one is shown):
            found = proposal.corrections()[(slice(None),) * axis + (index,)]
            np.copyto(words, found, where=found != NOT_ANNOTATED)
        return words

    def _take_up(self, proposal: ProposalLayer) -> None:
        """Let the strokes in a new proposal speak, and those before it was there."""
        self._history.accompany(proposal.layer, partial(self._follow_correction, proposal))
        proposal.replaced = partial(self._history.written_over, proposal.layer)
        self._settle(proposal)

    def _settle(self, proposal: Corrected) -> None:
        for step in self._early:
            step.settle(proposal)
        if not self._shelf.unread.missing:
            self._early.clear()

    def _follow_correction(
        self, proposal: ProposalLayer, positions: Positions | None
    ) -> list[Companion]:
        if positions is None:
            return []
        return self._speak(lambda: proposal.flat, positions, proposal)

    def _speak(
        self,
        said: Callable[[], npt.NDArray[np.uint8]],
        positions: Positions,
        speaker: ProposalLayer | None,
    ) -> list[Companion]:
        found: list[Companion] = [*self._repeat(said(), positions, speaker)]
        speak_over = partial(self._speak_over, said, speaker)
        for proposal in self._shelf.all():
            if proposal is not speaker:
                found += speak_over(proposal, positions)
        if self._shelf.unread.missing:
            self._early.append(_Early(positions, speak_over))
            found.append(self._early[-1])
        return found

    def _repeat(
        self,
        words: npt.NDArray[np.uint8],
        positions: Positions,
        speaker: ProposalLayer | None,
    ) -> list[_Repeated]:
        """Take note of where a step says the same as one that overruled a correction there."""
        found = []
        for before in list(self._standing):
            if not before.done or before.speaker is speaker:
                continue
            which = before.within(positions)
            which = which[words[before.positions[which]] != NOT_ANNOTATED]
            if which.size:
                found.append(_Repeated(before, which))
                found[-1].redo()
        return found

    def _speak_over(
        self,
        said: Callable[[], npt.NDArray[np.uint8]],
        speaker: ProposalLayer | None,
        proposal: Corrected,
        positions: Positions,
    ) -> list[_Overruled]:
        """Write what was said into a proposal where it holds another correction."""
        words = said()
        here = _overruled(proposal, words, positions)
        if not here.size:
            return []
        find = partial(self._find, proposal.slug)
        made = _Overruled(find, speaker, said, here, proposal.flat[here], words[here])
        self._standing.add(made)
        proposal.write_at(here, made.new)
        return [made]

    def _find(self, slug: str) -> Corrected | None:
        return next((one for one in self._shelf.all() if one.slug == slug), None)


def _overruled(
    proposal: Corrected, words: npt.NDArray[np.uint8], positions: Positions
) -> Positions:
    """Return where, of these places, a correction says something else."""
    said = words[positions]
    here = positions[(said != NOT_ANNOTATED) & (said != proposal.flat[positions])]
    return here[proposal.corrected_at(here)]


def _flat(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return array.reshape(-1)  # a view: all these arrays are in C order
