"""Accepting slices of a proposal, and how much had to be changed in them before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..editing.agreement import dice_by_class
from ..volume.annotation import NOT_ANNOTATED
from ..volume.project import AcceptedSlice

if TYPE_CHECKING:
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


class Accepting:
    """Turns slices of the proposal in view into references.

    Parameters
    ----------
    project : Project
    references : ReferenceLayer
    shelf : ProposalShelf
    save_head : callable
        Saves the project's head.
    """

    def __init__(
        self,
        project: Project,
        references: ReferenceLayer,
        shelf: ProposalShelf,
        save_head: Callable[[], None],
    ) -> None:
        self._project, self._references, self._shelf = project, references, shelf
        self._save_head = save_head

    def accept(self, index: int) -> int:
        """Copy a slice of the proposal in view into References; one undo step there.

        Where References is inked already it stays, unless the user has corrected the proposal
        just there: the correction is the later word.

        Returns
        -------
        int
            Number of voxels that changed in References.

        Raises
        ------
        ValueError
            When there is no proposal yet.
        """
        proposal = self._shelf.in_view()
        if proposal is None:
            raise ValueError("There is no proposal to accept from yet; press Train first.")
        project, axis = self._project, self._project.axis
        classes, corrected = proposal.slice_of(axis, index)
        ink = self._references.slice_ink(index)
        values = np.where((ink == NOT_ANNOTATED) | corrected, classes, ink).astype(np.uint8)
        proposed = np.moveaxis(proposal.proposed, axis, 0)[index]
        # What was ink before the proposal was made is no merit of the proposal.
        judged = np.moveaxis(proposal.regions, axis, 0)[index] > 0
        rounds = len(project.rounds)
        project.accepted = [a for a in project.accepted if (a.axis, a.index) != (axis, index)]
        project.accepted.append(AcceptedSlice(axis, index, proposal.slug, rounds))
        scores = {str(k): round(v, 4) for k, v in _dice(proposed, values, judged).items()}
        self._remember(CorrectiveDice(axis, index, proposal.slug, rounds, scores))
        changed = self._references.write_slice(index, values, f"accepting slice {index}")
        self._save_head()
        return changed

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

    def _remember(self, score: CorrectiveDice) -> None:
        rows: list[dict[str, Any]] = [
            row
            for row in self._project.settings.get(_SETTING, [])
            if (row["axis"], row["index"]) != (score.axis, score.index)
        ]
        # A new dictionary: the old one may just be written by the thread that saves.
        self._project.settings = {**self._project.settings, _SETTING: [*rows, asdict(score)]}


def _dice(proposed: Any, accepted: Any, judged: Any) -> dict[int, float]:
    if not judged.any():
        return {}
    return dice_by_class(proposed[judged], accepted[judged])
