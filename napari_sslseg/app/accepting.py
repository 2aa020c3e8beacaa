"""Accepting slices of a proposal, and how much had to be changed in them before."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..editing.agreement import dice_by_class
from ..volume.annotation import NOT_ANNOTATED, latest
from ..volume.project import AcceptedSlice

if TYPE_CHECKING:
    import numpy.typing as npt

    from ..volume.project import Project
    from .proposal_shelf import ProposalShelf
    from .reference_layer import ReferenceLayer

#: Key in the project's settings.
_SETTING = "corrective_dice"


@dataclass(frozen=True)
class CorrectiveDice:
    """Dice of what was proposed against what the user made of it.

    Parameters
    ----------
    axis, index : int
        The slice.
    proposal : str
        Slug.
    round : int
        Training rounds before it was accepted.
    dice : dict of str to float
        By class id; of classes that occur in the slice.
    """

    axis: int
    index: int
    proposal: str
    round: int
    dice: dict[str, float] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean over the classes; 1 for a slice that was rightly empty."""
        return float(np.mean(list(self.dice.values()))) if self.dice else 1.0


@dataclass(frozen=True)
class _Entry:
    """What the project's record says of one slice."""

    accepted: AcceptedSlice
    score: dict[str, Any] | None


@dataclass
class _Recorded:
    """A change of the record of one slice, that goes with a step in References."""

    write: Callable[[tuple[int, int], _Entry | None], None]
    place: tuple[int, int]
    before: _Entry | None
    after: _Entry | None
    nbytes: int = 0

    def undo(self) -> None:
        """Let the record say what it said before."""
        self.write(self.place, self.before)

    def redo(self) -> None:
        """Let the record say it again."""
        self.write(self.place, self.after)


class Accepting:
    """Turns slices of the proposal in view into references.

    The record of what was accepted goes with the steps in References: an undo takes an acceptance
    out of it, and a slice that is no longer wholly annotated leaves it.

    Parameters
    ----------
    project : Project
    references : ReferenceLayer
    shelf : ProposalShelf
    save : callable
        Saves the ink and then the project's head, soon: a record without its ink would be false.
    """

    def __init__(
        self,
        project: Project,
        references: ReferenceLayer,
        shelf: ProposalShelf,
        save: Callable[[], None],
    ) -> None:
        self._project, self._references, self._shelf = project, references, shelf
        self._save = save
        self._drop_open()

    def accept(self, index: int) -> int:
        """Copy a slice of the proposal in view into References; one undo step there.

        Where References is inked already it stays, unless the user has corrected the proposal
        just there since: the correction is the later word (see `LastWord`).

        Returns
        -------
        int
            Number of voxels that changed in References.

        Raises
        ------
        ValueError
            When there is no proposal yet, or a stroke is being drawn; nothing is done then.
        """
        proposal = self._shelf.in_view()
        if proposal is None:
            raise ValueError("There is no proposal to accept from yet; press Train first.")
        project, axis = self._project, self._project.axis
        classes, corrected = proposal.slice_of(axis, index)
        ink = self._references.slice_ink(index)
        values = latest(ink, classes, corrected)
        proposed = np.moveaxis(proposal.proposed, axis, 0)[index]
        # What was ink before the proposal was made is no merit of the proposal.
        judged = np.moveaxis(proposal.regions, axis, 0)[index] > 0
        rounds = len(project.rounds)
        scores = {str(k): round(v, 4) for k, v in _dice(proposed, values, judged).items()}
        score = asdict(CorrectiveDice(axis, index, proposal.slug, rounds, scores))
        place = (axis, index)
        before = self._entry(place)
        after = _Entry(AcceptedSlice(axis, index, proposal.slug, rounds), score)
        also = [] if after == before else [_Recorded(self._record, place, before, after)]
        # All of the slice is said anew, also over corrections of a proposal that is not in view.
        said = np.ones(values.shape, dtype=bool)
        return self._references.write_slice(index, values, f"accepting slice {index}", also, said)

    def follow(self, positions: npt.NDArray[np.integer] | None) -> Iterable[_Recorded]:
        """Take slices out of the record that a step in References has opened again.

        Parameters
        ----------
        positions : ndarray of int or None
            Places of the step in the volume laid flat; None where they are not known.
        """
        ink, found = self._references.ink, []
        for row in list(self._project.accepted):
            place = (row.axis, row.index)
            if positions is not None:
                after = int(np.prod(ink.shape[row.axis + 1 :]))
                if not ((positions // after) % ink.shape[row.axis] == row.index).any():
                    continue
            if not self._whole(place):
                made = _Recorded(self._record, place, self._entry(place), None)
                made.redo()
                found.append(made)
        return found

    def accepted_slices(self) -> list[int]:
        """Slices along the current axis that were accepted and still are references."""
        known = set(self._references.references())
        axis = self._project.axis
        return sorted({a.index for a in self._project.accepted if a.axis == axis} & known)

    def corrective_dice(self) -> list[CorrectiveDice]:
        """Return what the slices scored that are still accepted, by round and slice."""
        standing = set(self.accepted_slices())
        rows = [CorrectiveDice(**row) for row in self._project.settings.get(_SETTING, [])]
        axis = self._project.axis
        found = [r for r in rows if r.axis == axis and r.index in standing]
        return sorted(found, key=lambda r: (r.round, r.index))

    def _drop_open(self) -> None:
        """Take slices out of the record that are not whole, as the ink was lost with a crash."""
        references = self._references
        for row in list(self._project.accepted):
            place = (row.axis, row.index)
            # What is known already need not be looked for in a large volume.
            known = row.axis == references.axis and row.index in references.references()
            if not (known or self._whole(place)):
                self._record(place, None)

    def _whole(self, place: tuple[int, int]) -> bool:
        """Whether all of a slice is annotated."""
        axis, index = place
        ink = self._references.ink
        inside = 0 <= index < ink.shape[axis]
        return inside and bool((np.moveaxis(ink, axis, 0)[index] != NOT_ANNOTATED).all())

    def _entry(self, place: tuple[int, int]) -> _Entry | None:
        """Return what the record says of a slice."""
        for row in self._project.accepted:
            if (row.axis, row.index) == place:
                scores = self._project.settings.get(_SETTING, [])
                mine = [s for s in scores if (s["axis"], s["index"]) == place]
                return _Entry(row, mine[0] if mine else None)
        return None

    def _record(self, place: tuple[int, int], entry: _Entry | None) -> None:
        """Let the record say this of a slice, and nothing else."""
        project = self._project
        accepted = [a for a in project.accepted if (a.axis, a.index) != place]
        scores = [
            row
            for row in project.settings.get(_SETTING, [])
            if (row["axis"], row["index"]) != place
        ]
        if entry is not None:
            accepted.append(entry.accepted)
            if entry.score is not None:
                scores.append(entry.score)
        # New objects: the old ones may just be written by the thread that saves.
        project.accepted = accepted
        project.settings = {**project.settings, _SETTING: scores}
        self._save()


def _dice(proposed: Any, accepted: Any, judged: Any) -> dict[int, float]:
    if not judged.any():
        return {}
    return dice_by_class(proposed[judged], accepted[judged])
