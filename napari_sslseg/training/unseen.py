"""Judging a proposal for a volume in which nothing is labelled.

Nothing there tells how good it is. So no voxel is called sure: where the network's plain and
rectified predictions name one class of the object the region is US, where they differ, DC or DS;
agreed background has no region, confidence is even odds at most, and there is no estimate. What
the user says is known all the same: slices outside of the object are background, UC and certain.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..volume.proposal import Proposal, region_shares
from .stack import SliceStack

NAME = "From other volumes"

#: Probability of a voxel on which the two predictions differ above which it is DC, not DS.
LIKELY = 0.5

#: Confidence of a voxel at most: even odds, as nothing in the volume supports more.
MOST = 0.5


def judge_unseen(
    stack: SliceStack, plain: Tensor, rectified: Tensor, info: dict[str, object]
) -> Proposal:
    """Make a proposal of which no voxel is called sure.

    Parameters
    ----------
    stack : SliceStack
        Its class ids and axis.
    plain, rectified : Tensor, (Z, K, H, W)
        The network's two predictions; the plain one is proposed.
    info : dict
    """
    certainty, proposed = plain.max(1)
    classes = proposed.to(torch.uint8).numpy()
    discrepant = (proposed != rectified.argmax(1)).numpy()
    chance = MOST * certainty.numpy()
    regions = np.where(classes > 0, np.uint8(2), np.uint8(0))
    likely = certainty.numpy()[discrepant] > LIKELY
    regions[discrepant] = np.where(likely, np.uint8(3), np.uint8(4))
    classes[stack.outside], regions[stack.outside], chance[stack.outside] = 0, 1, 1.0
    return Proposal(
        NAME,
        stack.to_volume(stack.to_ids(classes)),
        stack.to_volume(regions),
        stack.to_volume((255 * chance).round().clip(0, 255).astype(np.uint8)),
        {**info, "shares": region_shares(regions, classes), "estimate": None},
    )
