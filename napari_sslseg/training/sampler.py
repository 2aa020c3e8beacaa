"""Batches of crops: labelled slices, unlabelled slices, and the labels propagated to them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..methods.frameworks.base import Batch
from ..volume.annotation import NOT_ANNOTATED
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


class Sampler:
    """Draws batches around the object.

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
        inked = (ink != NOT_ANNOTATED).flatten(1).sum(1).float()
        self._labelled = inked  # partial slices are drawn as often as they hold ink
        blank = (ink == NOT_ANNOTATED).flatten(1).any(1)
        self._unlabelled = blank.float()
        foreground = 1 - prior.probabilities[:, 0].float()
        likely = foreground.amax(0) > 0.3
        painted = ((ink > 0) & (ink != NOT_ANNOTATED)).any(0)
        self._rows, self._columns = _extent(likely | painted)

    def draw(self) -> Batch:
        """Return one batch on the plan's device."""
        plan = self._plan
        labelled = self._pick(self._labelled, plan.labelled)
        unlabelled = self._pick(self._unlabelled, plan.unlabelled)
        label_boxes, other_boxes = self._boxes(len(labelled)), self._boxes(len(unlabelled))
        use = plan.use_prior

        def crop(maps: Tensor, boxes: list[tuple[int, int]], value: float | None) -> Tensor:
            h, w = plan.patch
            pieces = []
            for one, (top, left) in zip(maps, boxes, strict=True):
                piece = one[..., top : top + h, left : left + w]
                pad = (0, w - piece.shape[-1], 0, h - piece.shape[-2])
                if any(pad):
                    if value is None:
                        piece = _replicate(piece, pad)
                    else:
                        piece = F.pad(piece, pad, value=value)
                pieces.append(piece)
            return torch.stack(pieces).to(plan.device, non_blocking=True)

        prior = self._prior
        return Batch(
            crop(self._stack.context(labelled), label_boxes, None),
            crop(self._ink[labelled], label_boxes, NOT_ANNOTATED),
            crop(self._stack.context(unlabelled), other_boxes, None),
            crop(prior.probabilities[unlabelled], other_boxes, 0).float() if use else None,
            crop(prior.weight[unlabelled], other_boxes, 0).float() if use else None,
            crop(prior.probabilities[labelled], label_boxes, 0).float() if use else None,
            crop(prior.weight[labelled], label_boxes, 0).float() if use else None,
        )

    def _pick(self, weights: Tensor, count: int) -> Tensor:
        if float(weights.sum()) == 0:
            return torch.empty(0, dtype=torch.int64)
        return torch.multinomial(weights, count, replacement=True, generator=self._generator)

    def _boxes(self, count: int) -> list[tuple[int, int]]:
        """Corners of crops whose centre lies within the object's extent."""
        height, width = self._stack.image.shape[-2:]
        h, w = self._plan.patch
        boxes = []
        for _ in range(count):
            a, b = torch.rand(2, generator=self._generator).tolist()
            y = self._rows[0] + a * (self._rows[1] - self._rows[0])
            x = self._columns[0] + b * (self._columns[1] - self._columns[0])
            boxes.append(
                (
                    min(max(int(y - h / 2), 0), max(height - h, 0)),
                    min(max(int(x - w / 2), 0), max(width - w, 0)),
                )
            )
        return boxes


def _replicate(piece: Tensor, pad: tuple[int, int, int, int]) -> Tensor:
    return F.pad(piece[None], pad, mode="replicate")[0]


def _extent(mask: Tensor) -> tuple[tuple[int, int], tuple[int, int]]:
    if not bool(mask.any()):
        return (0, mask.shape[0] - 1), (0, mask.shape[1] - 1)
    rows = torch.nonzero(mask.any(1)).flatten()
    columns = torch.nonzero(mask.any(0)).flatten()
    return (int(rows[0]), int(rows[-1])), (int(columns[0]), int(columns[-1]))
