"""How the results of a run become proposals: mixed, judged, written, and told of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..methods.frameworks.base import PredictOutput
from ..methods.propagation import Propagation
from ..methods.voxel_evidence import Predictions
from ..volume.project import Project
from ..volume.proposal import proposal_slug, region_shares
from ..volume.proposal_files import ESTIMATE
from . import estimate as quality
from .clock import Clock
from .coherence import make_coherent
from .control import Cancelled, Control
from .events import Emit, NetworkBroken, NetworkUnsaved, Progress, ProposalReady
from .expected_overlap import ExpectedOverlap
from .facts import Phase
from .finite import is_finite
from .foresight import Foresight
from .judge import raised_network
from .judged_volume import make_proposal
from .outcome import FEWEST_STEPS, Outcome, TaughtOutcome
from .recipe import (
    ALIKE,
    ALIKE_AGREED,
    ALIKE_TAUGHT,
    DEFAULT,
    Recipe,
    doubt,
    pixels_away,
    set_temperature,
)
from .reference_shapes import ReferenceShapes
from .request import TrainRequest
from .stack import SliceStack
from .teachers import NOBODY, Teachers
from .telling import Telling
from .trainer import Trainer, predict_slices
from .trouble import explain

REFERENCE_GUIDED = "Reference-guided"
SEMSIM = "SemSim"

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

#: Slices on which network and matching are compared, where not all of them are.
_SAMPLE = 12


class Proposing(Telling):
    """What a run proposes and says, whatever it comes from; for a `session.Run`.

    Parameters
    ----------
    project : Project
    stack : SliceStack
    request : TrainRequest
    emit : callable
    control : Control
    teachers : Teachers
        The project's other volumes, as far as they teach.
    """

    def __init__(
        self,
        project: Project,
        stack: SliceStack,
        request: TrainRequest,
        emit: Emit,
        control: Control,
        teachers: Teachers = NOBODY,
    ) -> None:
        super().__init__(project, stack, emit)
        self.request, self.control = request, control
        self.teachers = teachers
        self.clock = Clock(math.inf if request.update else request.seconds, control)
        self.foresight = Foresight()
        self.device = torch.device("cpu")
        self._fraction = 0.0
        #: Whether the network goes on from an earlier one.
        self._begun = False
        self._reads = torch.empty(0)
        self._without_middle: Propagation | None = None
        #: Bytes that it keeps within, in blocks; None where the volume is in memory as a whole.
        self.memory: int | None = None
        #: Names of those that should teach and cannot.
        self._missed: list[str] = []
        #: What each proposal was judged by: "matching" at first, "guided" and "network" at last.
        self.known: dict[str, Predictions] = {}

    def progress(self, phase: Phase, fraction: float) -> None:
        """Tell how far the run is, in [0, 1]; the bar never moves back. Cancelled may be raised."""
        self.control.check()
        self._fraction = max(self._fraction, min(fraction, 1.0))
        timed = self.request.preset != "reference" and not self.request.update
        left = max(0.0, self.clock.left) if timed else None
        self.emit(Progress(phase, round(self._fraction, 4), left))

    # -- proposals ------------------------------------------------------------------------

    def _propose_and_keep(
        self,
        trainer: Trainer,
        propagated: Propagation,
        outcome: Outcome | None,
        matched: quality.Estimate | None,
        keep: Callable[[], None],
    ) -> None:
        """Propose, then have `keep` save the network: a full disk costs that alone."""
        if not is_finite(trainer.model.state_dict()):
            self.emit(NetworkBroken())
            return
        try:
            self._final_proposals(trainer, propagated, outcome, matched)
        except Cancelled:
            keep()  # it has learned all that it was to learn
            raise
        try:
            keep()
        except (OSError, SafetensorError) as error:
            self.emit(NetworkUnsaved(explain(error).sentence))

    def _final_proposals(
        self,
        trainer: Trainer,
        propagated: Propagation,
        outcome: Outcome | None,
        matched: quality.Estimate | None,
    ) -> bool:
        """Propose what network and matching say together; whether the network had learned."""
        self.progress(Phase.PROPOSING, max(self._fraction, 0.93))
        plan = trainer.plan
        # What others have taught need not be like the matching.
        told = outcome if self.others and isinstance(outcome, TaughtOutcome) else None
        if (
            plan.use_prior
            and told is None
            and self._late(self.stack.depth, MIXTURE + 1)
            and not self._learned(trainer, propagated)
        ):
            self._repeat_matching()
            if self.request.estimate:
                self._tell_of_network(outcome, matched, False)
            return False
        recipe = replace(outcome.recipe if outcome is not None else DEFAULT, alike=self.alike)
        set_temperature(trainer.model, recipe.temperature)
        output = self._predict(trainer, recipe)
        plain, matched_classes, likeness = self._compare(output, propagated)
        taught = told is not None and told.knows_better
        still = self.request.update and not self._network_unheard()
        alike = likeness >= (STILL_HEARD if still else LEARNED)
        learned = not plan.use_prior or alike or (told is not None and told.heard)
        if told is not None and taught and told.matching_as_good:
            recipe = replace(recipe, alike=ALIKE_AGREED)
        if plan.use_prior and self.others is None:
            farther = doubt(likeness, self._expected_of_matching)
            recipe = replace(recipe, alike=recipe.alike * farther)
        if not learned:
            # A network that has hardly begun would only blur the proposal, and as a second
            # opinion disagree with everything.
            recipe = Recipe(heard=False)
        away = pixels_away(self.stack.depth, propagated.sources, self.stack.spacing)
        matching = propagated.probabilities if plan.use_prior else None
        proposed = self._mix(recipe, output, matching, away)
        info: dict[str, object] = {"preset": self.request.preset, "recipe": recipe.to_json()}
        guided = self.known["matching"]
        against_guided = against_network = (self._reads, "matching, farther side counting more")
        if learned:
            guided = self.known["guided"] = replace(guided, network=output.plain)
            against_guided = (plain, "network")
            # A network that the matching did not teach is not mixed with it, but compared.
            against_network = (matched_classes, "matching")
            if plan.use_prior:
                second = self._second(raised_network, proposed, output.plain)
                against_network = (second, "network, counting more")
        known = replace(guided, proposed=proposed, calibrated=taught)
        self.known["network"] = known
        # The matching has been proposed; a network as a second opinion is more than has to be.
        judged = [(SEMSIM, known, against_network)]
        if not self._late(0, 2):
            judged.insert(0, (REFERENCE_GUIDED, guided, against_guided))
        for name, found, (other, called) in judged:
            self._propose(name, found, other, {**info, "second_opinion": called})
        if self.request.preset != "auto" or (learned and self._earned(outcome)):
            self.recommended = "semsim"
        if self.request.estimate:
            self._tell_of_network(outcome, matched, learned)
        return learned

    def _late(self, slices: int, judgings: float) -> bool:
        """Whether too little time is left to predict so many slices, and to judge some times."""
        return self.foresight.needed(slices, judgings) > max(0.0, self.clock.left)

    def _learned(self, trainer: Trainer, propagated: Propagation) -> bool:
        """Whether a network that the matching taught is likely to be heard, by some of the slices.

        One that has just begun is not looked at.
        """
        begun = self._begun or trainer.step >= FEWEST_STEPS
        return begun and self._likeness(trainer, propagated) >= LEARNED

    def _likeness(self, trainer: Trainer, propagated: Propagation) -> float:
        """Dice between network and matching on a sample of the slices."""
        sample = list(range(0, self.stack.depth, max(1, self.stack.depth // _SAMPLE)))
        output = predict_slices(trainer.model, self.stack, sample, trainer.plan, self.control)
        matched = propagated.probabilities[sample].float().max(1).indices
        plain = output.plain.float().max(1).indices
        found = quality.mean_dice(plain, matched, self.stack.classes)
        return found if math.isfinite(found) else 1.0  # neither sees anything

    def _repeat_matching(self) -> None:
        """Propose the matching's result as that of a network that has hardly begun, as it stands.

        No time is left to predict and judge what would not be heard.
        """
        found = self.project.read_proposal(proposal_slug(REFERENCE_GUIDED))
        info = {k: v for k, v in found.info.items() if k not in ("stage", ESTIMATE)}
        info |= {"preset": self.request.preset, "recipe": Recipe(heard=False).to_json()}
        version = self.project.write_proposal(replace(found, name=SEMSIM, info=info))
        slug = proposal_slug(SEMSIM)
        self._expected[slug] = self._expected[proposal_slug(REFERENCE_GUIDED)]
        self.emit(ProposalReady(slug, SEMSIM, version, region_shares(found.regions, found.classes)))

    def _network_unheard(self) -> bool:
        """Whether what was proposed for a network is the matching's result."""
        recipe = (self.project.proposals.info(proposal_slug(SEMSIM)) or {}).get("recipe")
        return isinstance(recipe, dict) and recipe.get("heard") is False

    @property
    def alike(self) -> float:
        """Distance at which network and matching weigh alike, see `Recipe`."""
        return ALIKE if self.others is None else ALIKE_TAUGHT

    def _propose(
        self, name: str, known: Predictions, other: Tensor, info: dict[str, object]
    ) -> None:
        self.control.check()
        start = self.clock.spent
        if (estimate := self._estimates.get(proposal_slug(name))) is not None:
            info = {**info, ESTIMATE: estimate}  # of the same classes, judged anew
        overlap = ExpectedOverlap(self.stack.class_ids)
        version, shares = self._write(name, known, other, info, overlap)
        # The confidence of a network that only ink has taught was not fitted on anything.
        self._expected[proposal_slug(name)] = {} if known.calibrated else overlap.dice()
        self.emit(ProposalReady(proposal_slug(name), name, version, shares))
        self.foresight.judged(self.clock.spent - start)

    # -- the volume as a whole: done in blocks for a large one -----------------------------

    def _write(
        self,
        name: str,
        known: Predictions,
        other: Tensor,
        info: dict[str, object],
        overlap: ExpectedOverlap,
    ) -> tuple[int, dict[str, float]]:
        proposal, shares = make_proposal(name, self.stack, known, other, info, overlap)
        return self.project.write_proposal(proposal), shares

    def _predict(self, trainer: Trainer, recipe: Recipe) -> PredictOutput:
        everything = list(range(self.stack.depth))
        output = predict_slices(trainer.model, self.stack, everything, trainer.plan, self.control)
        return PredictOutput(*map(self.stack.empty_outside, (output.plain, output.rectified)))

    def _compare(
        self, output: PredictOutput, propagated: Propagation
    ) -> tuple[Tensor, Tensor, float]:
        """Classes of the network alone, those of the matching, and how alike they are."""
        plain, matched = output.plain.max(1).indices, propagated.probabilities.max(1).indices
        return plain, matched, quality.mean_dice(plain, matched, self.stack.classes)

    def _second(
        self, raised: Callable[[Tensor, Tensor], Tensor], proposed: Tensor, part: Tensor
    ) -> Tensor:
        """Classes of what is proposed if a part of it counted more, see `judge`."""
        return raised(proposed, part)

    def _mix(
        self, recipe: Recipe, output: PredictOutput, matched: Tensor | None, away: Tensor
    ) -> Tensor:
        if matched is None or not recipe.heard:
            return recipe.mix(output, matched, away)
        guided = ReferenceShapes(self.stack).mixed_into(matched)
        mixed = recipe.mix(output, guided, away)
        return make_coherent(mixed, self.stack, torch.empty_like(mixed))
