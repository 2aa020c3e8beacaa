"""The second half of a run: a network learns, for as long as leaves time to propose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..methods.propagation import Propagation
from .facts import Phase
from .final_proposals import MIXTURE
from .other_references import PRIOR, JoinedSampler
from .plan import Plan
from .run_context import RunContext
from .sampler import Prior, Sampler
from .teaching import Teaching
from .trainer import Source, Trainer, predict_slices

#: Slices on which the time of predicting is measured: one by itself takes up to twice as long as it
#: does among others.
MEASURED = 4

#: Part of the budget that training goes on for, at least, where it turns out at its end that what
#: comes after needs less time than was foreseen: another program may have come and gone.
_WORTH_IT = 0.03

#: Share of the time that looking at a network takes at most, while it learns.
_LOOKING = 0.2


class TrainingStage:
    """Trains a network until what comes after needs the time that is left.

    Parameters
    ----------
    run : RunContext
    teaching : Teaching
    """

    def __init__(self, run: RunContext, teaching: Teaching) -> None:
        self._run, self._teaching = run, teaching

    def end(self, trainer: Trainer, begin: float) -> float:
        """Return when training ends, as is foreseen now, in seconds on the clock.

        Predicting the volume and proposing a mixture have to be done, and a share of the budget is
        kept for them. Judging the matching again beside the network takes no more than half.

        Parameters
        ----------
        trainer : Trainer
        begin : float
            When the training began; it goes on for a second at least.
        """
        run = self._run
        seconds, depth = run.request.seconds, run.stack.depth
        slices, left = depth + trainer.settles_on(depth), seconds - begin
        least, all_of_it = (run.foresight.reserve(slices, MIXTURE + n, seconds) for n in (0, 1))
        return begin + max(1.0, left - max(least, min(all_of_it, 0.5 * left)))

    def measure_predicting(self, trainer: Trainer, anew: bool = False) -> None:
        """Measure how long predicting takes now, for what is foreseen; `anew`: by that alone."""
        run = self._run
        if run.clock.left <= 0 or not run.foresight.wanted:
            return  # what comes is late, however long it takes
        depth = run.stack.depth
        sample = list(range(0, depth, max(1, depth // MEASURED)))[:MEASURED]
        # The first time libraries prepare themselves, which the slices to come do not wait for.
        for _ in range(1 if run.foresight.has_measured else 2):
            start = run.clock.spent
            predict_slices(trainer.model, run.stack, sample, trainer.plan, run.control)
            lasted = run.clock.spent - start
        run.foresight.predicted(len(sample), lasted, anew)

    def train(
        self,
        trainer: Trainer,
        sampler: Source,
        until: float,
        warm: bool,
        phase: Phase,
        look: Callable[[], float | None],
        more: Callable[[], float] | None = None,
    ) -> None:
        """Train until a time on the clock.

        Parameters
        ----------
        trainer : Trainer
        sampler : Source
        until : float
            Seconds on the clock.
        warm : bool
            Whether the network has learned before.
        phase : Phase
            What it is called.
        look : callable
            Called now and then; may return another `until`.
        more : callable, optional
            Called at the end; returns until when it would go on as things are then.
        """
        run = self._run
        every = max(3.0, 0.1 * run.request.seconds)
        due = run.clock.spent + every

        def report(share: float) -> float | None:
            nonlocal due
            run.progress(phase, run.clock.spent / max(run.request.seconds, 1e-3))
            start = run.clock.spent
            if share >= 1:
                later = more() if more is not None else start
                return later if later > start + _WORTH_IT * run.request.seconds else None
            if start < due:
                return None
            end = look()
            lasted = run.clock.spent - start
            due = run.clock.spent + max(every, lasted * (1 / _LOOKING - 1))
            return end

        trainer.run(sampler, until, warm, report)

    def sampler(
        self,
        ink: Tensor,
        propagated: Propagation,
        plan: Plan,
        generator: torch.Generator,
        prior_beside_others: float = PRIOR,
    ) -> Source:
        """Return what batches come from; a GPU cuts its frames itself, from one copy of all.

        Parameters
        ----------
        ink : Tensor, (Z, H, W) uint8
            The stack's ink, or a part of it.
        propagated : Propagation
            Teaches the slices without ink.
        plan : Plan
        generator : torch.Generator
        prior_beside_others : float
            See `JoinedSampler`.
        """
        stack, prior = self._run.stack, Prior.of(propagated)
        if plan.device.type != "cpu" and isinstance(stack.image, Tensor):
            stack = replace(stack, image=stack.image.to(plan.device))
            prior = Prior(prior.probabilities.to(plan.device), prior.weight.to(plan.device))
        sampler = Sampler(stack, ink, prior, plan, generator)
        others = self._teaching.others
        if others is None:
            return sampler
        placed = others.to(plan.device)
        return JoinedSampler(sampler, placed, plan.labelled, generator, prior_beside_others)
