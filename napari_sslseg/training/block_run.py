"""A run on a volume too large for the memory: the same as `Run`, in blocks and files."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..methods.frameworks.base import PredictOutput
from ..methods.propagation import Execution, Propagation, Renewal
from ..methods.voxel_evidence import Predictions
from ..volume.project import Project
from . import estimate as quality
from .blocks import likeness, mixed, raised_classes, winning_classes, write_judged
from .clock import Clock
from .control import Control
from .events import Emit, Progress
from .expected_overlap import ExpectedOverlap
from .facts import Phase
from .recipe import Recipe
from .request import TrainRequest
from .session import Run
from .size import Size
from .stack import SliceStack, View, outside_of
from .teachers import NOBODY, Teachers
from .threads import usable_cores
from .trainer import Trainer, predict_slices
from .windowed import channel_scales, grown_view, windowed_stack
from .workspace import Workspace

#: Folder in a project for temporary files, which have no name where the system allows that.
FOLDER = "work"

#: Where on the bar each phase begins and ends, without and with training.
_SPANS = {
    Phase.READING: (0.0, 0.05),
    Phase.MATCHING: (0.05, 0.75),
    Phase.WRITING: (0.75, 0.85),
    Phase.TESTING_MATCHING: (0.85, 1.0),
}
_TRAINED_SPANS = {
    Phase.READING: (0.0, 0.03),
    Phase.MATCHING: (0.03, 0.35),
    Phase.WRITING: (0.35, 0.4),
    Phase.TESTING_MATCHING: (0.4, 0.5),
    Phase.TESTING_NETWORK: (0.5, 0.75),
    Phase.TRAINING: (0.5, 0.75),
    Phase.PROPOSING: (0.75, 0.9),
}

#: Slices whose predictions are written at a time.
_BLOCK = 8

Cut = Callable[[View], SliceStack]


class BlockRun(Run):
    """One training run within a budget of memory; made by `prepare`.

    The time that the user gives is spent on training; matching and proposing, which take their time
    on such a volume, come on top.

    Parameters
    ----------
    project, stack, request, emit, control, teachers
        See `Run`.
    size : Size
    cut : callable
        Returns the stack of another window.
    workspace : Workspace
    """

    def __init__(
        self,
        project: Project,
        stack: SliceStack,
        request: TrainRequest,
        emit: Emit,
        control: Control,
        teachers: Teachers,
        size: Size,
        cut: Cut,
        workspace: Workspace,
    ) -> None:
        super().__init__(project, stack, request, emit, control, teachers)
        self.memory, self.workspace = size.budget, workspace
        self._cut = cut
        self._training = False
        self._written = 0

    @classmethod
    def prepare(
        cls,
        project: Project,
        size: Size,
        request: TrainRequest,
        emit: Emit,
        control: Control,
        teachers: Teachers = NOBODY,
    ) -> BlockRun:
        """Open the volume of a project that does not fit into the memory.

        Parameters
        ----------
        project, request, emit, control, teachers
            See `Run`.
        size : Size
            One that does not fit: with `found` and `view`.

        Raises
        ------
        TrainingError, ProjectError
            When the image cannot be trained on, or read, with one sentence for the user.
        Cancelled
            When the user cancels.
        OSError
            When the disk has no room for what replaces the memory.
        """
        assert size.found is not None
        assert size.view is not None
        found = size.found
        folder = project.path / FOLDER
        folder.mkdir(exist_ok=True)
        workspace = Workspace(folder, size.budget)
        emit(Progress(Phase.READING, 0.0))
        image, ink = project.image(), project.stored_ink()
        workspace.watch(image)

        def check() -> None:
            control.check()
            workspace.release()

        scales = channel_scales(image, project.info.channels, check)

        def cut(view: View) -> SliceStack:
            spacing = project.info.spacing
            return windowed_stack(
                image,
                ink,
                found,
                project.axis,
                spacing,
                view,
                scales,
                workspace,
                teachers.classes,
                outside_of(project.extent, found.objects),
            )

        return cls(project, cut(size.view), request, emit, control, teachers, size, cut, workspace)

    def execute(self) -> None:
        """Do all of it, and look after the memory meanwhile."""
        with self.workspace.guarded():
            super().execute()

    def progress(self, phase: Phase, fraction: float) -> None:
        """Tell how far the run is, each phase having its part of the bar.

        Parameters
        ----------
        phase : Phase
            One that has no part, such as the last one, fills the bar.
        fraction : float
            Done of the phase, in [0, 1]. The bar never moves back.

        Raises
        ------
        Cancelled
            When the user cancels.
        """
        self.control.check()
        trains = self.request.preset != "reference"
        spans = _TRAINED_SPANS if trains else _SPANS
        if phase == Phase.WRITING and self._written:  # those of the network come last
            low = min(0.9 + 0.05 * (self._written - 1), 0.95)
            low, high = low, low + 0.05
        else:
            low, high = spans.get(phase, (1.0, 1.0))
        share = low + (high - low) * min(max(fraction, 0.0), 1.0)
        if share < self._fraction:
            share = self._fraction
        if share > self._fraction + 1e-3 or phase not in spans or fraction == 0:
            self._fraction = share
            left = max(0.0, self.clock.left) if self._training else None
            self.emit(Progress(phase, round(share, 4), left))

    # -- matching -------------------------------------------------------------------------

    def _execution(self, renewal: Renewal | None) -> Execution:
        phase = Phase.MATCHING if renewal is None else Phase.TESTING_MATCHING
        progress = partial(self.progress, phase)
        # On the processor, whatever trains.
        return Execution(workers=usable_cores(), storage=self.workspace, progress=progress)

    def _matched(self) -> Propagation:
        while True:
            propagated = self._propagate(self.stack.ink)
            view = self.stack.view
            assert view is not None
            grown = grown_view(view, propagated.probabilities)
            if grown == view:
                return propagated
            del propagated  # its files are needed for the larger window
            self.stack = self._cut(grown)

    def _train_and_propose(self, propagated: Propagation, matched: quality.Estimate | None) -> None:
        self.clock = Clock(self.request.seconds, self.control)
        self._training = True
        super()._train_and_propose(propagated, matched)

    # What comes after training is on top of the time: it is not foreseen, and never late.

    def _measure_predicting(self, trainer: Trainer, slices: int = 1) -> None:
        pass

    def _seconds_to_propose(self, trainer: Trainer, judgings: float) -> float:
        return 0.0

    def _late(self, slices: int, judgings: float) -> bool:
        return False

    # -- the volume, block by block ---------------------------------------------------------

    def _write(
        self,
        name: str,
        known: Predictions,
        other: Tensor,
        info: dict[str, object],
        overlap: ExpectedOverlap,
    ) -> tuple[int, dict[str, float]]:
        result = write_judged(
            name,
            self.stack,
            known,
            other,
            info,
            self.project,
            self.project.stored_ink(),
            self.workspace,
            lambda share: self.progress(Phase.WRITING, share),
            overlap,
        )
        self._written += 1
        return result

    def _predict(self, trainer: Trainer, recipe: Recipe) -> PredictOutput:
        self._training = False
        depth, _, height, width = self.stack.image.shape
        shape = (depth, self.stack.classes, height, width)
        plain = self.workspace.zeros(shape, torch.half)
        rectified = plain
        if recipe.temperature is not None:
            rectified = self.workspace.zeros(shape, torch.half)
        for start in range(0, depth, _BLOCK):
            block = list(range(start, min(depth, start + _BLOCK)))
            self.progress(Phase.PROPOSING, start / depth)
            output = predict_slices(trainer.model, self.stack, block, trainer.plan, self.control)
            plain[start : start + len(block)] = output.plain
            if rectified is not plain:
                rectified[start : start + len(block)] = output.rectified
            self.workspace.release()
        self.stack.empty_outside(plain)
        self.stack.empty_outside(rectified)
        return PredictOutput(plain, rectified)

    def _compare(
        self, output: PredictOutput, propagated: Propagation
    ) -> tuple[Tensor, Tensor, float]:
        plain = winning_classes(output.plain, self.workspace)
        matched = winning_classes(propagated.probabilities, self.workspace)
        return plain, matched, likeness(plain, matched, self.stack.classes)

    def _second(
        self, raised: Callable[[Tensor, Tensor], Tensor], proposed: Tensor, part: Tensor
    ) -> Tensor:
        return raised_classes(raised, proposed, part, self.workspace)

    def _mix(
        self, recipe: Recipe, output: PredictOutput, matched: Tensor | None, away: Tensor
    ) -> Tensor:
        if matched is None:
            return output.plain if recipe.temperature is None else output.rectified
        return mixed(recipe, output, matched, away, self.stack, self.workspace)
