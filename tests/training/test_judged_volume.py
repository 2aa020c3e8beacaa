"""Proposals from two predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sslseg.methods.confidence import estimate_confidence
from napari_sslseg.methods.voxel_evidence import Predictions
from napari_sslseg.training.expected_overlap import ExpectedOverlap
from napari_sslseg.training.judge import DISCREPANT, DISCREPANT_READ
from napari_sslseg.training.judged_volume import make_proposal
from napari_sslseg.training.trusted_share import EVEN, LEAST_SURE
from napari_sslseg.volume.proposal import object_neighbourhood


def known_of(stack, probs):
    reads = torch.full(stack.ink.shape, 0.9)
    return Predictions(probs, probs, reads, stack.inked())


def test_ink_is_kept_exactly_and_has_no_region(stack, ink):
    torch.manual_seed(0)
    probs = torch.rand(stack.depth, 3, *stack.image.shape[-2:]).softmax(1)
    other = torch.randint(0, 3, stack.ink.shape)
    proposal, shares = make_proposal("X", stack, known_of(stack, probs), other, {})
    inked = ink != 255
    assert np.array_equal(proposal.classes[inked], ink[inked])
    assert not proposal.regions[inked].any()
    assert (proposal.confidence[inked] == 255).all()
    assert (proposal.regions[~inked] > 0).all()
    assert set(np.unique(proposal.classes)) <= {0, 3, 5}
    assert abs(sum(shares.values()) - 1) < 1e-6


def test_regions_follow_agreement_and_confidence(stack):
    torch.manual_seed(0)
    probs = (3 * torch.rand(stack.depth, 3, *stack.image.shape[-2:])).softmax(1)
    known = known_of(stack, probs)
    other = probs.argmax(1)
    other[:, ::2] = (other[:, ::2] + 1) % 3
    proposal, _ = make_proposal("X", stack, known, other, {})
    regions = torch.from_numpy(stack_order(proposal.regions, stack))
    confidence = estimate_confidence(known)
    open_ = regions > 0
    differs = torch.zeros_like(open_)
    differs[:, ::2] = True
    likely_wrong = confidence <= DISCREPANT_READ  # which nothing agrees on
    assert bool((likely_wrong & ~differs & open_).any())
    differs |= likely_wrong
    assert torch.equal(regions[open_] >= 3, differs[open_])
    discrepant = open_ & differs
    assert torch.equal(regions[discrepant] == 3, confidence[discrepant] > DISCREPANT_READ)
    for value in range(3):
        alike = open_ & ~differs & (probs.argmax(1) == value)
        surest = confidence[alike & (regions == 1)]
        unsure = confidence[alike & (regions == 2)]
        if len(surest) and len(unsure):
            assert surest.min() > unsure.max() - 1e-6


@pytest.mark.parametrize(("contrast", "limit"), [(0.5, 0.4), (2.2, 0.45), (6.0, 0.5)])
def test_beside_a_network_less_chance_makes_a_discrepant_voxel_confident(stack, contrast, limit):
    torch.manual_seed(0)
    probs = (contrast * torch.rand(stack.depth, 3, *stack.image.shape[-2:])).softmax(1)
    known = replace(known_of(stack, probs), network=probs, calibrated=True)
    proposal, _ = make_proposal("X", stack, known, (probs.argmax(1) + 1) % 3, {})
    regions = torch.from_numpy(stack_order(proposal.regions, stack))
    confidence, judged = estimate_confidence(known), regions > 0
    # The least sure quarter is DS, as far as they are no likelier right than wrong.
    least = min(max(float(confidence[judged].quantile(LEAST_SURE)), DISCREPANT), EVEN)
    assert least == pytest.approx(limit, abs=0.02)
    clear = judged & ((confidence - least).abs() > 2e-3)
    assert torch.equal(regions[clear] == 3, confidence[clear] > least)


def stack_order(volume, stack):
    return np.ascontiguousarray(np.moveaxis(volume, stack.axis, 0))


def test_slices_outside_are_background_without_a_doubt(stack, ink):
    torch.manual_seed(0)
    stack.outside = [0, 13]
    stack.ink[13, 2, 3] = 0
    probs = torch.rand(stack.depth, 3, *stack.image.shape[-2:]).softmax(1)
    other = torch.randint(0, 3, stack.ink.shape)
    proposal, _ = make_proposal("X", stack, known_of(stack, probs), other, {})
    assert not proposal.classes[[0, 13]].any()
    assert (proposal.confidence[[0, 13]] == 255).all()
    assert (proposal.regions[0] == 1).all()
    assert proposal.regions[13, 2, 3] == 0  # ink has no region
    assert np.count_nonzero(proposal.regions[13] != 1) == 1
    stack.outside = []
    free, _ = make_proposal("X", stack, known_of(stack, probs), other, {})
    assert np.array_equal(free.classes[1:13], proposal.classes[1:13])


def test_thresholds_and_expected_overlap_are_of_open_voxels_near_the_object(stack):
    torch.manual_seed(0)
    stack.outside = [7]
    stack.ink[6, :9] = 0  # a stroke across the object
    logits = torch.rand(stack.depth, 3, *stack.image.shape[-2:])
    logits[:, 0] += 1.5
    logits[:, 1, 5:11, 5:11] += 2.5
    known = known_of(stack, logits.softmax(1))
    overlap, proposed = ExpectedOverlap(stack.class_ids), logits.argmax(1)
    other = proposed.clone()
    other[:, ::3] = 2
    proposal, _ = make_proposal("X", stack, known, other, {}, overlap)
    proposed[7] = 0
    certainty = estimate_confidence(known)
    counted = torch.from_numpy(object_neighbourhood(proposed.to(torch.uint8).numpy()))
    assert not counted.all()
    assert counted[6, :9].any()
    counted &= stack.ink == 255
    counted[7] = False
    expected = ExpectedOverlap(stack.class_ids)
    for z in range(stack.depth):
        if expected.covers(known, z):
            expected.add_slice(known.proposed[z], certainty[z], counted[z])
    assert overlap.dice() == expected.dice()
    for value, threshold in enumerate(proposal.info["thresholds"][:2]):
        alike = (proposed == value) & (other == value) & (certainty > DISCREPANT_READ)
        agreed = certainty[counted & alike]
        assert threshold == pytest.approx(float(agreed.sum()) / (len(agreed) + 1), abs=1e-4)
    # A class that is not proposed keeps the initial threshold.
    assert proposal.info["thresholds"][2] == pytest.approx(0.9)
