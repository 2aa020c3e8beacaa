"""One run, from the project's ink to proposals: match, train, judge, estimate.

1. Labels are propagated from the references through the volume: the Reference-guided proposal
   is there within seconds.
2. Each inner reference is left out in turn, to estimate how good that is.
3. A network is trained on the references and, at first without some of them, on the propagated
   labels; the left-out ones tell whether, and how, the network adds to the matching.
4. It goes on with all references, and proposes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..methods.frameworks import registry
from ..methods.propagation import Propagation, propagate
from ..volume.project import Project, ProjectError
from . import estimate as quality
from .checkpoint import load_model, save_model
from .clock import Clock
from .control import Control
from .events import Emit, Estimated, Finished, Progress, ProposalReady, Quality, Started
from .judge import class_thresholds, make_proposal
from .plan import Plan, make_plan, use_all_cores
from .request import TrainRequest
from .sampler import Prior, Sampler
from .stack import SliceStack, TrainingError
from .trainer import Trainer, predict_slices

__all__ = ["TrainingError", "run_project"]

REFERENCE_GUIDED = "Reference-guided"
SEMSIM = "SemSim"

#: Share of the training time in which some references are left out, to compare the methods.
TEST_SHARE = 0.4

#: How the SemSim proposal may mix the network with the matching, from all to little network.
MIXTURES = (1.0, 0.7, 0.5, 0.3)


def run_project(path: Path, request: TrainRequest, emit: Emit, control: Control) -> None:
    """Train on a project and write proposals into it.

    Parameters
    ----------
    path : Path
        Project folder.
    request : TrainRequest
    emit : callable
        Receives every event.
    control : Control
        Pause and cancel.

    Raises
    ------
    TrainingError
        With one sentence for the user.
    Cancelled
        When the user cancels.
    """
    try:
        project = Project.open(path)
        stack = SliceStack.from_volume(
            project.image(), project.all_ink(), project.axis, project.info.spacing
        )
    except ProjectError as error:
        raise TrainingError(str(error)) from error
    Run(project, stack, request, emit, control).execute()


@dataclass
class _Outcome:
    """What a stage with left-out references has told."""

    network: float
    matching: float
    mixture: float


class Run:
    """One training run."""

    def __init__(
        self,
        project: Project,
        stack: SliceStack,
        request: TrainRequest,
        emit: Emit,
        control: Control,
    ) -> None:
        self.project, self.stack, self.request = project, stack, request
        self.emit, self.control = emit, control
        self.clock = Clock(request.seconds, control)
        self.recommended = "reference-guided"
        self.fraction = 0.0
        self._phase = ""

    def execute(self) -> None:
        """Do all of it."""
        use_all_cores()
        torch.manual_seed(self.request.seed)
        plan = None
        if self.request.preset != "reference":
            plan = make_plan(self.stack, self.request)
            self.emit(Started(str(plan.device), plan.describe()))
        else:
            self.emit(Started("cpu", "Matching the references, without training."))
        propagated = self._match()
        left_out = self._leave_one_out() if self.request.estimate else None
        if plan is not None:
            self._train_and_propose(plan, propagated, left_out)
        self.progress("Done", 1.0)
        self.emit(Finished(round(self.clock.spent, 2), self.recommended))

    def progress(self, phase: str, fraction: float) -> None:
        """Tell how far the run is; the bar never moves back."""
        self.control.check()
        self.fraction = max(self.fraction, min(fraction, 1.0))
        left = max(0.0, self.clock.left) if self.request.preset != "reference" else None
        self.emit(Progress(phase, round(self.fraction, 4), left))

    # -- matching -------------------------------------------------------------------------

    def _propagate(self, ink: Tensor) -> Propagation:
        self.control.check()
        stack = self.stack
        return propagate(stack.image, ink, stack.classes, stack.spacing)

    def _match(self) -> Propagation:
        self.progress("Matching the references", 0.01)
        stack = self.stack
        propagated = self._propagate(stack.ink)
        # Until there is a network, the reads from either side are the two predictions.
        classes = propagated.probabilities.argmax(1)
        other = torch.where(propagated.agreement > 0.5, classes, stack.classes)
        self._propose(REFERENCE_GUIDED, propagated.probabilities, other, None, {"stage": "matching"})
        return propagated

    def _leave_one_out(self) -> dict[int, Tensor]:
        def proceed(share: float) -> bool:
            self.progress("Testing on left-out references", 0.05 + 0.1 * share)
            return share == 0 or self.clock.spent < 0.3 * self.clock.seconds

        slices, predictions = quality.leave_one_out(
            self.stack, lambda ink: self._propagate(ink).probabilities, proceed
        )
        found = quality.estimate(self.stack, slices, predictions)
        self._tell_estimate(REFERENCE_GUIDED, found)
        return dict(zip(slices, predictions, strict=True))

    # -- training -------------------------------------------------------------------------

    def _train_and_propose(
        self, plan: Plan, propagated: Propagation, left_out: dict[int, Tensor] | None
    ) -> None:
        stack, request = self.stack, self.request
        framework = registry.create(
            plan.framework, stack.in_channels, stack.classes, **plan.options
        ).to(plan.device)
        about: dict[str, object] = {
            "framework": plan.framework,
            "in_channels": stack.in_channels,
            "class_ids": list(stack.class_ids),
            "channels": list(plan.options["channels"]),
        }
        warm = request.resume and load_model(self.project.models, framework, about)
        trainer = Trainer(framework, plan, self.clock, self.control, self.emit, request.seed)
        generator = torch.Generator().manual_seed(request.seed)
        begin = self.clock.spent
        # Predicting the volume takes time too; a share of the budget is kept for it.
        end = max(begin + 1.0, request.seconds - self._seconds_to_propose(trainer, plan))

        outcome = None
        tested = self._choose_tests() if request.estimate else []
        if tested and left_out and not warm:
            outcome = self._test_stage(trainer, plan, tested, begin, end, generator)
        prior = _prior_of(propagated)
        sampler = Sampler(stack, stack.ink, prior, plan, generator)
        self._stage(trainer, sampler, end, warm or outcome is not None, "Training")
        save_model(self.project.models, trainer.model, about)
        self._final_proposals(trainer, plan, propagated, outcome)

    def _choose_tests(self) -> list[int]:
        """References to leave out together: every second inner one, so that neighbours stay."""
        return quality.inner_references(self.stack)[::2]

    def _test_stage(
        self,
        trainer: Trainer,
        plan: Plan,
        tested: list[int],
        begin: float,
        end: float,
        generator: torch.Generator,
    ) -> _Outcome:
        stack = self.stack
        ink = stack.without(tested)
        propagated = self._propagate(ink)
        matched = propagated.probabilities[tested]
        baseline = quality.pooled_dice(stack, tested, matched)
        sampler = Sampler(stack, ink, _prior_of(propagated), plan, generator)
        best = _Outcome(0.0, baseline, 1.0)

        def look() -> None:
            nonlocal best
            output = predict_slices(trainer.model, stack, tested, plan, self.control)
            for mixture in MIXTURES:
                mixed = mixture * output.rectified.float() + (1 - mixture) * matched.float()
                score = quality.pooled_dice(stack, tested, mixed)
                if mixture == MIXTURES[0] or score > best.network:
                    best = _Outcome(score, baseline, mixture)
            self.emit(Quality(trainer.step, round(self.clock.spent, 2), best.network, baseline))

        self._stage(
            trainer, sampler, begin + TEST_SHARE * (end - begin), False, "Testing the training", look
        )
        look()
        return best

    def _stage(
        self,
        trainer: Trainer,
        sampler: Sampler,
        until: float,
        warm: bool,
        phase: str,
        look: object = None,
    ) -> None:
        looked = self.clock.spent
        every = max(3.0, 0.1 * self.request.seconds)

        def report(share: float) -> None:
            nonlocal looked
            self.progress(phase, self.clock.spent / max(self.request.seconds, 1e-3))
            if callable(look) and self.clock.spent - looked > every:
                look()
                looked = self.clock.spent

        trainer.run(sampler, until, warm, report)

    def _seconds_to_propose(self, trainer: Trainer, plan: Plan) -> float:
        """Measure the time that predicting the whole volume will take."""
        sample = list(range(0, self.stack.depth, max(1, self.stack.depth // 4)))[:4]
        start = self.clock.spent
        predict_slices(trainer.model, self.stack, sample, plan, self.control)
        each = (self.clock.spent - start) / len(sample)
        return 1.1 * each * self.stack.depth + 0.02 * self.request.seconds

    # -- proposals ------------------------------------------------------------------------

    def _final_proposals(
        self, trainer: Trainer, plan: Plan, propagated: Propagation, outcome: _Outcome | None
    ) -> None:
        self.progress("Proposing", max(self.fraction, 0.93))
        stack = self.stack
        output = predict_slices(
            trainer.model, stack, list(range(stack.depth)), plan, self.control
        )
        plain = output.plain.argmax(1)
        mixture = outcome.mixture if outcome is not None else MIXTURES[1]
        if not plan.use_prior:
            mixture = 1.0
        proposed = output.rectified
        if mixture < 1:
            matched = propagated.probabilities.to(proposed.dtype)
            proposed = mixture * proposed + (1 - mixture) * matched
        info: dict[str, object] = {"preset": self.request.preset, "mixture": mixture}
        thresholds = class_thresholds(propagated.probabilities)
        self._propose(REFERENCE_GUIDED, propagated.probabilities, plain, thresholds, dict(info))
        self._propose(SEMSIM, proposed, plain, class_thresholds(proposed), info)
        if self.request.preset != "auto":
            self.recommended = "semsim"
        elif outcome is not None and outcome.network >= outcome.matching:
            self.recommended = "semsim"

    def _propose(
        self,
        name: str,
        probabilities: Tensor,
        other: Tensor,
        thresholds: Tensor | None,
        info: dict[str, object],
    ) -> None:
        self.control.check()
        if thresholds is None:
            thresholds = class_thresholds(probabilities)
        proposal, shares = make_proposal(
            name, self.stack, probabilities, other, thresholds, info
        )
        version = self.project.write_proposal(proposal)
        self.emit(ProposalReady(proposal.slug, name, version, shares))

    def _tell_estimate(self, name: str, found: quality.Estimate | None) -> None:
        if found is None:
            return
        names = {c.id: c.name for c in self.project.classes}
        self.emit(
            Estimated(
                name.lower().replace(" ", "-"),
                {names.get(i, f"Class {i}"): round(v, 4) for i, v in found.per_class.items()},
                round(found.mean, 4),
                round(found.low, 4),
                round(found.high, 4),
                f"Measured on {found.count} reference(s), each left out in turn.",
            )
        )


def _prior_of(propagated: Propagation) -> Prior:
    """Trust propagated labels by their confidence, and not at all where it is a coin's toss."""
    weight = ((propagated.confidence - 0.5) / 0.5).clamp(0, 1)
    return Prior(propagated.probabilities.half(), weight.half())
