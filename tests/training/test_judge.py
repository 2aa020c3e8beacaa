"""Proposals from two predictions."""

from __future__ import annotations

import numpy as np
import torch

from napari_sslseg.training.judge import class_thresholds, make_proposal


def test_ink_is_kept_exactly_and_has_no_region(stack, ink):
    torch.manual_seed(0)
    probs = torch.rand(stack.depth, 3, *stack.image.shape[-2:]).softmax(1)
    other = torch.randint(0, 3, stack.ink.shape)
    proposal, shares = make_proposal("X", stack, probs, other, torch.full((3,), 0.4), {})
    inked = ink != 255
    assert np.array_equal(proposal.classes[inked], ink[inked])
    assert not proposal.regions[inked].any()
    assert (proposal.regions[~inked] > 0).all()
    assert set(np.unique(proposal.classes)) <= {0, 3, 5}
    assert abs(sum(shares.values()) - 1) < 1e-6


def test_regions_follow_agreement_and_confidence(stack):
    probs = torch.zeros(stack.depth, 3, *stack.image.shape[-2:])
    probs[:, 1], probs[:, 0] = 0.6, 0.4
    probs[0, 1], probs[0, 0] = 0.95, 0.05
    other = torch.ones(stack.ink.shape, dtype=torch.int64)
    other[2:] = 2
    proposal, _ = make_proposal("X", stack, probs, other, torch.full((3,), 0.9), {})
    assert set(np.unique(proposal.regions[0])) == {1}  # agree, sure
    assert set(np.unique(proposal.regions[2])) == {4}  # disagree, unsure
    assert set(np.unique(proposal.regions[3])) == {4}
    assert proposal.confidence[0, 0, 0] == round(0.95 * 255)


def test_thresholds_are_mean_confidences_near_the_object():
    probs = torch.zeros(1, 2, 20, 20)
    probs[:, 0] = 1
    probs[0, :, 8:12, 8:12] = torch.tensor([0.2, 0.8])[:, None, None]
    thresholds = class_thresholds(probs)
    assert abs(float(thresholds[1]) - 0.8 * 16 / 17) < 1e-6
    assert 0.9 < float(thresholds[0]) <= 1
