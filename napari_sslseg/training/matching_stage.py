"""The first half of a run: labels are propagated from the references, and that is judged."""

from __future__ import annotations

from torch import Tensor

from ..methods.propagation import Execution, Propagation, Renewal, propagate
from ..methods.voxel_evidence import Predictions
from . import estimate as quality
from .facts import Basis, Phase, Witness
from .judge import raised_read
from .proposing import REFERENCE_GUIDED, Proposing
from .threads import usable_cores
from .way_back import came_back, half_way

#: Share of the budget after which no further reference is left out in turn.
LEAVE_OUT_SHARE = 0.25

#: Seconds of an update after which none is: the next update may be waiting.
LEAVE_OUT_SECONDS = 8.0


class MatchingStage(Proposing):
    """Matches the references, proposes what comes of it, and estimates how good it is."""

    def _propagate(self, ink: Tensor, renewal: Renewal | None = None) -> Propagation:
        self.control.check()
        execution = self._execution(renewal)
        return propagate(self.stack.inked_volume(ink), None, execution, renewal).cpu()

    def _execution(self, renewal: Renewal | None) -> Execution:
        return Execution(self.device, usable_cores() if self.device.type == "cpu" else 1)

    def _matched(self) -> Propagation:
        return self._propagate(self.stack.ink)

    def _match(self) -> Propagation:
        self.progress(Phase.MATCHING, 0.01)
        propagated = self._matched()
        # Until there is a network, the read from the farther side is the second opinion.
        self._reads = self._second(raised_read, propagated.probabilities, propagated.farther)
        known = Predictions(
            propagated.probabilities,
            propagated.probabilities,
            propagated.agreement,
            propagated.sources,
        )
        self.known["matching"] = known
        self._propose(REFERENCE_GUIDED, known, self._reads, {"stage": "matching"})
        return propagated

    def _leave_one_out(self, propagated: Propagation) -> quality.Estimate | None:
        stack = self.stack

        def predict(ink: Tensor, left_out: int) -> Tensor:
            # Only the stretch between the neighbours of a left-out reference depends on it.
            found = self._propagate(ink, Renewal(propagated, [left_out]))
            if [left_out] == quality.middle_reference(stack):
                self._without_middle = found
            return found.probabilities

        until = LEAVE_OUT_SHARE * self.clock.seconds
        if self.request.update:
            until = self.clock.spent + LEAVE_OUT_SECONDS

        def proceed(share: float) -> bool:
            self.progress(Phase.TESTING_MATCHING, 0.05 + 0.1 * share)
            return share == 0 or self.clock.spent < until

        slices, predictions = quality.leave_one_out(stack, predict, proceed)
        half = half_way(quality.open_distances(stack)) if slices else 0
        returned = []
        for z in slices:
            execution = self._execution(Renewal(propagated, [z]))
            returned.append(came_back(stack, propagated, z, half, execution))
        found = quality.estimate(stack, slices, predictions, returned)
        if found is not None:
            weighed = self._weighed("reference-guided", found)
            basis = Basis(Witness.LEFT_OUT, found.count, bool(self._expected["reference-guided"]))
            self._tell_estimate("reference-guided", weighed, basis)
        return found
