"""One run, from the project's ink to proposals: match, train, judge, estimate.

1. Labels are propagated from the references through the volume: the Reference-guided proposal
   is there within seconds.
2. Each inner reference is left out in turn, to estimate how good that is.
3. A network is trained on the references and the propagated labels, at first without one of the
   references; that one tells whether, and how, the network adds to the matching. Where other
   volumes teach, it learns from those alone at first, and all labelled slices of this one tell how
   much it knows.
4. It goes on with all references, and proposes.

An update only does the first of these, proposes with the network as it is, and estimates last.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ..methods.check_point import checked
from ..methods.frameworks import registry
from ..methods.propagation import Propagation, Renewal
from ..volume.project import Project, ProjectError
from . import estimate as quality
from .control import Control
from .earlier_network import EarlierNetwork
from .events import Emit, Finished, Quality, Started
from .expected_object import ExpectedObject
from .facts import Others, Phase, Verdict
from .network_test import AllLabelled, LeftOutReference, NetworkTest
from .object_box import ObjectBox, foreground
from .other_references import BEYOND, PRIOR, gather
from .outcome import Outcome, TaughtOutcome
from .plan import Plan, choose_device, make_plan, network_of
from .recipe import Recipe, choose, pixels_away, usual_distance
from .request import TrainRequest
from .size import allowed, measure
from .stack import SliceStack, TrainingError
from .teachers import NOBODY, find_teachers
from .threads import usable_cores
from .tiles import Tiles
from .trainer import Trainer, predict_slices
from .training_stage import MEASURED, TrainingStage

__all__ = ["TrainingError", "run_project"]

#: Share of the training time in which a reference is left out, to compare the methods.
TEST_SHARE = 0.3


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
        budget = allowed(request)
        learns = request.others and request.preset != "reference"
        teachers = find_teachers(project, budget, control.check) if learns else NOBODY
        size = measure(project, request, usable_cores(), budget, teachers.classes)
        if size.fits:
            stack = SliceStack.from_volume(
                project.image(),
                project.all_ink(),
                project.axis,
                project.info.spacing,
                project.extent,
                teachers.classes,
            )
    except ProjectError as error:
        raise TrainingError(str(error)) from error
    device = choose_device(request.device)
    emit(Started(str(device), None if size.fits else size.budget))
    if size.fits:
        with checked(control.check):
            Run(project, stack, request, emit, control, teachers).execute()
        return
    from .block_run import BlockRun

    if request.update:  # in blocks what a network predicts takes its time
        request = replace(request, preset="reference")
    try:
        with checked(control.check):
            BlockRun.prepare(project, size, request, emit, control, teachers).execute()
    except OSError as error:
        raise TrainingError(
            f"The files of the run could not be written to {path} ({error.strerror or error}); "
            "make room on that disk and try again."
        ) from error


class Run(TrainingStage):
    """One training run."""

    def execute(self) -> None:
        """Do all of it."""
        # Matching is many small operations: a thread for each stretch, none inside of them.
        torch.set_num_threads(1)
        torch.manual_seed(self.request.seed)
        device = self.device = choose_device(self.request.device)
        self.control.runs_on(device.type)
        propagated = self._match()
        if self.request.update:
            self._update(propagated)
        else:
            matched = self._leave_one_out(propagated) if self.request.estimate else None
            if self.request.preset != "reference":
                self._train_and_propose(propagated, matched)
        self.progress(Phase.DONE, 1.0)
        self.emit(Finished(round(self.clock.spent, 2), self.recommended))

    # -- training -------------------------------------------------------------------------

    def _update(self, propagated: Propagation) -> None:
        """Propose with the network as it is; the references are tested last, as that takes time."""
        earlier, learned = EarlierNetwork(self.project, self.request.resume), False
        trainer = None
        if self.request.preset != "reference" and earlier.wanted(self._about, *self._who_teaches):
            trainer, warm = self._make_trainer(propagated, earlier)
            # One of another volume has yet to be tested on this one.
            trainer = trainer if warm and earlier.own else None
        outcome, self._begun = earlier.outcome, True
        if trainer is not None:
            outcome, _ = self._heed(outcome, trainer.plan)
            learned = self._final_proposals(trainer, propagated, outcome, None)
        elif self._network_unheard():
            self._repeat_matching()
        matched = self._leave_one_out(propagated) if self.request.estimate else None
        if trainer is not None:
            self._tell_of_network(outcome, matched, learned)

    def _train_and_propose(self, propagated: Propagation, matched: quality.Estimate | None) -> None:
        stack, request = self.stack, self.request
        earlier = EarlierNetwork(self.project, request.resume)
        trainer, warm = self._make_trainer(propagated, earlier)
        plan = trainer.plan
        self._tell_plan(plan)
        generator = torch.Generator().manual_seed(request.seed)
        begin = self.clock.spent
        self._measure_predicting(trainer, MEASURED)
        self._begun = warm
        outcome = earlier.outcome
        # Without any time left a test of what has hardly begun would tell nothing.
        testing = self.clock.left > 0 or self.others is not None
        if testing and not earlier.own and (test := self._test(propagated, plan)) is not None:
            until = begin + TEST_SHARE * (self._end(trainer, begin) - begin)
            outcome = self._test_stage(trainer, test, propagated, until, generator)
            warm = True
            del test
        self._without_middle = None  # as large as all that is known of the volume
        outcome, own_share = self._heed(outcome, plan)
        sampler = self._sampler(stack.ink, propagated, plan, generator, own_share)

        def foresee() -> float:
            self._measure_predicting(trainer)
            return self._end(trainer, begin)

        self._stage(trainer, sampler, foresee(), warm, Phase.TRAINING, foresee)
        trainer.settle_statistics(stack)
        keep = partial(earlier.keep, trainer.model, self._about, plan, outcome, trainer.step)
        self._propose_and_keep(trainer, propagated, outcome, matched, keep)

    @property
    def _about(self) -> dict[str, object]:
        """What a network must be like to be gone on from, see `checkpoint.save_model`."""
        name, options = network_of(self.request.preset, self.device)
        return {
            "framework": name,
            "in_channels": self.stack.in_channels,
            "class_ids": list(self.stack.class_ids),
            "channels": list(options["channels"]),
            "axis": self.stack.axis,
        }

    @property
    def _who_teaches(self) -> tuple[list[str], bool]:
        """Keys of the other volumes that may teach, and whether a network can be tested here."""
        teachers = [teacher.key for teacher in self.teachers.volumes]
        return teachers, self._testable(bool(teachers))

    def _make_trainer(
        self, propagated: Propagation, earlier: EarlierNetwork
    ) -> tuple[Trainer, bool]:
        """Return a trainer, and whether it goes on from the earlier network."""
        stack, about, device = self.stack, self._about, self.device
        # A network goes on with the frames that it knows, a new one gets those that suit it best.
        goes_on = earlier.wanted(about, *self._who_teaches)
        plan = self._plan(device, propagated, earlier.tiles if goes_on else None)
        framework = registry.create(
            plan.framework, stack.in_channels, stack.classes, **plan.options
        ).to(device)
        others = list(self.others.keys) if self.others is not None else []
        warm = earlier.load(framework, about, others, self._testable(bool(others)))
        if warm:
            framework.go_on(earlier.steps)
        if warm != goes_on:  # a teacher, or the network itself, turned out to be no use
            plan = self._plan(device, propagated, earlier.tiles if warm else None)
        trainer = Trainer(framework, plan, self.clock, self.control, self.emit, self.request.seed)
        return trainer, warm

    def _plan(self, device: torch.device, propagated: Propagation, tiles: Tiles | None) -> Plan:
        """Make the plan, and gather what other volumes teach at its resolution."""
        stack, check = self.stack, self.control.check
        inner = bool(quality.middle_reference(stack))
        shown, detail = foreground(propagated), 0.0
        missed: list[str] = []
        if self.teachers.volumes and not inner:
            expected = ExpectedObject.of(self.teachers, stack, check, missed.append)
            shown, detail = expected.around(shown, stack.ink), expected.detail
        plan = make_plan(stack, self.request, device, shown, tiles, detail)
        # One or two references do not say where the object ends: nothing can be aligned by that,
        # and what lies beyond has to be seen.
        box, beyond = None, stack.depth
        if inner:
            box, beyond = ObjectBox.around(p[0] < 0.5 for p in propagated.probabilities), BEYOND
        self.others = gather(self.teachers, stack, box, plan, check, beyond, missed.append)
        self._missed = list(dict.fromkeys(missed))
        return plan

    def _tell_plan(self, plan: Plan, verdict: Verdict = Verdict.NONE) -> None:
        names = list(self.others.names) if self.others is not None else []
        self.emit(plan.told(Others(names, verdict, list(self._missed)), self.memory))

    def _heed(self, outcome: Outcome | None, plan: Plan) -> tuple[Outcome | None, float]:
        """Dismiss the other volumes if that is what the test has told.

        Returns
        -------
        Outcome or None
            What is known of the network from here on.
        float
            Share of the unlabelled frames beside others that are the volume's own.
        """
        told = outcome if isinstance(outcome, TaughtOutcome) else None
        if self.others is not None and outcome is not None and outcome.dismisses_others:
            # What an organ looks like elsewhere may not be what it looks like here.
            self._tell_plan(plan, Verdict.DISMISSED)
            self.others, self._unaided, told = None, None, None
            outcome = outcome.without_others()
        elif self.others is not None and told is not None and not told.believed:
            self._tell_plan(plan, Verdict.DOUBTED)
        return outcome, told.own_share if told is not None else PRIOR

    def _test(self, propagated: Propagation, plan: Plan) -> NetworkTest | None:
        """Return what to test on: the middle reference, or all ink where others teach.

        Of what others teach one slice tells too little: it may be where one class ends and the next
        begins. Without any ink the matching knows nothing, but others have taught the network.
        """
        stack, middle = self.stack, quality.middle_reference(self.stack)
        if not self._testable(self.others is not None):
            return None
        if self.others is not None:
            area = self.others.area * plan.tiles.reduction**2
            return AllLabelled(stack, propagated, area, few=not middle)
        without = self._without_middle
        if without is None:
            without = self._propagate(stack.without(middle), Renewal(propagated, middle))
        return LeftOutReference(stack, without, middle)

    def _testable(self, others: bool) -> bool:
        """Whether a network can be tested here; `others` says whether other volumes teach."""
        return others or (self.request.estimate and bool(quality.middle_reference(self.stack)))

    def _test_stage(
        self,
        trainer: Trainer,
        test: NetworkTest,
        propagated: Propagation,
        until: float,
        generator: torch.Generator,
    ) -> Outcome:
        """Train without some references, and compare network and matching on them."""
        stack, plan, tested = self.stack, trainer.plan, test.slices
        # Beside others only ink teaches, so that the test tells what they know.
        sampler = self._sampler(
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
                lambda: predict_slices(trainer.model, stack, tested, plan, self.control),
                test.matched if plan.use_prior else None,
                test.score,
                away,
                self.alike,
            )
            self.emit(Quality(trainer.step, round(self.clock.spent, 2), chosen[1], test.baseline))
            return chosen

        def look() -> None:
            test_now()

        self._stage(trainer, sampler, until, False, Phase.TESTING_NETWORK, look)
        recipe, dice, proposed = test_now()
        self._unaided = test.unaided(proposed)
        return test.outcome(recipe, dice, lambda: self._likeness(trainer, propagated))
