"""The first half of a run: labels are propagated from the references, and that is judged."""

from __future__ import annotations

from torch import Tensor

from ..methods.one_thread import one_thread
from ..methods.propagation import Propagation, Renewal, propagate
from ..methods.voxel_evidence import Predictions
from . import estimate as quality
from .facts import Phase
from .judge import raised_read
from .kept_matching import KeptMatching
from .proposing import REFERENCE_GUIDED, Proposing
from .run_context import RunContext
from .telling import Telling
from .way_back import came_back, half_way

#: Share of the budget after which no further reference is left out in turn.
LEAVE_OUT_SHARE = 0.25

#: Seconds of an update after which none is: the next update may be waiting.
LEAVE_OUT_SECONDS = 8.0


class MatchingStage:
    """Matches the references, proposes what comes of it, and estimates how good it is.

    Parameters
    ----------
    run : RunContext
    proposing : Proposing
    telling : Telling
    """

    def __init__(self, run: RunContext, proposing: Proposing, telling: Telling) -> None:
        self._run, self._proposing, self._telling = run, proposing, telling
        self._without_middle: Propagation | None = None

    def match(self) -> tuple[Propagation, Tensor]:
        """Propose what the references say; in an update, only what changes where that takes long.

        Returns
        -------
        Propagation
        Tensor, (Z, H, W) uint8
            Classes of the second opinion until there is a network: where the read from the farther
            side counts more.
        """
        run = self._run
        run.progress(Phase.MATCHING, 0.0)
        kept = KeptMatching(run.project, run.stack) if run.memory is None else None
        found = kept.renewal() if kept is not None and run.request.update else None
        renewal, seconds = found or (None, 0.0)
        begin = run.clock.spent
        propagated = self._propagate(run.stack.ink, renewal)
        if renewal is None:
            seconds = run.clock.spent - begin
        del found, renewal
        while run.volume.grow_around(propagated.probabilities):
            del propagated  # its files are needed for the larger window
            propagated = self._propagate(run.stack.ink)
        proposed = propagated.probabilities
        reads = run.volume.raised_classes(raised_read, proposed, propagated.farther)
        known = Predictions(proposed, proposed, propagated.agreement, propagated.sources)
        self._proposing.known["matching"] = known
        self._proposing.propose(REFERENCE_GUIDED, known, reads, {"stage": "matching"})
        if kept is not None:
            kept.keep(propagated, seconds)
        return propagated, reads

    def leave_one_out(self, propagated: Propagation) -> quality.Estimate | None:
        """Leave references out in turn, as far as the time goes, and tell what that says.

        Parameters
        ----------
        propagated : Propagation
            With all of them.

        Returns
        -------
        Estimate or None
            None where none can be left out.
        """
        run, stack, together = self._run, self._run.stack, self._run.matched_together
        half, middle = half_way(quality.open_distances(stack)), quality.middle_reference(stack)
        back: dict[int, Tensor | None] = {}

        def predict(ink: Tensor, left_out: int) -> Tensor:
            # Only the stretch between the neighbours of a left-out reference depends on it.
            renewal = Renewal(propagated, [left_out])
            found = self._propagate(ink, renewal, together)
            if [left_out] == middle:
                self._without_middle = found
            execution = run.execution(renewal, together)
            back[left_out] = came_back(stack, propagated, left_out, half, execution)
            return found.probabilities

        until = LEAVE_OUT_SHARE * run.clock.seconds
        if run.request.update:
            until = run.clock.spent + LEAVE_OUT_SECONDS

        def proceed(share: float) -> bool:
            run.progress(Phase.TESTING_MATCHING, share)
            return share == 0 or run.clock.spent < until

        with one_thread():  # also between two that are matched at the same time
            slices, predictions = quality.leave_one_out(stack, predict, proceed, together)
        found = quality.estimate(stack, slices, predictions, [back[z] for z in slices])
        if found is not None:
            self._telling.of_matching(found)
        return found

    def without(self, propagated: Propagation, middle: list[int]) -> Propagation:
        """Return what is propagated without the middle reference; it is known once it was left out.

        Parameters
        ----------
        propagated : Propagation
            With all references.
        middle : list of int
            Of `estimate.middle_reference`.
        """
        if self._without_middle is not None:
            return self._without_middle
        return self._propagate(self._run.stack.without(middle), Renewal(propagated, middle))

    def forget(self) -> None:
        """Give back what is kept for `without`, which is as large as all that is known."""
        self._without_middle = None

    def _propagate(
        self, ink: Tensor, renewal: Renewal | None = None, together: int = 1
    ) -> Propagation:
        run = self._run
        run.control.check()
        execution = run.execution(renewal, together)
        return propagate(run.stack.inked_volume(ink), None, execution, renewal).cpu()
