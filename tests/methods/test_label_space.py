"""Exclusive and overlapping classes through the same losses."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.label_space import LabelSpace
from napari_sslseg.methods.losses import masked_dice, supervised_loss

BOTH = pytest.mark.parametrize("overlapping", [False, True])


def test_two_exclusive_answers_are_a_sigmoid():
    space = LabelSpace(3, overlapping=True)
    logits = torch.randn(2, 3, 4, 5)
    exclusive = space.exclusive_logits(logits)
    assert exclusive.shape == (2, 2, 3, 4, 5)
    torch.testing.assert_close(exclusive.softmax(1)[:, 1], logits.sigmoid())
    probs = space.probabilities(logits)
    torch.testing.assert_close(space.exclusive_probabilities(probs), exclusive.softmax(1))


def test_exclusive_classes_are_left_as_they_are():
    space = LabelSpace(3)
    logits, target = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    assert space.exclusive_logits(logits) is logits
    loss = space.supervised_loss(logits, target)
    torch.testing.assert_close(loss, supervised_loss(logits, target))
    confidence, answer = space.decide(logits.softmax(1))
    torch.testing.assert_close(confidence, logits.softmax(1).amax(1))
    assert torch.equal(answer, logits.argmax(1))


def test_overlapping_decision_by_hand():
    confidence, answer = LabelSpace(3, True).decide(torch.tensor([0.97, 0.02, 0.6]).view(1, 3, 1))
    assert answer.flatten().tolist() == [1, 0, 1]
    torch.testing.assert_close(confidence.flatten(), torch.tensor([0.97, 0.98, 0.6]))


def test_overlapping_loss_by_hand():
    space = LabelSpace(2, overlapping=True)
    logits = torch.tensor([[0.0, 2.0], [-1.0, 3.0]]).view(1, 2, 2)
    target = torch.tensor([[1, 255], [0, 1]]).view(1, 2, 2)
    bce = (math.log(2) + math.log1p(math.exp(-1)) + math.log1p(math.exp(-3))) / 3
    p, q, r = 0.5, 1 / (1 + math.e), 1 / (1 + math.exp(-3))
    s = 1e-5
    dice = [1 - (2 * p + s) / (p * p + 1 + s), 1 - (2 * r + s) / (q * q + r * r + 1 + s)]
    expected = 0.5 * (bce + sum(dice) / 2)
    assert space.supervised_loss(logits, target).item() == pytest.approx(expected, rel=1e-5)


@BOTH
def test_certain_soft_labels_are_hard_labels(overlapping):
    space = LabelSpace(3, overlapping)
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 6, 6)
    if overlapping:
        target = torch.randint(0, 2, (2, 3, 6, 6))
        soft = target.float()
        weight = torch.rand(2, 3, 6, 6)
    else:
        target = torch.randint(0, 3, (2, 6, 6))
        soft = F.one_hot(target, 3).permute(0, 3, 1, 2).float()
        weight = torch.rand(2, 6, 6)
    torch.testing.assert_close(
        space.soft_dice(logits, soft, weight), space.dice(logits, target, weight)
    )
    ones = torch.ones(2, 6, 6)
    torch.testing.assert_close(
        space.soft_cross_entropy(logits, soft, ones), space.cross_entropy(logits, target)
    )


@BOTH
def test_nothing_annotated_is_zero_with_zero_gradient(overlapping):
    space = LabelSpace(3, overlapping)
    logits = torch.randn(2, 3, 6, 6, requires_grad=True)
    target = torch.full((2, 3, 6, 6) if overlapping else (2, 6, 6), 255)
    loss = space.supervised_loss(logits, target)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0


def test_each_structure_weighs_alike_in_its_dice():
    space = LabelSpace(2, overlapping=True)
    logits = torch.full((1, 2, 8, 8), -9.0)
    target = torch.zeros(1, 2, 8, 8, dtype=torch.long)
    target[:, 0], target[:, 1, 0, 0] = 1, 1  # one large structure, one of a single pixel
    logits[:, 0] = 9.0
    assert space.dice(logits, target).item() == pytest.approx(0.5, abs=1e-2)
    logits[:, 1, 0, 0] = 9.0
    assert space.dice(logits, target).item() == pytest.approx(0.0, abs=1e-2)


def test_divergence_of_two_predictions_by_hand():
    space = LabelSpace(2)
    p = torch.tensor([0.9, 0.1]).log().view(1, 2, 1)
    q = torch.tensor([0.6, 0.4]).log().view(1, 2, 1)
    kl = [0.9 * math.log(1.5) + 0.1 * math.log(0.25), 0.6 * math.log(2 / 3) + 0.4 * math.log(4)]
    assert space.consistency(p, q).item() == pytest.approx(sum(kl) / 2, rel=1e-5)
    assert space.consistency(p, p).item() == 0


def test_dice_of_soft_labels_by_hand():
    space = LabelSpace(2)
    logits = torch.zeros(1, 2, 1)
    soft = torch.tensor([0.8, 0.2]).view(1, 2, 1)
    dice = [1 - 0.8 / (0.25 + 0.64), 1 - 0.2 / (0.25 + 0.04)]
    found = space.soft_dice(logits, soft, torch.ones(1, 1)).item()
    assert found == pytest.approx(sum(dice) / 2, abs=1e-4)


@pytest.mark.parametrize("overlapping", [False, True])
def test_absent_classes_are_left_out_of_every_dice_if_asked_for(overlapping):
    space = LabelSpace(3, overlapping)
    logits = torch.zeros(1, 3, 1, 4)
    hard = torch.tensor([[[0, 1, 1, 0]]])
    maps = torch.nn.functional.one_hot(hard, 3).movedim(-1, 1)  # class 2 is nowhere
    target, weight = (maps, torch.ones(1, 3, 1, 4)) if overlapping else (hard, torch.ones(1, 1, 4))
    there = space.probabilities(logits)[0, 0, 0, 0].item()
    alone = 1 - (2 * 2 * there) / (4 * there**2 + 2)  # of each of the two classes that are there
    assert space.dice(logits, target, weight, absent=False).item() == pytest.approx(alone, abs=1e-4)
    soft = space.soft_dice(logits, maps.float(), weight, absent=False)
    assert soft.item() == pytest.approx(alone, abs=1e-4)


def test_background_counts_as_a_class_only_where_classes_exclude_each_other():
    probs = torch.rand(1, 2, 5)
    target = torch.zeros(1, 5, dtype=torch.long)
    assert masked_dice(probs, target) != LabelSpace(2, True).dice(
        torch.logit(probs), torch.zeros(1, 2, 5)
    )


def test_only_counted_pixels_enter_the_soft_cross_entropy_where_classes_overlap():
    space = LabelSpace(2, overlapping=True)
    half = torch.full((1, 2, 1, 4), 0.5)
    weight = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    counted = (weight > 0)[:, None].expand(1, 2, 1, 4)
    loss = space.soft_cross_entropy(torch.zeros(1, 2, 1, 4), half, weight, counted)
    assert loss.item() == pytest.approx(math.log(2))


def test_the_whole_supervised_loss_has_the_dice_of_the_foreground():
    space = LabelSpace(3)
    logits, target = torch.zeros(1, 3, 1, 4), torch.tensor([[[0, 0, 0, 1]]])
    dice = masked_dice(logits.softmax(1), target, background=False)
    expected = math.log(3) + dice.item()
    assert space.whole_supervised_loss(logits, target).item() == pytest.approx(expected)
