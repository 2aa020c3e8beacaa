"""An update: what newer ink changes is proposed anew, with the network as it is."""

from __future__ import annotations

from collections.abc import Callable

from ..methods.frameworks.base import PredictOutput
from ..methods.propagation import Propagation
from . import estimate as quality
from .earlier_network import EarlierNetwork
from .facts import Phase
from .final_proposals import FinalProposals
from .network_making import NetworkMaking
from .outcome import Outcome
from .proposing import Proposing
from .run_context import RunContext
from .teaching import Teaching


class Updating:
    """Proposes with the network that the last run has left.

    Parameters
    ----------
    run : RunContext
    proposing : Proposing
    teaching : Teaching
    networks : NetworkMaking
    """

    def __init__(
        self,
        run: RunContext,
        proposing: Proposing,
        teaching: Teaching,
        networks: NetworkMaking,
    ) -> None:
        self._run, self._proposing = run, proposing
        self._teaching, self._networks = teaching, networks

    def update(
        self,
        propagated: Propagation,
        final: FinalProposals,
        leave_one_out: Callable[[], quality.Estimate | None],
    ) -> None:
        """Propose; the references are tested last, as that takes time.

        Parameters
        ----------
        propagated : Propagation
            What the references say.
        final : FinalProposals
        leave_one_out : callable
            Tests them.
        """
        run, learned = self._run, False
        earlier, outcome = EarlierNetwork(run.project, run.request.resume), None
        output = None
        if run.request.preset != "reference" and self._networks.goes_on(earlier):
            run.progress(Phase.PROPOSING, 0.0)
            output, outcome = self._predicted(propagated, final, earlier)
        if output is not None:
            learned = final.propose(output, propagated, outcome, None)
        elif self._proposing.network_unheard:
            self._proposing.repeat_matching()
        matched = leave_one_out()
        if output is not None:
            final.tell_of_network(outcome, matched, learned)

    def _predicted(
        self, propagated: Propagation, final: FinalProposals, earlier: EarlierNetwork
    ) -> tuple[PredictOutput | None, Outcome | None]:
        """Return what the network predicts, taken over if it can be, and what its test has told."""
        networks, teaching = self._networks, self._teaching
        plan = teaching.plan(propagated, earlier.tiles)
        if (kept := networks.predicted(propagated, earlier)) is not None:
            return kept, teaching.heed(earlier.outcome, plan)[0]
        trainer, warm = networks.trainer(propagated, earlier, plan)
        # One of another volume has yet to be tested on this one.
        if not (warm and earlier.own):
            return None, None
        outcome, _ = teaching.heed(earlier.outcome, trainer.plan)
        output = final.predict(trainer, outcome)
        earlier.keep_prediction(output, self._run.stack, trainer.plan.tiles)
        return output, outcome
