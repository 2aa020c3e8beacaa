"""A network that learns from several volumes, and proposes for one that nobody has labelled.

Labels are propagated through each labelled volume as for a volume on its own; ink and propagated
labels of all of them teach one network. Slices are brought to one pixel size, and the network's
batch statistics are measured anew on each volume that it proposes for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..methods.frameworks import registry
from ..methods.frameworks.base import Batch
from ..methods.propagation import Execution, propagate
from ..volume.annotation import NOT_ANNOTATED
from ..volume.cohort import Cohort
from ..volume.extent import Extent
from ..volume.project import Project, ProjectError
from ..volume.proposal import Proposal
from .checkpoint import load_model, read_head, save_model
from .clock import Clock
from .control import Control
from .dice import mean_dice
from .events import Emit
from .finite import is_finite
from .lesson import Lesson
from .outcome import has_learned, steps_of
from .pixel_size import pixel_of, resized, resized_labels, shape_of, size_at
from .plan import Plan, choose_device, make_plan
from .request import TrainRequest
from .sampler import Prior, Sampler
from .stack import SliceStack, TrainingError, normalised_slices, outside_of
from .threads import usable_cores
from .tiles import Tiles
from .trainer import Trainer, predict_slices
from .unseen import judge_unseen
from .wording import named


class SharedSampler:
    """Draws the labelled half of a batch from one volume and the unlabelled from another one.

    Parameters
    ----------
    samplers : sequence of Sampler
        One of each labelled volume.
    generator : torch.Generator
    """

    def __init__(self, samplers: Sequence[Sampler], generator: torch.Generator) -> None:
        self._samplers = list(samplers)
        self._generator = generator

    def draw(self) -> Batch:
        """Return one batch."""
        first, second = self._any().draw(), self._any().draw()
        return replace(
            first,
            unlabelled_image=second.unlabelled_image,
            prior=second.prior,
            prior_weight=second.prior_weight,
        )

    def _any(self) -> Sampler:
        number = torch.randint(len(self._samplers), (), generator=self._generator)
        return self._samplers[int(number)]


class SharedNetwork:
    """Trains on the labelled volumes of a project and predicts the others.

    Parameters
    ----------
    taught : sequence of Project
        Volumes with ink.
    request : TrainRequest
    emit : callable
        Receives `Loss` events.
    control : Control

    Raises
    ------
    TrainingError
        When no volume can teach.
    """

    def __init__(
        self, taught: Sequence[Project], request: TrainRequest, emit: Emit, control: Control
    ) -> None:
        if not taught:
            raise TrainingError(
                "No volume of the project is labelled; label a slice in one of them first."
            )
        # Without any reference there is nothing to match, only a network can carry over.
        preset = "auto" if request.preset == "reference" else request.preset
        self.request = replace(request, preset=preset)
        self._emit, self._control = emit, control
        torch.manual_seed(request.seed)
        self.device = choose_device(request.device)
        control.runs_on(self.device.type)
        self.axis = taught[0].axis
        self.pixel = pixel_of(taught[0].info.spacing, self.axis)
        torch.set_num_threads(1)
        #: Volumes that it learns from, and those that cannot be used.
        self.names: list[str] = []
        self.missed: list[str] = []
        self._paths: list[Path] = []
        self.lessons = list(self._prepared(taught))
        self.class_ids = tuple(sorted({i for e in self.lessons for i in e.stack.class_ids}))
        for number, lesson in enumerate(self.lessons):
            self.lessons[number] = lesson.widened(self.class_ids)
        self._trainer: Trainer | None = None

    def train(
        self,
        cohort: Cohort | None,
        report: Callable[[float], None],
        max_steps: int | None = None,
    ) -> None:
        """Train for as long as the request says.

        Parameters
        ----------
        cohort : Cohort or None
            Where an earlier network lies to go on with, and where this one is kept.
        report : callable
            Given the share that is done, now and then.
        max_steps : int, optional
            Stop after so many steps, see `Trainer.run`.
        """
        lessons, request = self.lessons, self.request
        clock = Clock(request.seconds, self._control)
        frames = self._frames()
        plan = make_plan(lessons[0].stack, request, self.device, lessons[0].foreground, frames)
        plan = plan.tuned()
        framework = registry.create(
            plan.framework, lessons[0].stack.in_channels, len(self.class_ids), **plan.options
        ).to(self.device)
        about: dict[str, object] = {
            "framework": plan.framework,
            "in_channels": lessons[0].stack.in_channels,
            "class_ids": list(self.class_ids),
            "channels": list(plan.options["channels"]),
            "axis": self.axis,
            "frame": list(plan.tiles.size),
            "reduction": plan.tiles.reduction,
            "pixel": [round(size, 6) for size in self.pixel],
        }
        folder = cohort.shared if cohort is not None else None
        head = read_head(folder) if folder is not None and request.resume else {}
        before = 0
        if folder is not None and has_learned(head) and load_model(folder, framework, about):
            before = steps_of(head)
        warm = before > 0
        if warm:
            framework.go_on(before)
        trainer = Trainer(framework, plan, clock, self._control, self._emit, request.seed)
        generator = torch.Generator().manual_seed(request.seed)
        samplers = [
            Sampler(
                each.stack,
                each.stack.ink,
                each.prior,
                replace(plan, tiles=_half_around(each.stack, each.foreground, frames, plan)),
                generator,
            )
            for each in lessons
        ]
        trainer.run(SharedSampler(samplers, generator), request.seconds, warm, report, max_steps)
        trainer.settle_statistics(lessons[0].stack)
        if not is_finite(trainer.model.state_dict()):
            raise TrainingError(
                "The network went wrong in training, as its numbers are no longer finite; an "
                "earlier one is kept. Propose again."
            )
        self._trainer = trainer
        if cohort is not None and folder is not None:
            seen = head.get("seen", []) if warm else []
            keys = {cohort.key_of(path) for path in self._paths} | set(seen)
            memory = {"seen": sorted(keys), "steps": before + trainer.step}
            save_model(folder, trainer.model, about, memory)

    def propose(self, project: Project, info: dict[str, object]) -> Proposal:
        """Propose for a volume without labels.

        Parameters
        ----------
        project : Project
        info : dict
            Kept with the proposal.
        """
        assert self._trainer is not None, "train first"
        trainer = self._trainer
        stack = self._bare_stack(project)
        everywhere = torch.ones(1, *stack.image.shape[-2:])
        tiles = _tiles(stack, everywhere, trainer.plan.tiles, trainer.plan)
        slices = list(range(stack.depth))
        # Twice: the second time with frames around what was found, as in training.
        for _ in range(2):
            plan = trainer.plan = replace(trainer.plan, tiles=tiles)
            # The statistics of this scanner and this field of view, not of the labelled volumes.
            trainer.settle_statistics(stack)
            output = predict_slices(trainer.model, stack, slices, plan, self._control)
            stack.empty_outside(output.plain)
            stack.empty_outside(output.rectified)
            found = 1 - output.plain[:, 0].float()
            if not bool((found > 0.5).any()):
                break
            tiles = _tiles(stack, found, plan.tiles, plan)
        shape = shape_of(project.info.shape, self.axis)
        plain = resized(output.plain.float(), shape)
        return judge_unseen(stack, plain, resized(output.rectified.float(), shape), info)

    def fit(self) -> float:
        """Dice on the labelled slices that it learned from: whether it has learned at all."""
        assert self._trainer is not None, "train first"
        trainer, found = self._trainer, []
        for each in self.lessons:
            stack, slices = each.stack, each.stack.inked()
            tiles = _tiles(stack, each.foreground, trainer.plan.tiles, trainer.plan)
            plan = trainer.plan = replace(trainer.plan, tiles=tiles)
            trainer.settle_statistics(stack)
            output = predict_slices(trainer.model, stack, slices, plan, self._control)
            known = stack.ink[slices] != NOT_ANNOTATED
            proposed = output.plain.float().max(1).indices[known]
            found.append(mean_dice(proposed, stack.ink[slices][known], stack.classes))
        return float(np.nanmean(found))

    @property
    def steps(self) -> int:
        """Training steps so far."""
        return self._trainer.step if self._trainer is not None else 0

    # -- inside ---------------------------------------------------------------------------

    def _frames(self) -> Tiles:
        """Return one size of frames for all volumes: that of the largest object."""
        sizes, reductions = [], []
        for each in self.lessons:
            plan = make_plan(each.stack, self.request, self.device, each.foreground)
            sizes.append(plan.tiles.size)
            reductions.append(plan.tiles.reduction)
        reduction = min(reductions)
        stride = 2 ** (len(plan.options["channels"]) - 1) * reduction
        limit = (256 if self.device.type != "cpu" else 128) * reduction
        height = min(max(size[0] for size in sizes), limit)
        width = min(max(size[1] for size in sizes), limit)
        return Tiles((-(-height // stride) * stride, -(-width // stride) * stride), (), reduction)

    def _prepared(self, taught: Sequence[Project]) -> Iterator[Lesson]:
        """Yield the lessons of the volumes that can be used, each with its own classes."""
        why: list[str] = []
        for project in taught:
            name = project.info.name
            try:
                lesson = self._lesson(project)
            except (TrainingError, ProjectError, OSError) as error:
                self.missed.append(name)
                unread = f"It could not be read ({error})."
                why.append(unread if isinstance(error, OSError) else str(error))
                continue
            self.names.append(name)
            self._paths.append(project.path)
            yield lesson
        if why and not self.names:
            of = f"{self.missed[0]}: " if len(why) > 1 else ""
            raise TrainingError(f"No network can learn from {named(self.missed)}: {of}{why[0]}")

    def _lesson(self, project: Project) -> Lesson:
        self._control.check()
        extent, ink = project.extents.get(self.axis), project.all_ink()
        own = SliceStack.from_volume(project.image(), ink, self.axis, project.info.spacing, extent)
        assert isinstance(own.image, Tensor)
        execution = Execution(workers=usable_cores())
        carried = propagate(own.inked_volume(), execution=execution).probabilities
        size = self._size(project)
        stack = replace(own, image=resized(own.image, size), ink=resized_labels(own.ink, size))
        weight = torch.ones(own.depth, *size, dtype=torch.half)
        return Lesson(stack, Prior(resized(carried, size).half(), weight))

    def _bare_stack(self, project: Project) -> SliceStack:
        self._control.check()
        image = normalised_slices(np.moveaxis(project.image(), self.axis, 0))
        size = self._size(project)
        ink = torch.full((image.shape[0], *size), NOT_ANNOTATED, dtype=torch.uint8)
        spacing, extent = project.info.spacing, project.extents.get(self.axis, Extent())
        order = [spacing[self.axis], *(s for i, s in enumerate(spacing) if i != self.axis)]
        return SliceStack(
            resized(image, size),
            ink,
            self.class_ids,
            (order[0], order[1], order[2]),
            self.axis,
            outside=outside_of(extent, np.zeros(len(ink), dtype=bool)),
        )

    def _size(self, project: Project) -> tuple[int, int]:
        """Rows and columns of a volume's slices at the common pixel size."""
        shape = shape_of(project.info.shape, self.axis)
        return size_at(shape, pixel_of(project.info.spacing, self.axis), self.pixel)


def _tiles(stack: SliceStack, foreground: Tensor, frames: Tiles, plan: Plan) -> Tiles:
    stride = 2 ** (len(plan.options["channels"]) - 1)
    return Tiles.around(foreground, stack.ink, stride, max(frames.size), frames)


def _half_around(stack: SliceStack, foreground: Tensor, frames: Tiles, plan: Plan) -> Tiles:
    """Frames of which half lie around the object and half anywhere in the slice.

    In a volume without labels nobody knows where the object is; a network that has seen its
    surroundings only finds it everywhere.
    """
    around = _tiles(stack, foreground, frames, plan).corners
    anywhere = _tiles(stack, torch.ones_like(foreground), frames, plan).corners
    times = max(1, len(anywhere) // len(around))
    return Tiles(frames.size, around * times + anywhere, frames.reduction)
