"""MetaSSL: the heterogeneous loss."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.heterogeneous import heterogeneous_loss
from napari_sslseg.methods.regions import Region, region_weights


@pytest.mark.parametrize("shape", [(6, 7), (3, 4, 5)])
def test_equal_weights_reduce_to_plain_cross_entropy(shape):
    logits, target = torch.randn(2, 3, *shape), torch.randint(0, 3, (2, *shape))
    regions = torch.randint(1, 5, (2, *shape), dtype=torch.uint8)
    loss = heterogeneous_loss(logits, target, regions, torch.full((5,), 7.0))
    assert torch.isclose(loss, F.cross_entropy(logits, target))


def _four_pixels():
    # Cross-entropies of log 2, log 2, log 4, log 4 for target class 1.
    z = torch.tensor([0.0, 0.0, -math.log(3), -math.log(3)])
    logits = torch.stack([torch.zeros(4), z])[None, :, None]
    return logits, torch.ones(1, 1, 4, dtype=torch.long)


def test_weight_map_by_hand():
    logits, target = _four_pixels()
    regions = torch.tensor([[[1, 2, 3, 0]]], dtype=torch.uint8)
    weights = torch.tensor([9.0, 4, 2, 1, 0.5])
    expected = (4 * math.log(2) + 2 * math.log(2) + 1 * math.log(4)) / 7
    loss = heterogeneous_loss(logits, target, regions, weights)
    assert loss.item() == pytest.approx(expected)


def test_region_mean_by_hand_with_foreground_and_background_apart():
    logits, target = _four_pixels()
    target = torch.tensor([[[1, 0, 1, 1]]])  # pixel 1 is background with CE log 2
    regions = torch.tensor([[[1, 1, 1, 3]]], dtype=torch.uint8)
    weights = torch.tensor([0.0, 4, 2, 1, 0.5])
    foreground = 4 * (math.log(2) + math.log(4)) / 3
    background = 4 * math.log(2) / 2
    expected = foreground + background + 1 * math.log(4) / 2
    loss = heterogeneous_loss(logits, target, regions, weights, "region_mean")
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("normalisation", ["weight_map", "region_mean"])
def test_nothing_to_learn_from_is_zero_with_zero_gradient(normalisation):
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    target = torch.full((1, 3, 3), 255)
    regions = torch.ones(1, 3, 3, dtype=torch.uint8)
    loss = heterogeneous_loss(logits, target, regions, region_weights(), normalisation)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_trust_silences_pixels_but_does_not_make_the_others_louder():
    logits, target = _four_pixels()
    regions = torch.tensor([[[1, 1, 1, 2]]], dtype=torch.uint8)
    weights, trust = torch.tensor([0.0, 4, 2, 1, 0.5]), torch.tensor([[[1.0, 0.5, 0.0, 1.0]]])
    losses = [math.log(2), 0.5 * math.log(2), 0.0, math.log(4)]
    loss = heterogeneous_loss(logits, target, regions, weights, trust=trust)
    expected = (4 * sum(losses[:3]) + 2 * losses[3]) / 14
    assert loss.item() == pytest.approx(expected)
    loss = heterogeneous_loss(logits, target, regions, weights, "region_mean", trust=trust)
    assert loss.item() == pytest.approx(4 * sum(losses[:3]) / 4 + 2 * losses[3] / 2)


@pytest.mark.parametrize(
    ("how", "means"),
    [("halves", (4 / 3, 1 / 2)), ("whole", (5 / 4,)), ("background", (1 / 2,) * 2)],
)
def test_ways_to_treat_the_unanimous_and_confident_by_hand(how, means):
    # Two foreground pixels of CE log 4, one background pixel of CE log 2 (in units of log 2).
    logits = torch.tensor([[0.0, 0.0, 0.0], [-math.log(3), -math.log(3), 0.0]])[None, :, None]
    target = torch.tensor([[[1, 1, 0]]])
    regions = torch.full((1, 1, 3), Region.UC, dtype=torch.uint8)
    loss = heterogeneous_loss(
        logits, target, regions, region_weights(), "region_mean", unanimous=how
    )
    assert loss.item() == pytest.approx(math.log(2) * sum(means), rel=1e-5)


def test_halves_are_those_of_the_reference_where_the_annotation_says_otherwise():
    # CE log 4, log 4, log 2; both predictions say background at pixel 1, the annotation does not.
    logits = torch.tensor([[0.0, 0.0, 0.0], [-math.log(3), -math.log(3), 0.0]])[None, :, None]
    target, said = torch.tensor([[[1, 1, 0]]]), torch.tensor([[[1, 0, 0]]])
    regions = torch.full((1, 1, 3), Region.UC, dtype=torch.uint8)
    loss = heterogeneous_loss(
        logits, target, regions, region_weights(), "region_mean", stated_classes=said
    )
    assert loss.item() == pytest.approx(math.log(4) / 2 + (math.log(4) + math.log(2)) / 3)


def test_unknown_forms_are_refused():
    logits, target = _four_pixels()
    regions = torch.ones(1, 1, 4, dtype=torch.uint8)
    with pytest.raises(ValueError, match="normalisation"):
        heterogeneous_loss(logits, target, regions, region_weights(), "sum")
    with pytest.raises(ValueError, match="unanimous"):
        heterogeneous_loss(
            logits, target, regions, region_weights(), "region_mean", unanimous="none"
        )
