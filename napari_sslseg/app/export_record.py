"""What is known of a session's labels, for the record beside an export."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..formats.provenance import ImageIdentity, Provenance
from .estimated_classes import estimate_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..volume.geometry import CanonicalOrder
    from .final_labels import FinalLabels
    from .session import Session


class SessionFacts:
    """A snapshot of a session, made on the GUI thread and turned into a record in another one.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        project = session.project
        proposal = session.proposals.get(session.active)
        estimate = session.estimates.get(session.active)
        self._info = project.info
        self._axis = project.axis
        self._rounds = len(project.rounds)
        self._proposal: dict[str, Any] = {}
        if proposal is not None:
            self._proposal = {
                "name": proposal.name,
                "version": proposal.version,
                "info": dict(proposal.info),
            }
        self._estimate = None if estimate is None else estimate_record(estimate, session.classes)

    def provenance(self, order: CanonicalOrder, final: FinalLabels) -> Provenance:
        """Return the record of labels that are written in the order of a file."""
        info = self._info
        return Provenance(
            ImageIdentity.of(order.source, info.digest, info.channels),
            image_name=info.name,
            origins=final.origins,
            accepted=self._slices(order, final.accepted),
            references=self._slices(order, final.references),
            proposal=self._proposal,
            estimate=self._estimate,
            rounds=self._rounds,
        )

    def _slices(self, order: CanonicalOrder, slices: Iterable[int]) -> dict[str, Any]:
        """Return slices along the slicing axis as the file counts them."""
        last = order.shape[self._axis] - 1
        flipped = order.flips[self._axis]
        return {
            "axis": order.permutation[self._axis],
            "slices": sorted(last - index if flipped else index for index in slices),
        }
