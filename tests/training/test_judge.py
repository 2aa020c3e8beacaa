"""Proposals from two predictions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sslseg.methods.confidence import estimate_confidence
from napari_sslseg.methods.voxel_evidence import Predictions
from napari_sslseg.training.expected_overlap import ExpectedOverlap
from napari_sslseg.training.judge import (
    DISCREPANT,
    DISCREPANT_READ,
    RAISED_READ,
    Limits,
    class_thresholds,
    judge_voxels,
    make_proposal,
    raised_network,
    raised_read,
)
from napari_sslseg.training.trusted_share import EVEN, LEAST_SURE
from napari_sslseg.volume.proposal import object_neighbourhood

LIMITS = Limits(0.4, 0.2)


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


def test_thresholds_are_mean_confidences_near_the_object():
    classes = torch.zeros(1, 20, 20, dtype=torch.int64)
    classes[0, 8:12, 8:12] = 1
    confidence = torch.full((1, 20, 20), 0.95)
    confidence[0, 8:12, 8:12] = 0.8
    confidence[0, 8, 8] = 0.1
    counted = torch.from_numpy(object_neighbourhood(classes.to(torch.uint8).numpy()))
    counted[0, 8, 8] = False
    thresholds = class_thresholds(confidence, classes, counted, 3)
    assert abs(float(thresholds[1]) - 0.8 * 15 / 16) < 1e-6
    near = (18 - 8) ** 2 - 16  # the object, grown by three voxels in the slice
    assert abs(float(thresholds[0]) - 0.95 * near / (near + 1)) < 0.01
    assert abs(float(thresholds[2]) - 0.9) < 1e-6  # a class that is not proposed keeps the initial


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


def test_outside_is_confident_whatever_its_certainty():
    certainty, zeros = torch.full((2,), 0.1), torch.zeros(2, dtype=torch.long)
    ink = torch.full((2,), 255, dtype=torch.uint8)
    outside = torch.tensor([True, False])
    judged = judge_voxels(
        certainty, zeros, zeros + 1, torch.tensor([0.5, 0.5]), LIMITS, ink, outside
    )
    assert judged.regions.tolist() == [1, 4]


def test_what_is_disputed_is_discrepant_and_never_confident():
    certainty = torch.tensor([0.1, 0.3, 0.3, 0.45])
    named, other = torch.zeros(4, dtype=torch.long), torch.tensor([0, 0, 1, 1])
    ink, outside = torch.full((4,), 255, dtype=torch.uint8), torch.zeros(4, dtype=torch.bool)
    judged = judge_voxels(certainty, named, other, torch.tensor([0.8, 0.8]), LIMITS, ink, outside)
    assert judged.regions.tolist() == [4, 2, 4, 3]


def test_a_network_within_a_mixture_dissents_where_it_outweighs_it():
    # The mixture says class 1 with .6 and .9, its network class 0 with .7 both times.
    mixture = torch.tensor([[[0.4, 0.1]], [[0.6, 0.9]]])
    network = torch.tensor([[[0.7, 0.7]], [[0.3, 0.3]]])
    assert raised_network(mixture, network).tolist() == [[0, 1]]
    volumes = raised_network(torch.stack([mixture, network]), torch.stack([network, network]))
    assert volumes.tolist() == [[[0, 1]], [[0, 0]]]


def test_the_farther_read_dissents_where_it_would_change_the_matching():
    # The matching says class 1 with .6, .7 and .9, then class 0 with .5; the farther read class 0.
    matched = torch.tensor([[[0.3, 0.28, 0.1, 0.5]], [[0.6, 0.7, 0.9, 0.3]], [[0.1, 0, 0, 0.2]]])
    farther = torch.zeros(1, 4, dtype=torch.uint8)
    assert raised_read(matched, farther).tolist() == [[0, 1, 1, 0]]
    torch.manual_seed(0)
    matched, farther = torch.rand(4, 3, 20, 20).softmax(1) ** 2, torch.randint(3, (4, 20, 20))
    matched = matched / matched.sum(1, keepdim=True)
    alone = torch.nn.functional.one_hot(farther, 3).movedim(-1, 1)
    mixture = torch.lerp(matched, alone.float(), RAISED_READ)
    assert torch.equal(raised_read(matched, farther.to(torch.uint8)), mixture.argmax(1))


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
    expected.add(known, certainty, counted)
    assert overlap.dice() == expected.dice()
    for value, threshold in enumerate(proposal.info["thresholds"][:2]):
        alike = (proposed == value) & (other == value) & (certainty > DISCREPANT_READ)
        agreed = certainty[counted & alike]
        assert threshold == pytest.approx(float(agreed.sum()) / (len(agreed) + 1), abs=1e-4)
