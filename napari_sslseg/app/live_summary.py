"""What the list of volumes tells of the one in view, from what is on the screen, and its names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from ..volume.annotation import SliceState
from ..volume.classes import BACKGROUND
from ..volume.cohort import VolumeSummary

if TYPE_CHECKING:
    from .session import Session


def live_summary(session: Session, key: str) -> VolumeSummary:
    """Return the summary of the volume in view, as it stands.

    Parameters
    ----------
    session : Session
    key : str
        Of its volume.
    """
    references, info = session.references, session.project.info
    states = references.states
    return VolumeSummary(
        key,
        info.name,
        info.source,
        len(states),
        int(np.count_nonzero(states == SliceState.WHOLE)),
        int(np.count_nonzero(states == SliceState.PARTIAL)),
        len(session.accepted_slices()),
        bool(session.proposals),
        frozenset(int(i) for i in references.index.painted() if i != BACKGROUND),
    )


def name_in(summaries: Iterable[VolumeSummary], key: str, otherwise: str) -> str:
    """Return what the list calls a volume, which tells it from others of the same name."""
    return next((summary.name for summary in summaries if summary.key == key), otherwise)
