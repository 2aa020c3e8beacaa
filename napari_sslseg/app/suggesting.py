"""Which slice to correct next, from what is open in the proposal in view, and going there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from ..acquisition.evidence import Evidence
from ..acquisition.registry import create
from .axis_words import slice_word
from .orientation_letters import slice_ends

if TYPE_CHECKING:
    from ..acquisition.suggestion import Suggestion
    from .session import Session

_COUNTING = "One moment: what is still open is being counted."


def suggest(session: Session) -> Suggestion | None:
    """Return the slice whose correction would help most.

    None while nothing is counted, and when every slice of the object is known.
    """
    evidence = evidence_of(session)
    found = create().rank(evidence) if evidence is not None else []
    return found[0] if found else None


def evidence_of(session: Session) -> Evidence | None:
    """Return what the proposal in view tells of each slice; None while nothing is counted."""
    counts = session.shelf.counts()
    if counts is None:
        return None
    return Evidence(
        counts.regions,
        tuple(session.references.references()),
        counts.doubt,
        counts.areas,
        extent=session.project.extent.ends,
        current=session.references.current_slice(),
        ends=slice_ends(session.image, counts.axis),
    )


class NextSlice:
    """Goes to the slice that is suggested, as soon as the proposal in view is counted.

    Parameters
    ----------
    session : Session
    """

    said = Signal(str)
    """Which slice it is and why, or why there is none."""

    def __init__(self, session: Session) -> None:
        self._session = session
        #: The slice in view when a count had to be waited for, and what was said before.
        self._waiting: tuple[int, str] | None = None
        session.shares_changed.connect(self._on_counted)
        session.shelf.open_counts.failed.connect(self._on_failed)

    def go(self, before: str = "") -> None:
        """Go there, now or when it is counted what is open.

        Parameters
        ----------
        before : str, optional
            A sentence that stays to be read unless a slice is gone to.
        """
        session, self._waiting = self._session, None
        if session.shelf.counts() is None:
            self._waiting = session.references.current_slice(), before
            session.shelf.recount()
            self._say(before, _COUNTING)
            return
        suggestion = session.suggest()
        if suggestion is None:
            what = "slice of the object" if session.extent.said else "slice"
            self._say(before, f"Every {what} is known: export in step 5.")
            return
        session.go_to(suggestion.index)
        word = slice_word(session.image, session.project.axis)
        self.said.emit(f"{word} {suggestion.index}: {suggestion.reason}.")

    def _on_counted(self, slug: str, shares: dict[str, float]) -> None:
        if self._waiting is None or self._session.shelf.counts() is None:
            return
        (index, before), self._waiting = self._waiting, None
        # Who went elsewhere meanwhile, or draws, is not taken away from there.
        if index == self._session.references.current_slice() and not self._session.history.drawing:
            self.go(before)
        else:
            self.said.emit(before)

    def _on_failed(self, error: Exception) -> None:
        if self._waiting is not None:
            (_, before), self._waiting = self._waiting, None
            self._say(before, "What is still open could not be counted; try again.")

    def _say(self, *sentences: str) -> None:
        self.said.emit(" ".join(sentence for sentence in sentences if sentence))
