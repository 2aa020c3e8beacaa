"""One run, from the project's ink to proposals: match, train, judge, estimate.

1. Labels are propagated from the references through the volume: the Reference-guided proposal
   is there within seconds.
2. Each inner reference is left out in turn, to estimate how good that is.
3. A network is trained on the references and the propagated labels, at first without one of the
   references; that one tells whether, and how, the network adds to the matching. Where other
   volumes teach, it learns from those alone at first, and all labelled slices of this one tell how
   much it knows.
4. It goes on with all references, and proposes.

An update matches what newer ink changes, proposes with the network as it is, and estimates last.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ..methods.check_point import checked
from ..methods.propagation import Propagation
from ..volume.project import Project, ProjectError
from . import estimate as quality
from .control import Control
from .earlier_network import EarlierNetwork
from .events import Emit, Finished, Started
from .facts import Phase
from .final_proposals import FinalProposals
from .matching_stage import MatchingStage
from .network_making import NetworkMaking
from .plan import choose_device
from .proposing import Proposing
from .request import TrainRequest
from .run_context import RunContext
from .size import allowed, measure
from .stack import SliceStack, TrainingError
from .teachers import NOBODY, Teachers, find_teachers
from .teaching import Teaching
from .telling import Telling
from .testing_stage import TestingStage
from .threads import usable_cores
from .training_stage import TrainingStage
from .updating import Updating
from .whole_volume import WholeVolume

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
        spare = size.budget - size.need.whole
        context = RunContext(WholeVolume(project, stack), request, emit, control, spare=spare)
        with checked(control.check):
            Run(context, teachers).execute()
        return
    from .block_run import BlockContext

    if request.update:  # in blocks what a network predicts takes its time
        request = replace(request, preset="reference")
    try:
        with checked(control.check):
            blocks = BlockContext.prepare(project, size, request, emit, control, teachers)
            Run(blocks, teachers).execute()
    except OSError as error:
        raise TrainingError(
            f"The files of the run could not be written to {path} ({error.strerror or error}); "
            "make room on that disk and try again."
        ) from error


class Run:
    """One training run.

    Parameters
    ----------
    context : RunContext
    teachers : Teachers
        The project's other volumes, as far as they teach.
    """

    def __init__(self, context: RunContext, teachers: Teachers = NOBODY) -> None:
        run = self._run = context
        self.telling = Telling(run.project, run.stack.class_ids, run.emit)
        self.proposing = Proposing(run, self.telling)
        self._matching = MatchingStage(run, self.proposing, self.telling)
        self._teaching = Teaching(run, teachers)
        self._networks = NetworkMaking(run, self._teaching)
        self._training = TrainingStage(run, self._teaching)
        self._test = TestingStage(run, self._teaching, self._matching, self._training)

    def execute(self) -> None:
        """Do all of it, within the memory that there is."""
        with self._run.volume.guarded():
            self._execute()

    def _execute(self) -> None:
        run = self._run
        torch.set_num_threads(1)  # matching and judging are many small operations
        torch.manual_seed(run.request.seed)
        run.control.runs_on(run.device.type)
        propagated, reads = self._matching.match()
        final = FinalProposals(run, self.proposing, self.telling, self._teaching, reads)
        if run.request.update:
            updating = Updating(run, self.proposing, self._teaching, self._networks)
            updating.update(propagated, final, partial(self._leave_one_out, propagated))
        else:
            matched = self._leave_one_out(propagated)
            if run.request.preset != "reference":
                self._train_and_propose(propagated, matched, final)
        run.progress(Phase.DONE, 1.0)
        run.emit(Finished(round(run.clock.spent, 2), self.telling.recommended))

    def _leave_one_out(self, propagated: Propagation) -> quality.Estimate | None:
        return self._matching.leave_one_out(propagated) if self._run.request.estimate else None

    def _train_and_propose(
        self, propagated: Propagation, matched: quality.Estimate | None, final: FinalProposals
    ) -> None:
        run, training, teaching = self._run, self._training, self._teaching
        run.begin_training()
        earlier = EarlierNetwork(run.project, run.request.resume)
        trainer, begun = self._networks.trainer(propagated, earlier)
        plan, warm = trainer.plan, begun
        teaching.tell(plan)
        generator = torch.Generator().manual_seed(run.request.seed)
        begin = run.clock.spent
        training.measure_predicting(trainer)
        outcome = earlier.outcome
        # Without any time left a test of what has hardly begun would tell nothing.
        testing = run.clock.left > 0 or teaching.others is not None
        if testing and not earlier.own and (test := self._test.test(propagated, plan)) is not None:
            until = begin + TEST_SHARE * (training.end(trainer, begin) - begin)
            outcome = self._test.train(trainer, test, propagated, until, generator)
            warm = True
            del test
        self._matching.forget()
        outcome, own_share = teaching.heed(outcome, plan)
        sampler = training.sampler(run.stack.ink, propagated, plan, generator, own_share)

        def foresee(anew: bool = False) -> float:
            training.measure_predicting(trainer, anew)
            return training.end(trainer, begin)

        more = partial(foresee, anew=True)
        training.train(trainer, sampler, foresee(), warm, Phase.TRAINING, foresee, more)
        trainer.settle_statistics(run.stack)
        about = self._networks.about
        keep = partial(earlier.keep, trainer.model, about, plan, outcome, trainer.step)
        output = final.propose_and_keep(trainer, begun, propagated, outcome, matched, keep)
        if output is not None and run.memory is None:
            earlier.keep_prediction(output, run.stack, plan.tiles)
