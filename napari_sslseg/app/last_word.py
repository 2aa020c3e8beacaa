"""Ink and corrections on the same voxel: the later of the two words counts.

A correction is where a proposal layer differs from what was proposed, so nothing in the arrays says
whether it came before or after ink on the same voxel. Therefore ink that is set over a correction
is written into the proposal too, as part of the same step: what differs from ink is always later
than the ink. Being in the arrays, the order outlives new versions and sessions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..volume.annotation import NOT_ANNOTATED

if TYPE_CHECKING:
    import numpy.typing as npt

    from .proposal_layer import ProposalLayer
    from .reference_layer import ReferenceLayer

    Positions = npt.NDArray[np.integer]


@dataclass
class _Overruled:
    """Corrections of one proposal that a step in References spoke over."""

    proposal: ProposalLayer
    ink: npt.NDArray[np.uint8]
    positions: Positions
    old: npt.NDArray[np.uint8]
    new: npt.NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.positions.nbytes + self.old.nbytes + self.new.nbytes)

    def undo(self) -> None:
        """Put the corrections back, but not over what the user has said there since."""
        now = self.proposal.flat[self.positions]
        back = (now == self.new) | ~self.proposal.corrected_at(self.positions)
        self.proposal.write_at(self.positions[back], self.old[back])

    def redo(self) -> None:
        """Let the ink speak over them again."""
        here = _overruled(self.proposal, self.ink, self.positions)
        self.proposal.write_at(here, _flat(self.ink)[here])


class LastWord:
    """Lets ink speak over the corrections that it is set over.

    Parameters
    ----------
    references : ReferenceLayer
    proposals : callable
        Returns the proposals that there are.
    """

    def __init__(
        self, references: ReferenceLayer, proposals: Callable[[], Iterable[ProposalLayer]]
    ) -> None:
        self._references, self._proposals = references, proposals

    def follow(self, positions: Positions | None) -> list[_Overruled]:
        """Write new ink into the proposals where they hold another correction.

        Parameters
        ----------
        positions : ndarray of int or None
            Places of the step in the volume laid flat. None where they are not known: nothing is
            done then, as corrections elsewhere may be later than the ink below them.

        Returns
        -------
        list
            What goes with the step, to be undone and done again with it.
        """
        if positions is None:
            return []
        ink, found = self._references.ink, []
        for proposal in self._proposals():
            here = _overruled(proposal, ink, positions)
            if here.size:
                made = _Overruled(proposal, ink, here, proposal.flat[here], _flat(ink)[here])
                proposal.write_at(here, made.new)
                found.append(made)
        return found


def _overruled(
    proposal: ProposalLayer, ink: npt.NDArray[np.uint8], positions: Positions
) -> Positions:
    """Return where, of these places, ink and a correction say different things."""
    said = _flat(ink)[positions]
    here = positions[(said != NOT_ANNOTATED) & (said != proposal.flat[positions])]
    return here[proposal.corrected_at(here)]


def stroke_positions(atoms: Any, shape: tuple[int, ...]) -> Positions | None:
    """Return the places that a stroke of napari's wrote to, in the array laid flat.

    Parameters
    ----------
    atoms : list
        Value of a labels layer's ``paint`` event: either indices with values, or masks in boxes.
    shape : tuple of int
        Of the layer's array.

    Returns
    -------
    ndarray of int or None
        Each place once, rising; None when napari says it in another way.
    """
    found = []
    for atom in atoms:
        try:
            if hasattr(atom, "slice_key"):
                box = zip(atom.slice_key, shape, strict=True)
                ranges = [np.arange(*key.indices(n)) for key, n in box]
                grid = np.ix_(*ranges)
                flat = np.ravel_multi_index(np.broadcast_arrays(*grid), shape)
                found.append(flat.ravel() if atom.mask is None else flat[atom.mask])
            else:
                indices = np.broadcast_arrays(*(np.atleast_1d(i) for i in atom[0]))
                found.append(np.ravel_multi_index(tuple(indices), shape).ravel())
        except (AttributeError, IndexError, TypeError, ValueError):
            return None
    return np.unique(np.concatenate(found)) if found else np.empty(0, dtype=np.int64)


def _flat(array: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return array.reshape(-1)  # a view: all these arrays are in C order
