"""How the results of a run become proposals: mixed, judged, written, and told of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from statistics import fmean

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..methods.confidence import Predictions
from ..methods.frameworks.base import PredictOutput
from ..methods.propagation import Propagation
from ..volume.project import Project
from ..volume.proposal import proposal_slug
from ..volume.proposal_files import ESTIMATE
from . import estimate as quality
from .clock import Clock
from .coherence import make_coherent
from .control import Cancelled, Control
from .events import Emit, Estimated, NetworkBroken, NetworkUnsaved, Progress, ProposalReady
from .expected_overlap import ExpectedOverlap
from .facts import Basis, Phase, Witness
from .finite import is_finite
from .judge import make_proposal, raised_network
from .other_references import OtherReferences
from .outcome import Outcome, TaughtOutcome
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
from .trainer import Trainer, predict_slices
from .trouble import explain
from .unaided import Unaided

REFERENCE_GUIDED = "Reference-guided"
SEMSIM = "SemSim"

#: Dice by which the network may lose against the matching on a left-out reference and still be
#: recommended, where the confidence tells nothing: one slice says little.
TOLERANCE = 0.03

#: Dice by which less may be expected of the network's proposal than of the matching's, by the
#: confidence of each, and still be recommended. On volumes with truth the expected difference told
#: which was better, whether the network had learned well or hardly; a left-out reference, on which
#: it is tested after a third of the time, did not (docs/results.md).
DOUBT = 0.01

#: Dice between the network's own prediction and the matching, above which it has learned enough to
#: be heard: the matching taught it, so one that is far from it is unfinished, or the matching is
#: too poor to learn from. On volumes with truth the mixture lost below .83 and hardly above.
LEARNED = 0.85

#: Slices below which what they tell of all the others is rough.
FEW = 3


class Proposing:
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
        self.project, self.stack, self.request = project, stack, request
        self.emit, self.control = emit, control
        self.teachers = teachers
        self.clock = Clock(request.seconds, control)
        self.recommended = "reference-guided"
        self.device = torch.device("cpu")
        self._fraction = 0.0
        self._proposing = 0.0
        self._reads = torch.empty(0)
        self._without_middle: Propagation | None = None
        #: Bytes that it keeps within, in blocks; None where the volume is in memory as a whole.
        self.memory: int | None = None
        #: Their references, while they teach.
        self.others: OtherReferences | None = None
        #: Names of those that should teach and cannot.
        self._missed: list[str] = []
        #: How good a network was that only others had taught.
        self._unaided: Unaided | None = None
        #: Estimates that this run has made, by the proposal's slug.
        self._estimates: dict[str, dict[str, object]] = {}
        #: Dice of each class that is to be expected by the confidence, by the proposal's slug.
        self._expected: dict[str, dict[int, float]] = {}
        #: What each proposal was judged by: "matching" at first, "guided" and "network" at last.
        self.known: dict[str, Predictions] = {}

    def progress(self, phase: Phase, fraction: float) -> None:
        """Tell how far the run is, in [0, 1]; the bar never moves back. Cancelled may be raised."""
        self.control.check()
        self._fraction = max(self._fraction, min(fraction, 1.0))
        left = max(0.0, self.clock.left) if self.request.preset != "reference" else None
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
    ) -> None:
        self.progress(Phase.PROPOSING, max(self._fraction, 0.93))
        plan = trainer.plan
        recipe = replace(outcome.recipe if outcome is not None else DEFAULT, alike=self.alike)
        set_temperature(trainer.model, recipe.temperature)
        output = self._predict(trainer, recipe)
        plain, matched_classes, likeness = self._compare(output, propagated)
        # What others have taught need not be like the matching.
        told = outcome if self.others and isinstance(outcome, TaughtOutcome) else None
        taught = told is not None and told.knows_better
        learned = not plan.use_prior or likeness >= LEARNED or (told is not None and told.heard)
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
        for name, found, (other, called) in (
            (REFERENCE_GUIDED, guided, against_guided),
            (SEMSIM, known, against_network),
        ):
            self._propose(name, found, other, {**info, "second_opinion": called})
        if self.request.preset != "auto" or (learned and self._earned(outcome)):
            self.recommended = "semsim"
        if self.request.estimate:
            self._tell_of_network(outcome, matched, learned)

    @property
    def _expected_of_matching(self) -> float | None:
        """Dice that the confidence expects of the matching."""
        expected = self._expected.get("reference-guided")
        return fmean(expected.values()) if expected else None

    def _expected_of_both(self) -> tuple[float, float] | None:
        """Dice that the confidence expects of the matching's and of the network's proposal."""
        matching, network = self._expected["reference-guided"], self._expected["semsim"]
        shared = matching.keys() & network.keys()
        if not shared:
            return None
        return fmean(matching[i] for i in shared), fmean(network[i] for i in shared)

    def _earned(self, outcome: Outcome | None) -> bool:
        """Whether the network's proposal is likely as good as the matching's."""
        if outcome is None:
            return False
        expected = None if isinstance(outcome, TaughtOutcome) else self._expected_of_both()
        if expected is None:
            return outcome.gain > -TOLERANCE
        return expected[1] > expected[0] - DOUBT

    def _error_ratio(self, outcome: Outcome) -> float:
        """Errors of the network's proposal, as a multiple of the matching's."""
        expected = None if isinstance(outcome, TaughtOutcome) else self._expected_of_both()
        if expected is None:
            return outcome.error_ratio
        return (1 - expected[1]) / max(1 - expected[0], 1e-6)

    def _tell_of_network(
        self, outcome: Outcome | None, matched: quality.Estimate | None, learned: bool
    ) -> None:
        """Tell how good the network's proposal is likely to be, as far as anything tells that."""
        if matched is not None and not learned:
            basis = Basis(Witness.MATCHING, matched.count, bool(self._expected["semsim"]))
            self._tell_estimate("semsim", self._weighed("semsim", matched), basis)
        elif (
            self._unaided is not None
            and isinstance(outcome, TaughtOutcome)
            and (outcome.few or outcome.heard)
        ):
            if learned and outcome.telling:
                measured = self._unaided.estimate
                basis = Basis(Witness.UNAIDED, measured.count)
                self._tell_estimate("semsim", measured, basis, rough=measured.count < FEW)
        elif outcome is not None and matched is not None:
            found = self._weighed("reference-guided", matched)
            basis = Basis(
                Witness.TRAINED,
                matched.count,
                bool(self._expected["semsim"]),
                round(found.mean, 4),
                len(self.others.names) if self.others is not None else 0,
            )
            trained = matched.with_errors(self._error_ratio(outcome))
            self._tell_estimate("semsim", self._weighed("semsim", trained), basis)

    def _weighed(self, slug: str, left_out: quality.Estimate) -> quality.Estimate:
        """Join what left-out references and what the confidence of a proposal tell of it."""
        return left_out.with_confidence(self._expected[slug])

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
        self._proposing = self.clock.spent - start

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

    def _tell_estimate(
        self, slug: str, found: quality.Estimate, basis: Basis, rough: bool = False
    ) -> None:
        table = {c.id: c.name for c in self.project.classes}
        names = {i: table.get(i, f"Class {i}") for i in self.stack.class_ids[1:]}
        uses = Counter(names.values())
        told = {i: n if uses[n] == 1 else f"{n} ({i})" for i, n in names.items()}

        def by_name(values: dict[int, float]) -> dict[str, float]:
            return {told[i]: round(v, 4) for i, v in values.items()}

        event = Estimated(
            slug,
            by_name(found.per_class),
            round(found.mean, 4),
            round(found.low, 4),
            round(found.high, 4),
            basis,
            by_name(found.spread),
            rough,
            {told[i]: i for i in found.per_class},
        )
        self._estimates[slug] = asdict(event)
        self.project.proposals.write_estimate(slug, self._estimates[slug])
        self.emit(event)
