"""The second half of a run: a network learns, for as long as leaves time to propose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..methods.propagation import Propagation
from .facts import Phase
from .matching_stage import MatchingStage
from .other_references import PRIOR, JoinedSampler
from .plan import Plan
from .proposing import MIXTURE
from .sampler import Prior, Sampler
from .trainer import Source, Trainer, predict_slices

#: Slices on which the time of predicting is measured at first.
MEASURED = 4

#: Share of the time that looking at a network takes at most, while it learns.
_LOOKING = 0.2


class TrainingStage(MatchingStage):
    """Trains a network until what comes after needs the time that is left."""

    def _end(self, trainer: Trainer, begin: float) -> float:
        """Return when training ends, as is foreseen now, in seconds on the clock.

        Predicting the volume and proposing a mixture have to be done, and a share of the budget is
        kept for them. Judging the matching again beside the network takes no more than half.

        Parameters
        ----------
        trainer : Trainer
        begin : float
            When the training began; it goes on for a second at least.
        """
        left = self.request.seconds - begin
        least, all_of_it = (self._seconds_to_propose(trainer, MIXTURE + n) for n in (0, 1))
        return begin + max(1.0, left - max(least, min(all_of_it, 0.5 * left)))

    def _seconds_to_propose(self, trainer: Trainer, judgings: float) -> float:
        """Return what is kept of the budget to predict the volume, and to judge some times."""
        slices = self.stack.depth + trainer.settles_on(self.stack.depth)
        return 1.1 * self.foresight.needed(slices, judgings) + 0.02 * self.request.seconds

    def _measure_predicting(self, trainer: Trainer, slices: int = 1) -> None:
        """Measure how long predicting takes now, for what is foreseen."""
        if self.clock.left <= 0:
            return  # what comes is late, however long it takes
        depth = self.stack.depth
        sample = list(range(0, depth, max(1, depth // slices)))[:slices]
        start = self.clock.spent
        predict_slices(trainer.model, self.stack, sample, trainer.plan, self.control)
        self.foresight.predicted(len(sample), self.clock.spent - start)

    def _stage(
        self,
        trainer: Trainer,
        sampler: Source,
        until: float,
        warm: bool,
        phase: Phase,
        look: Callable[[], float | None],
    ) -> None:
        """Train until a time on the clock; `look`, called now and then, may return another one."""
        every = max(3.0, 0.1 * self.request.seconds)
        due = self.clock.spent + every

        def report(share: float) -> float | None:
            nonlocal due
            self.progress(phase, self.clock.spent / max(self.request.seconds, 1e-3))
            start = self.clock.spent
            if start < due or share >= 1:
                return None
            end = look()
            lasted = self.clock.spent - start
            due = self.clock.spent + max(every, lasted * (1 / _LOOKING - 1))
            return end

        trainer.run(sampler, until, warm, report)

    def _sampler(
        self,
        ink: Tensor,
        propagated: Propagation,
        plan: Plan,
        generator: torch.Generator,
        prior_beside_others: float = PRIOR,
    ) -> Source:
        """Return what batches come from; a GPU cuts its frames itself, from one copy of all."""
        stack, prior = self.stack, Prior.of(propagated)
        if plan.device.type != "cpu" and isinstance(stack.image, Tensor):
            stack = replace(stack, image=stack.image.to(plan.device))
            prior = Prior(prior.probabilities.to(plan.device), prior.weight.to(plan.device))
        sampler = Sampler(stack, ink, prior, plan, generator)
        if self.others is None:
            return sampler
        others = self.others.to(plan.device)
        return JoinedSampler(sampler, others, plan.labelled, generator, prior_beside_others)
