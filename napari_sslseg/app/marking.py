"""Slices that become references: accepted, or marked, and what marking would make background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import NOT_ANNOTATED, SliceState
from ..volume.classes import BACKGROUND
from .axis_words import slice_word

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class AtStake:
    """An object that is shown in a slice, and that marking the slice would make background.

    Parameters
    ----------
    axis, index : int
        The slice.
    spoken : bool
        Whether the user has painted an object there, in References or in the proposal.
    """

    axis: int
    index: int
    spoken: bool


def at_stake(session: Session, index: int) -> AtStake | None:
    """Return what marking a slice would take from the picture.

    Returns
    -------
    AtStake or None
        None where the proposal in view shows no object that nobody has spoken of, or a smaller one
        than the user has painted: who outlined the object means the rest to be background.

    Raises
    ------
    NotNowError
        While corrections are still being read.
    """
    references, proposal = session.references, session.shelf.in_view()
    if proposal is None:
        return None
    ink = references.slice_ink(index)
    words = ink if references.words_in is None else references.words_in(index)
    said = np.where(words == NOT_ANNOTATED, ink, words)
    shown, _ = proposal.slice_of(references.axis, index)
    lost = int(np.count_nonzero((said == NOT_ANNOTATED) & (shown != BACKGROUND)))
    painted = int(np.count_nonzero((said != NOT_ANNOTATED) & (said != BACKGROUND)))
    return AtStake(references.axis, index, painted > 0) if lost > painted else None


def shows_object(session: Session, index: int) -> bool:
    """Whether ink shows an object in a slice along the slicing axis."""
    return bool(session.references.index.present[index, BACKGROUND + 1 : NOT_ANNOTATED].any())


def accept(session: Session, index: int) -> str:
    """Accept a slice of the proposal in view, and return what has become of it.

    Raises
    ------
    ValueError
        As of `Accepting.accept`.
    """
    known = session.references.states[index] == SliceState.WHOLE
    changed = session.accept_slice(index)
    name = f"{slice_word(session.image, session.project.axis)} {index}"
    if known and not changed:
        return f"{name} stays as you labelled it."
    empty = "" if shows_object(session, index) else ": all of it is background"
    became = "has what you corrected since" if known else "is a reference now"
    return f"{name} {became}{empty}. Undo: Ctrl+Z."
