"""The end of a run: what network and matching say together is proposed, and the network kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from safetensors import SafetensorError
from torch import Tensor

from ..methods.frameworks.base import PredictOutput
from ..methods.propagation import Propagation
from . import estimate as quality
from .control import Cancelled
from .dice import mean_dice
from .events import NetworkBroken, NetworkUnsaved
from .facts import Phase
from .finite import is_finite
from .judge import raised_network
from .likeness import sampled_likeness
from .outcome import FEWEST_STEPS, Outcome
from .proposing import REFERENCE_GUIDED, SEMSIM, Proposing
from .recipe import ALIKE_AGREED, DEFAULT, Recipe, doubt, pixels_away, set_temperature
from .run_context import RunContext
from .teaching import Teaching
from .telling import NETWORK, Telling
from .trainer import Trainer
from .trouble import explain

#: Dice between the network's own prediction and the matching, above which it has learned enough to
#: be heard: the matching taught it, so one that is far from it is unfinished, or the matching is
#: too poor to learn from. On volumes with truth the mixture lost below .83 and hardly above.
LEARNED = 0.85

#: What is enough for one that was heard before, in an update: what another reference changes in
#: the matching must not silence it.
STILL_HEARD = 0.8

#: Times as long as judging the matching that proposing its mixture with the network takes at most:
#: they are compared, mixed and smoothed as well. Measured with seven classes; with one it is 1.1.
MIXTURE = 1.75


class FinalProposals:
    """Proposes with a network.

    Parameters
    ----------
    run : RunContext
    proposing : Proposing
    telling : Telling
    teaching : Teaching
    reads : Tensor, (Z, H, W)
        Second opinion of the matching alone, see `MatchingStage.match`.
    """

    def __init__(
        self,
        run: RunContext,
        proposing: Proposing,
        telling: Telling,
        teaching: Teaching,
        reads: Tensor,
    ) -> None:
        self._run, self._proposing, self._telling = run, proposing, telling
        self._teaching, self._reads = teaching, reads

    def propose_and_keep(
        self,
        trainer: Trainer,
        begun: bool,
        propagated: Propagation,
        outcome: Outcome | None,
        matched: quality.Estimate | None,
        keep: Callable[[], None],
    ) -> PredictOutput | None:
        """Predict and propose, then have `keep` save the network: a full disk costs that alone.

        Parameters
        ----------
        trainer : Trainer
            Of the network.
        begun : bool
            Whether it goes on from an earlier one.
        propagated, outcome, matched
            See `propose`.
        keep : callable

        Returns
        -------
        PredictOutput or None
            What the network predicted, if it was asked for all of it and was saved.
        """
        run, output = self._run, None
        if not is_finite(trainer.model.state_dict()):
            run.emit(NetworkBroken())
            return None
        run.progress(Phase.PROPOSING, 0.0)
        run.end_training()
        try:
            if self._given_up(trainer, begun, propagated, outcome):
                self._proposing.repeat_matching()
                if run.request.estimate:
                    self.tell_of_network(outcome, matched, False)
            else:
                output = self.predict(trainer, outcome)
                self.propose(output, propagated, outcome, matched)
        except Cancelled:
            keep()  # it has learned all that it was to learn
            raise
        try:
            keep()
        except (OSError, SafetensorError) as error:
            run.emit(NetworkUnsaved(explain(error).sentence))
            return None
        return output

    def predict(self, trainer: Trainer, outcome: Outcome | None) -> PredictOutput:
        """Return what the network says of all slices.

        Parameters
        ----------
        trainer : Trainer
            Of the network.
        outcome : Outcome or None
            What the network's test has told.
        """
        run, recipe = self._run, self._recipe(outcome)
        set_temperature(trainer.model, recipe.temperature)
        return run.volume.predict(
            trainer, recipe, run.control, lambda share: run.progress(Phase.PROPOSING, share)
        )

    def propose(
        self,
        output: PredictOutput,
        propagated: Propagation,
        outcome: Outcome | None,
        matched: quality.Estimate | None,
    ) -> bool:
        """Propose what network and matching say together; whether the network had learned.

        Parameters
        ----------
        output : PredictOutput, (Z, K, H, W)
            Of the network, see `predict`.
        propagated : Propagation
            What the matching says.
        outcome : Outcome or None
            What the network's test has told.
        matched : Estimate or None
            Of the matching.
        """
        run, volume = self._run, self._run.volume
        told, recipe = self._teaching.taught(outcome), self._recipe(outcome)
        use_prior = run.request.use_prior
        plain = volume.winning_classes(output.plain)
        matched_classes = volume.winning_classes(propagated.probabilities)
        similar = mean_dice(plain, matched_classes, run.stack.classes)
        taught = told is not None and told.knows_better
        still = run.request.update and not self._proposing.network_unheard
        alike = similar >= (STILL_HEARD if still else LEARNED)
        learned = not use_prior or alike or (told is not None and told.heard)
        if told is not None and taught and told.matching_as_good:
            recipe = replace(recipe, alike=ALIKE_AGREED)
        if use_prior and self._teaching.others is None:
            farther = doubt(similar, self._telling.expected_of_matching)
            recipe = replace(recipe, alike=recipe.alike * farther)
        if not learned:
            # A network that has hardly begun would only blur the proposal, and as a second
            # opinion disagree with everything.
            recipe = Recipe(heard=False)
        self._write(recipe, output, propagated, taught, plain, matched_classes)
        if run.request.preset != "auto" or (learned and self._telling.earned(outcome)):
            self._telling.recommended = NETWORK
        if run.request.estimate:
            self.tell_of_network(outcome, matched, learned)
        return learned

    def tell_of_network(
        self, outcome: Outcome | None, matched: quality.Estimate | None, learned: bool
    ) -> None:
        """Tell how good its proposal is likely to be; parameters as in `Telling.of_network`."""
        teaching = self._teaching
        self._telling.of_network(outcome, matched, learned, teaching.unaided, teaching.count)

    def _write(
        self,
        recipe: Recipe,
        output: PredictOutput,
        propagated: Propagation,
        calibrated: bool,
        plain: Tensor,
        matched_classes: Tensor,
    ) -> None:
        """Judge the mixture, and the matching again beside the network, and write both."""
        run, volume, known = self._run, self._run.volume, self._proposing.known
        use_prior = run.request.use_prior
        away = pixels_away(run.stack.depth, propagated.sources, run.stack.spacing)
        matching = propagated.probabilities if use_prior else None
        proposed = volume.mixed(recipe, output, matching, away)
        info: dict[str, object] = {"preset": run.request.preset, "recipe": recipe.to_json()}
        guided = known["matching"]
        against_guided = against_network = (self._reads, "matching, farther side counting more")
        if recipe.heard:
            guided = known["guided"] = replace(guided, network=output.plain)
            against_guided = (plain, "network")
            # A network that the matching did not teach is not mixed with it, but compared.
            against_network = (matched_classes, "matching")
            if use_prior:
                second = volume.raised_classes(raised_network, proposed, output.plain)
                against_network = (second, "network, counting more")
        known["network"] = replace(guided, proposed=proposed, calibrated=calibrated)
        # The matching has been proposed; a network as a second opinion is more than has to be.
        judged = [(SEMSIM, known["network"], against_network)]
        if not self._late(0, 2):
            judged.insert(0, (REFERENCE_GUIDED, guided, against_guided))
        for name, found, (other, called) in judged:
            self._proposing.propose(name, found, other, {**info, "second_opinion": called})

    def _recipe(self, outcome: Outcome | None) -> Recipe:
        given = outcome.recipe if outcome is not None else DEFAULT
        return replace(given, alike=self._teaching.alike)

    def _given_up(
        self, trainer: Trainer, begun: bool, propagated: Propagation, outcome: Outcome | None
    ) -> bool:
        """Whether a network is not asked, as there is no time to hear one that has not learned."""
        # What others have taught need not be like the matching.
        told = self._teaching.taught(outcome)
        return (
            self._run.request.use_prior
            and told is None
            and self._late(self._run.stack.depth, MIXTURE + 1)
            and not self._learned(trainer, begun, propagated)
        )

    def _late(self, slices: int, judgings: float) -> bool:
        """Whether too little time is left to predict so many slices, and to judge some times."""
        return self._run.foresight.needed(slices, judgings) > max(0.0, self._run.clock.left)

    def _learned(self, trainer: Trainer, begun: bool, propagated: Propagation) -> bool:
        """Whether a network that the matching taught is likely to be heard, by some of the slices.

        One that has just begun is not looked at.
        """
        if not begun and trainer.step < FEWEST_STEPS:
            return False
        run = self._run
        return sampled_likeness(trainer, run.stack, propagated, run.control) >= LEARNED
