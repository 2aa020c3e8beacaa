"""From two predictions to a proposal: classes, confidence and MetaSSL regions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..methods.regions import AdaptiveThresholds, partition
from ..volume.annotation import NOT_ANNOTATED
from ..volume.proposal import Proposal, object_neighbourhood, region_shares
from .stack import SliceStack


def make_proposal(
    name: str,
    stack: SliceStack,
    reference_probs: Tensor,
    supervised_classes: Tensor,
    thresholds: Tensor,
    info: dict[str, object],
) -> tuple[Proposal, dict[str, float]]:
    """Build a proposal whose regions compare it with a second prediction.

    Parameters
    ----------
    name : str
    stack : SliceStack
    reference_probs : Tensor, (Z, K, H, W)
        The prediction that is proposed.
    supervised_classes : Tensor, (Z, H, W)
        Classes of the other prediction.
    thresholds : Tensor, (K,)
        Confidence above which a voxel of a class is not suspicious.
    info : dict
        Kept with the proposal.

    Returns
    -------
    Proposal
        In the volume's axis order and label ids. Ink is kept exactly, without a region.
    dict of str to float
        Share of each region in the object's neighbourhood.
    """
    depth = stack.depth
    shape = tuple(stack.ink.shape)
    classes = np.empty(shape, dtype=np.uint8)
    regions = np.empty(shape, dtype=np.uint8)
    confidence = np.empty(shape, dtype=np.uint8)
    for z in range(depth):
        probs = reference_probs[z : z + 1].float()
        best, index = probs.max(1)
        found = partition(probs, supervised_classes[z : z + 1].long(), thresholds.float().cpu())
        ink = stack.ink[z]
        known = ink != NOT_ANNOTATED
        classes[z] = torch.where(known, ink, index[0].to(torch.uint8)).numpy()
        regions[z] = found[0].masked_fill(known, 0).numpy()
        confidence[z] = (best[0].masked_fill(known, 1.0) * 255).round().clamp(0, 255).byte().numpy()
    shares = region_shares(regions, classes)
    info = {**info, "thresholds": [round(float(t), 4) for t in thresholds], "shares": shares}
    proposal = Proposal(
        name,
        stack.to_volume(stack.to_ids(classes)),
        stack.to_volume(regions),
        stack.to_volume(confidence),
        info,
    )
    return proposal, shares


def near_object(probabilities: Tensor) -> npt.NDArray[np.bool_]:
    """Return the object's neighbourhood, (Z, H, W), of a prediction (Z, K, H, W)."""
    return object_neighbourhood(probabilities.argmax(1).to(torch.uint8).numpy())


def class_thresholds(probabilities: Tensor) -> Tensor:
    """Adaptive thresholds of a prediction that no training has left any for.

    The mean confidence of each class (MetaSSL, one update with rate 1) over the object's
    neighbourhood; over the whole image the far background would push its threshold to 1.

    Parameters
    ----------
    probabilities : Tensor, (Z, K, H, W)

    Returns
    -------
    Tensor, (K,)
    """
    thresholds = AdaptiveThresholds(probabilities.shape[1], rate=1.0)
    mask = torch.from_numpy(near_object(probabilities))
    return thresholds.update(probabilities.float(), mask=mask)
