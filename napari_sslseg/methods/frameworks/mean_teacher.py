"""Mean Teacher (Tarvainen and Valpola, 2017), plain or with MetaSSL."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..ramps import Scalar, warm_up
from .base import Batch, Framework, FrameworkConfig, PredictionPair, weighted_total
from .modes import without_dropout


@dataclass(frozen=True)
class MeanTeacherConfig(FrameworkConfig):
    """Settings of Mean Teacher.

    Attributes
    ----------
    decay
        Of the moving average: ``min(1 - 1 / (t + 1), 0.99)``, the value shared by the published
        medical baselines, so that the teacher follows closely at first.
    noise
        Standard deviation of the noise on the teacher's images, clipped at twice its size. Only the
        plain method uses it: with MetaSSL both networks see the same images, as released.
    consistency
        Largest weight of the unlabelled loss. 1, as the normalised heterogeneous loss and the
        squared difference are both small next to the supervised loss.
    ramp_end
        Share of the training at which that weight is reached; 0.4 gives the teacher time to become
        better than the student.
    labelled_reference
        Whose prediction partitions the labelled pixels, with MetaSSL: the ``"teacher"``'s, which is
        the reference elsewhere too, as the paper draws it; or the ``"student"``'s own, as in the
        released scripts.
    teacher_dropout
        Whether dropout acts in the teacher, as in the released scripts, which leave it in training
        mode. Without, what teaches is less noisy; batch statistics are those of training either
        way.
    """

    decay: float = 0.99
    noise: float = 0.1
    consistency: float = 1.0
    ramp_end: float = 0.4
    labelled_reference: Literal["teacher", "student"] = "teacher"
    teacher_dropout: bool = False


class MeanTeacher(Framework):
    """A student learns from a moving average of itself; the student predicts."""

    config: MeanTeacherConfig
    compares_labelled = True
    steps: Tensor

    def __init__(
        self, in_channels: int, classes: int, config: MeanTeacherConfig | None = None
    ) -> None:
        super().__init__(in_channels, classes, config or MeanTeacherConfig())
        self.teacher = copy.deepcopy(self.network).requires_grad_(False)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        nl, nu = batch.labelled_count, batch.unlabelled_count
        images = torch.cat([batch.labelled_image, batch.unlabelled_image])
        student_l, student_u = self.network(images).split([nl, nu])
        calm = nullcontext() if self.config.teacher_dropout else without_dropout(self.teacher)
        with torch.no_grad(), calm:
            seen = images if self.config.metassl else self._noisy(images, generator)
            teacher_l, teacher_u = self.space.probabilities(self.teacher(seen)).split([nl, nu])
        parts = self.labelled_losses(student_l, batch) | self.prior_loss(student_u, batch)
        unlabelled = [PredictionPair(teacher_u, student_u)] if nu else []
        reference_l, other = teacher_l, self.space.probabilities(student_l.detach())
        if self.config.labelled_reference == "student":
            reference_l, other = other, reference_l
        answers = self.space.decide(other)[1]
        labelled = [PredictionPair(reference_l, student_l, compared=answers)]
        self.metassl.observe(unlabelled, labelled, batch.labelled_target)
        if self.config.metassl:
            parts["labelled_regions"] = self.metassl.labelled(labelled, batch.labelled_target)
        if nu and self.config.metassl:
            parts["unlabelled"] = self.metassl.unlabelled(unlabelled)
        elif nu:
            student = self.space.probabilities(student_u)
            parts["unlabelled"] = (student - teacher_u).square().mean()
        ramp = self.config.consistency * warm_up(progress, 0.0, self.config.ramp_end)
        weights = {"supervised": 1.0, "labelled_regions": ramp, "unlabelled": ramp}
        return weighted_total(parts, weights | self.prior_weights)

    def _noisy(self, images: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(images.shape, generator=generator, device=generator.device)
        return images + (self.config.noise * drawn.clamp(-2, 2)).to(images)

    @torch.no_grad()
    def after_step(self) -> None:
        """Move the teacher's parameters; its normalisation statistics are its own."""
        # A tensor, so that nothing waits for the device to tell how many steps there were. After
        # the first one the teacher is the student: what it began with does not count.
        rate = (1 / (self.steps + 1)).clamp_min(1 - self.config.decay)
        self.steps += 1
        for slow, fast in zip(self.teacher.parameters(), self.network.parameters(), strict=True):
            slow.lerp_(fast, rate.to(slow))
