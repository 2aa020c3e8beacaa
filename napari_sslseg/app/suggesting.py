"""Which slice to correct next, from what is open in the proposal in view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..acquisition.evidence import Evidence
from ..acquisition.registry import create
from .orientation_letters import slice_ends

if TYPE_CHECKING:
    from ..acquisition.suggestion import Suggestion
    from .session import Session


def suggest(session: Session) -> Suggestion | None:
    """Return the slice whose correction would help most; None while nothing is counted."""
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
