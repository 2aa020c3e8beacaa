"""Losses that leave pixels out, against hand-computed values."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.losses import (
    cross_entropy,
    masked_dice,
    one_hot,
    soft_cross_entropy,
    soft_overlapping_dice,
    supervised_loss,
    weighted_mean,
)


def test_dice_by_hand():
    # Two pixels, two classes; p(class 1) = .75 where the target is 1, .5 where it is 0.
    probs = torch.tensor([[[0.25, 0.5]], [[0.75, 0.5]]]).view(1, 2, 1, 2)
    target = torch.tensor([[[1, 0]]])
    s = 1e-5
    background = 1 - (2 * 0.5 + s) / (0.25**2 + 0.5**2 + 1 + s)
    foreground = 1 - (2 * 0.75 + s) / (0.75**2 + 0.5**2 + 1 + s)
    expected = (background + foreground) / 2
    assert masked_dice(probs, target).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("how", ["ignore", "mask"])
def test_pixels_left_out_equal_pixels_cut_away(how):
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    kept_logits, kept_target = logits[..., :5], target[..., :5]
    mask = torch.zeros(2, 8, 8)
    mask[..., :5] = 1
    if how == "ignore":
        target, mask = target.masked_fill(mask == 0, 255), None
    dice = masked_dice(logits.softmax(1), target, mask)
    assert dice.item() == pytest.approx(masked_dice(kept_logits.softmax(1), kept_target).item())
    ce = cross_entropy(logits, target, mask)
    assert ce.item() == pytest.approx(F.cross_entropy(kept_logits, kept_target).item(), rel=1e-5)


def test_nothing_annotated_is_zero_with_zero_gradient():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = supervised_loss(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_supervised_loss_is_half_of_each():
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    expected = 0.5 * (F.cross_entropy(logits, target) + masked_dice(logits.softmax(1), target))
    assert torch.isclose(supervised_loss(logits, target), expected)


def test_soft_labels_that_are_hard_give_plain_cross_entropy():
    logits, target = torch.randn(2, 3, 5, 5), torch.randint(0, 3, (2, 5, 5))
    soft = soft_cross_entropy(logits, one_hot(target, 3), torch.ones(2, 5, 5))
    assert torch.isclose(soft, F.cross_entropy(logits, target))


def test_soft_cross_entropy_weighs_pixels_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]]).view(1, 2, 1, 2)
    probs = torch.tensor([[0.5, 0.0], [0.5, 1.0]]).view(1, 2, 1, 2)
    weight = torch.tensor([[[1.0, 0.5]]])
    expected = (math.log(2) + 0.5 * math.log(4)) / 2
    assert soft_cross_entropy(logits, probs, weight).item() == pytest.approx(expected)
    only_second = soft_cross_entropy(logits, probs, weight, torch.tensor([[[False, True]]]))
    assert only_second.item() == pytest.approx(0.5 * math.log(4))


def test_soft_labels_of_little_trust_have_little_say():
    logits, probs = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4).softmax(1)
    full, tenth = (soft_cross_entropy(logits, probs, torch.full((1, 4, 4), w)) for w in (1, 0.1))
    assert tenth.item() == pytest.approx(0.1 * full.item(), rel=1e-5)


def test_losses_take_volumes():
    logits, target = torch.randn(1, 2, 3, 4, 5), torch.randint(0, 2, (1, 3, 4, 5))
    assert supervised_loss(logits, target).isfinite()


def test_classes_without_a_target_can_be_left_out_of_the_dice_by_hand():
    probs = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1]]).T[None]  # (1, 3, 2)
    target = torch.tensor([[0, 1]])
    dice = [
        1 - (2 * 0.6 + 1e-5) / (0.36 + 0.04 + 1 + 1e-5),
        1 - (2 * 0.7 + 1e-5) / (0.09 + 0.49 + 1 + 1e-5),
        1 - 1e-5 / (0.02 + 1e-5),
    ]
    assert masked_dice(probs, target).item() == pytest.approx(sum(dice) / 3)
    assert masked_dice(probs, target, absent=False).item() == pytest.approx(sum(dice[:2]) / 2)
    # What no weight is left of is absent too.
    weight = torch.tensor([[1.0, 0.0]])
    alone = 1 - (2 * 0.6 + 1e-5) / (0.36 + 1 + 1e-5)
    assert masked_dice(probs, target, weight, absent=False).item() == pytest.approx(alone)
    assert masked_dice(probs, target, 0 * weight, absent=False).item() == 0


def test_dice_of_an_absent_class_pulls_the_harder_the_less_is_left_of_it():
    ratios = []
    for p in (0.01, 0.001, 0.0003):
        logits = torch.zeros(1, 2, 100, 100)
        logits[:, 0] = math.log((1 - p) / p)
        logits.requires_grad_(True)
        target = torch.zeros(1, 100, 100, dtype=torch.long)
        pulls = []
        for loss in (
            masked_dice(logits.softmax(1), target),
            masked_dice(logits.softmax(1), target, absent=False),
            cross_entropy(logits, target),
        ):
            (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
            pulls.append(gradient[0, 1, 0, 0].item())
        ratios.append([pull / pulls[2] for pull in pulls[:2]])
    assert ratios[0][0] < 0.1
    assert ratios[2][0] > 10
    assert all(without < 0.1 for _, without in ratios)


def test_soft_labels_that_are_met_cost_nothing_where_classes_overlap():
    soft = torch.tensor([[[[0.5, 0.2]], [[0.3, 0.9]]]])
    loss = soft_overlapping_dice(soft, soft, torch.ones(1, 1, 1, 2))
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_a_mean_with_small_weights_is_a_mean():
    assert weighted_mean(
        torch.tensor([1.0, 3.0]), torch.tensor([0.1, 0.3])
    ).item() == pytest.approx(2.5)


def test_dice_without_any_class_to_average_is_zero_with_zero_gradient():
    logits = torch.randn(1, 1, 3, 3, requires_grad=True)
    target = torch.zeros(1, 3, 3, dtype=torch.long)
    loss = masked_dice(logits.softmax(1), target, background=False)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
