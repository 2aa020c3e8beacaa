"""Judging a proposal for a volume in which nothing is labelled."""

from __future__ import annotations

import torch

from napari_sslseg.training.unseen import MOST, judge_unseen


def test_nothing_is_called_sure_but_what_the_user_says(stack):
    torch.manual_seed(0)
    stack.outside = [0, 13]
    shape = (stack.depth, stack.classes, *stack.image.shape[-2:])
    plain, rectified = ((3 * torch.rand(shape)).softmax(1) for _ in range(2))
    proposal = judge_unseen(stack, plain, rectified, {})
    assert not proposal.classes[[0, 13]].any()
    assert (proposal.regions[[0, 13]] == 1).all()
    assert (proposal.confidence[[0, 13]] == 255).all()
    inside = slice(1, 13)
    assert proposal.confidence[inside].max() <= 255 * MOST + 1
    assert not (proposal.regions[inside] == 1).any()
    assert set(proposal.classes[inside].ravel().tolist()) == {0, 3, 5}
