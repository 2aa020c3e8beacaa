"""Batches of frames: labelled slices, unlabelled slices, and the labels propagated to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..methods.frameworks.base import Batch
from ..methods.propagation import Propagation
from ..methods.working_region import inked_pixels
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from .plan import Plan
from .stack import SliceStack


@dataclass
class Prior:
    """Labels propagated from the references.

    Parameters
    ----------
    probabilities : Tensor, (Z, K, H, W) float16
    weight : Tensor, (Z, H, W) float16
        Trust in [0, 1].
    """

    probabilities: Tensor
    weight: Tensor

    @classmethod
    def of(cls, propagated: Propagation) -> Prior:
        """Teach propagated probabilities everywhere alike: the weight of every voxel is 1.

        They are soft where they are unsure. To weigh them by their confidence on top would silence
        the object at its borders but not the background around it, and the network would learn
        objects that are too small.
        """
        everywhere = torch.ones(1, dtype=torch.half).expand(propagated.agreement.shape)
        return cls(propagated.probabilities.half(), everywhere)


class Sampler:
    """Draws batches of frames around the object.

    Parameters
    ----------
    stack : SliceStack
    ink : Tensor, (Z, H, W) uint8
        The stack's ink, or a part of it when slices are left out for testing.
    prior : Prior
    plan : Plan
    generator : torch.Generator
    """

    def __init__(
        self, stack: SliceStack, ink: Tensor, prior: Prior, plan: Plan, generator: torch.Generator
    ) -> None:
        self._stack, self._ink, self._prior, self._plan = stack, ink, prior, plan
        self._generator = generator
        inked = inked_pixels(ink)
        self._labelled = inked.float()  # partial slices are drawn as often as they hold ink
        self._unlabelled = (inked < ink[0].numel()).float()
        self._outside = torch.zeros(len(ink), dtype=torch.bool)
        self._outside[stack.outside] = True
        if stack.outside:
            # Background as if it were inked; but all of them together are drawn as often as one
            # whole slice, or the network would hardly ever be shown the object.
            self._labelled[self._outside] = ink[0].numel() / len(stack.outside)
            self._unlabelled[self._outside] = 0.0

    def draw(self) -> Batch:
        """Return one batch on the plan's device."""
        plan = self._plan
        labelled = self._pick(self._labelled, plan.labelled)
        unlabelled = self._pick(self._unlabelled, plan.unlabelled)
        label_boxes, other_boxes = self._corners(len(labelled)), self._corners(len(unlabelled))
        use = plan.use_prior

        def crop(
            maps: Tensor, corners: list[tuple[int, int]], value: float | None = None
        ) -> Tensor:
            pieces = [
                plan.tiles.cut(maps[i : i + 1], corner, value) for i, corner in enumerate(corners)
            ]
            whole = torch.cat(pieces) if pieces else maps.float()
            return whole.to(plan.device, non_blocking=True)

        def crop_labels(labels: Tensor, corners: list[tuple[int, int]]) -> Tensor:
            pieces = [
                plan.tiles.cut_labels(labels[i : i + 1], corner, NOT_ANNOTATED)
                for i, corner in enumerate(corners)
            ]
            whole = torch.cat(pieces) if pieces else labels
            return whole.to(plan.device, non_blocking=True)

        prior = self._prior
        return Batch(
            crop(self._stack.context(labelled), label_boxes),
            crop_labels(self._labels(labelled), label_boxes),
            crop(self._stack.context(unlabelled), other_boxes),
            crop(prior.probabilities[unlabelled], other_boxes, 0) if use else None,
            crop(prior.weight[unlabelled], other_boxes, 0) if use else None,
            crop(prior.probabilities[labelled], label_boxes, 0) if use else None,
            crop(prior.weight[labelled], label_boxes, 0) if use else None,
        )

    def _labels(self, slices: Tensor) -> Tensor:
        labels = self._ink[slices]
        labels[self._outside[slices].to(labels.device)] = BACKGROUND
        return labels

    def _pick(self, weights: Tensor, count: int) -> Tensor:
        if float(weights.sum()) == 0:
            return torch.empty(0, dtype=torch.int64)
        return torch.multinomial(weights, count, replacement=True, generator=self._generator)

    def _corners(self, count: int) -> list[tuple[int, int]]:
        choices = self._plan.tiles.corners
        drawn = torch.randint(len(choices), (count,), generator=self._generator)
        return [choices[int(i)] for i in drawn]
