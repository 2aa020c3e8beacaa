"""How far a run is: one bar, of which each phase has its part."""

from __future__ import annotations

from collections.abc import Mapping

from .events import Emit, Progress
from .facts import Phase

#: Where on the bar each phase begins and ends.
Spans = Mapping[Phase, tuple[float, float]]

#: Of a run in memory: what it does with a network is told by the time that it is given.
WHOLE: Spans = {
    Phase.MATCHING: (0.01, 0.05),
    Phase.TESTING_MATCHING: (0.05, 0.15),
    Phase.TESTING_NETWORK: (0.0, 1.0),
    Phase.TRAINING: (0.0, 1.0),
    Phase.PROPOSING: (0.93, 1.0),
}

#: Of a run in blocks, without and with training.
BLOCKS_MATCHED: Spans = {
    Phase.READING: (0.0, 0.05),
    Phase.MATCHING: (0.05, 0.75),
    Phase.WRITING: (0.75, 0.85),
    Phase.TESTING_MATCHING: (0.85, 1.0),
}
BLOCKS_TRAINED: Spans = {
    Phase.READING: (0.0, 0.03),
    Phase.MATCHING: (0.03, 0.35),
    Phase.WRITING: (0.35, 0.4),
    Phase.TESTING_MATCHING: (0.4, 0.5),
    Phase.TESTING_NETWORK: (0.5, 0.75),
    Phase.TRAINING: (0.5, 0.75),
    Phase.PROPOSING: (0.75, 0.9),
}

#: Part of the bar of writing each further proposal: those of the network come last.
_REWRITTEN = 0.05

#: Smaller moves are not told.
_LEAST = 1e-3


class ProgressBar:
    """Tells how far a run is; the bar never moves back.

    Parameters
    ----------
    spans : mapping of Phase to two floats
        A phase that has no part, such as the last one, fills the bar.
    emit : callable
        Receives `Progress` events.
    """

    def __init__(self, spans: Spans, emit: Emit) -> None:
        self._spans, self._emit = spans, emit
        self._at = 0.0
        self._written = 0

    def tell(self, phase: Phase, fraction: float, left: float | None) -> None:
        """Tell how much of a phase is done.

        Parameters
        ----------
        phase : Phase
        fraction : float
            Done of it; what is not in [0, 1] counts as the nearer end.
        left : float or None
            Seconds that are left of the time given; None where none is told. They are told however
            little the bar moves.
        """
        low, high = self._part(phase)
        share = max(self._at, low + (high - low) * min(max(fraction, 0.0), 1.0))
        moved = share > self._at + _LEAST
        if moved or fraction == 0 or left is not None or phase not in self._spans:
            self._at = share
            self._emit(Progress(phase, round(share, 4), left))

    def wrote(self) -> None:
        """Count a proposal that has been written: the next one has a later part of the bar."""
        self._written += 1

    def _part(self, phase: Phase) -> tuple[float, float]:
        if phase == Phase.WRITING and self._written:
            low = min(0.9 + _REWRITTEN * (self._written - 1), 1.0 - _REWRITTEN)
            return low, low + _REWRITTEN
        return self._spans.get(phase, (1.0, 1.0))
