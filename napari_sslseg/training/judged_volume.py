"""From predictions to a proposal: classes, confidence and MetaSSL regions, slice by slice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..methods.check_point import check_point
from ..methods.confidence import confidence_slices
from ..methods.regions import AdaptiveThresholds
from ..methods.storage import InMemory, Storage
from ..methods.voxel_evidence import Predictions
from ..volume.annotation import NOT_ANNOTATED
from ..volume.proposal import Proposal, neighbourhood_slab, shares_of
from .expected_overlap import ExpectedOverlap
from .judge import dissent, judge_voxels, limits_of
from .stack import SliceStack
from .trusted_share import TrustedShare


@dataclass(frozen=True)
class JudgedVolume:
    """A proposal, slicing axis first, with how far each voxel can be trusted.

    Parameters
    ----------
    classes, regions : Tensor of uint8, (Z, H, W)
        Class indices, and `Region` codes; ink as it is, without a region.
    certainty : Tensor of float32, (Z, H, W)
        Chance of being right; 1 where inked.
    thresholds : Tensor, (classes,)
        What a unanimous voxel of each class must exceed to be confident.
    shares : dict of str to float
        Share of each region in the object's neighbourhood.
    """

    classes: Tensor
    regions: Tensor
    certainty: Tensor
    thresholds: Tensor
    shares: dict[str, float]


def judge_volume(
    stack: SliceStack,
    known: Predictions,
    other: Tensor,
    storage: Storage | None = None,
    overlap: ExpectedOverlap | None = None,
    progress: Callable[[float], object] = lambda share: None,
) -> JudgedVolume:
    """Judge a prediction by comparing it with a second one, slice by slice.

    A voxel is discrepant where the predictions name two classes, or another class than the proposed
    one is likelier (`judge.dissent`), else unanimous. A unanimous voxel is confident when
    the chance that it is right exceeds the mean of its class, MetaSSL's adaptive threshold in one
    update with rate 1 (over unanimous voxels near the object; over the whole image the far
    background would push its threshold to 1), or somewhat less
    where little is to be expected wrong (`TrustedShare`); a discrepant one when it exceeds
    `judge.DISCREPANT`, or `DISCREPANT_READ`, or somewhat more where hardly a voxel has less.

    Parameters
    ----------
    stack : SliceStack
        Slices outside of the object, as the user says, are background, UC and certain.
    known : Predictions
        What is proposed, and what tells how far it can be trusted.
    other : Tensor, (Z, H, W)
        Classes of the second prediction.
    storage : Storage, optional
        Where the results are kept; default: in memory.
    overlap : ExpectedOverlap, optional
        The voxels without ink near the proposed object are added to it; what is said farther away
        was not fitted on anything, and would count the more the larger the image is.
    progress : callable
        Called with the finished part in [0, 1].
    """
    storage = storage or InMemory()
    shape, limits = tuple(stack.ink.shape), limits_of(known)
    classes, regions = (storage.zeros(shape, torch.uint8) for _ in range(2))
    certainty = storage.zeros(shape, torch.float32)
    outside = torch.zeros(shape[0], dtype=torch.bool)
    outside[stack.outside] = True
    inside = [z for z in range(shape[0]) if not outside[z]]

    def told(z: int, begin: float, end: float) -> None:
        storage.release()
        progress(begin + (end - begin) * (z + 1) / shape[0])

    for z in inside:
        check_point()
        classes[z] = known.proposed[z].float().max(0).indices
        told(z, 0.0, 0.1)
    means = _Means(stack.classes)
    for z, sure in enumerate(confidence_slices(known)):
        certainty[z] = 1.0 if outside[z] else sure
        if not outside[z]:
            open_ = _open(stack, classes, z)
            if overlap is not None and overlap.covers(known, z):
                overlap.add_slice(known.proposed[z], certainty[z], open_)
            agreed = open_ & ~dissent(certainty[z], classes[z], other[z], limits)
            means.add(certainty[z][agreed], classes[z][agreed])
        told(z, 0.1, 0.6)
    share = TrustedShare(means.thresholds())
    for z in inside:
        open_ = _open(stack, classes, z)
        agreed = open_ & ~dissent(certainty[z], classes[z], other[z], limits)
        share.add(certainty[z], classes[z], agreed, open_)
        told(z, 0.6, 0.7)
    thresholds = share.lowered()
    limits = limits._replace(confident=share.confident(limits.confident))
    for z in range(shape[0]):
        one = certainty[z], classes[z], other[z], thresholds, limits, stack.ink[z], outside[z]
        judged = judge_voxels(*one)
        classes[z], regions[z], certainty[z] = judged.classes, judged.regions, judged.certainty
        told(z, 0.7, 0.85)
    counts = np.zeros(5)
    for z in range(shape[0]):
        near = neighbourhood_slab(classes.numpy(), z)
        counts += np.bincount(regions[z].numpy()[near], minlength=5)
        told(z, 0.85, 1.0)
    return JudgedVolume(classes, regions, certainty, thresholds, shares_of(counts))


def _open(stack: SliceStack, classes: Tensor, z: int) -> Tensor:
    """Return which voxels (H, W) of a slice are near the object, and not inked."""
    near = torch.from_numpy(neighbourhood_slab(classes.numpy(), z))
    return near & (stack.ink[z] == NOT_ANNOTATED)


class _Means:
    """Mean certainty of each class, with one more voxel of which nothing is known."""

    def __init__(self, number: int) -> None:
        self._sums = torch.zeros(number, dtype=torch.float64)
        self._counts = torch.zeros(number, dtype=torch.float64)

    def add(self, certainty: Tensor, classes: Tensor) -> None:
        number = len(self._sums)
        self._sums += torch.bincount(classes, certainty.double(), number)
        self._counts += torch.bincount(classes, minlength=number)

    def thresholds(self) -> Tensor:
        """Return MetaSSL's thresholds (classes,); a class that does not occur has the initial."""
        initial = AdaptiveThresholds(len(self._sums), rate=1.0).get()
        means = (self._sums / (self._counts + 1)).float()
        return torch.where(self._counts > 0, means, initial)


def make_proposal(
    name: str,
    stack: SliceStack,
    known: Predictions,
    other: Tensor,
    info: dict[str, object],
    overlap: ExpectedOverlap | None = None,
) -> tuple[Proposal, dict[str, float]]:
    """Build a proposal of a volume that the memory holds as a whole.

    Parameters
    ----------
    name : str
    stack, known, other, overlap
        See `judge_volume`.
    info : dict
        Kept with the proposal.

    Returns
    -------
    Proposal
        In the volume's axis order and label ids.
    dict of str to float
        Share of each region in the object's neighbourhood.
    """
    judged = judge_volume(stack, known, other, None, overlap)
    proposal = Proposal(
        name,
        stack.to_volume(stack.to_ids(judged.classes.numpy())),
        stack.to_volume(judged.regions.numpy()),
        stack.to_volume((judged.certainty * 255).round().clamp(0, 255).byte().numpy()),
        about(judged, info),
    )
    return proposal, judged.shares


def about(judged: JudgedVolume, info: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept with a proposal: how it was judged, and more."""
    thresholds = [round(float(t), 4) for t in judged.thresholds]
    return {**info, "thresholds": thresholds, "shares": judged.shares}
