"""Between the halves of a run: a network learns without some labels, and is tested on those."""

from __future__ import annotations

import torch
from torch import Tensor

from ..methods.propagation import Propagation
from . import estimate as quality
from .events import Quality
from .facts import Phase
from .likeness import sampled_likeness
from .matching_stage import MatchingStage
from .network_test import AllLabelled, LeftOutReference, NetworkTest
from .outcome import Outcome
from .plan import Plan
from .recipe import Recipe, choose, pixels_away, usual_distance
from .run_context import RunContext
from .teaching import Teaching
from .trainer import Trainer, predict_slices
from .training_stage import TrainingStage


class TestingStage:
    """Tells whether, and how, a network adds to the matching, or what other volumes have taught it.

    Parameters
    ----------
    run : RunContext
    teaching : Teaching
    matching : MatchingStage
    training : TrainingStage
    """

    def __init__(
        self,
        run: RunContext,
        teaching: Teaching,
        matching: MatchingStage,
        training: TrainingStage,
    ) -> None:
        self._run, self._teaching = run, teaching
        self._matching, self._training = matching, training

    def test(self, propagated: Propagation, plan: Plan) -> NetworkTest | None:
        """Return what to test on: the middle reference, or all ink where others teach.

        Of what others teach one slice tells too little: it may be where one class ends and the next
        begins. Without any ink the matching knows nothing, but others have taught the network.
        """
        stack, others = self._run.stack, self._teaching.others
        middle = quality.middle_reference(stack)
        if not self._teaching.testable(others is not None):
            return None
        if others is not None:
            area = others.area * plan.tiles.reduction**2
            return AllLabelled(stack, propagated, area, few=not middle)
        return LeftOutReference(stack, self._matching.without(propagated, middle), middle)

    def train(
        self,
        trainer: Trainer,
        test: NetworkTest,
        propagated: Propagation,
        until: float,
        generator: torch.Generator,
    ) -> Outcome:
        """Train without some references, and compare network and matching on them.

        Parameters
        ----------
        trainer : Trainer
        test : NetworkTest
        propagated : Propagation
            With all references.
        until : float
            Seconds on the clock.
        generator : torch.Generator
        """
        run, stack, plan, tested = self._run, self._run.stack, trainer.plan, test.slices
        # Beside others only ink teaches, so that the test tells what they know.
        sampler = self._training.sampler(
            stack.without(test.hidden),
            test.propagated,
            plan,
            generator,
            prior_beside_others=0.0,
        )
        # As they will be mixed where labels are wanted; the tested slices lie farther away.
        known = stack.references()
        usual = usual_distance(pixels_away(stack.depth, known, stack.spacing), known)
        away = torch.full((len(tested),), usual)

        def test_now() -> tuple[Recipe, float, Tensor]:
            trainer.settle_statistics(stack)
            chosen = choose(
                trainer.model,
                lambda: predict_slices(trainer.model, stack, tested, plan, run.control),
                test.matched if plan.use_prior else None,
                test.score,
                away,
                self._teaching.alike,
            )
            run.emit(Quality(trainer.step, round(run.clock.spent, 2), chosen[1], test.baseline))
            return chosen

        def look() -> None:
            test_now()

        self._training.train(trainer, sampler, until, False, Phase.TESTING_NETWORK, look)
        recipe, dice, proposed = test_now()
        self._teaching.unaided = test.unaided(proposed)
        return test.outcome(
            recipe, dice, lambda: sampled_likeness(trainer, stack, propagated, run.control)
        )
