"""RPG: options away from their defaults, and warped targets, against losses written out."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.methods.augment_cutmix import CutMix
from napari_sslseg.methods.augment_warp import Warp
from napari_sslseg.methods.matching import Match

from . import by_hand
from .small import LIVELY, generator, outspoken, pasted, small, watched

SIDE, SHIFT = 8, 3


@pytest.mark.parametrize(
    ("options", "ramp"),
    [
        # At 0.45, five eighths of the way from 0.2 to 0.6: three steps of five are over.
        ({"start": 0.2, "end": 0.6, "ramp": "steps"}, 0.8),
        ({"start": 0.2, "end": 0.6}, math.exp(-5 * 0.375**2)),
        ({"start": 0.2, "end": 0.9, "ramp": "constant"}, 1.0),
        ({"start": 0.5, "end": 0.6, "ramp": "constant"}, 0.0),
    ],
)
def test_all_terms_but_the_supervised_one_are_ramped_and_weighed(options, ramp, disc_batch):
    weights = {"matched": 0.5, "strong_consistency": 0.25, "threshold": 0.0}
    framework = small("rpg", metassl=True, grid=8, **weights, **options)
    losses = framework.losses(disc_batch(), 0.45, generator())
    others = losses["labelled_regions"] + 0.5 * losses["matched"] + 0.25 * losses["unlabelled"]
    torch.testing.assert_close(losses["total"], losses["supervised"] + ramp * others)


def _shifted():
    """Return a geometry: views show what lies three pixels to the right, and hide two rows."""
    theta = torch.tensor([[[1.0, 0.0, 2 * SHIFT / SIDE], [0.0, 1.0, 0.0]]]).expand(3, 2, 3)
    hidden = torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
    hidden[:, :2] = True
    return Warp(theta, hidden)


def _seen(maps):
    """Return the part of maps ``(..., h, w)`` that such views show, as far as it is not hidden."""
    return maps[..., 2:, SHIFT:]


def _showing(maps):
    """Return where such views show it."""
    return maps[..., 2:, : SIDE - SHIFT]


def _no_box():
    return CutMix(torch.zeros(3, SIDE, SIDE, dtype=torch.bool), torch.tensor([1, 2, 0]))


def test_matched_labels_follow_the_geometry_of_the_strong_view():
    framework = small("rpg", matched_on="strong")
    g = generator(1)
    labels = torch.randint(0, 3, (3, SIDE, SIDE), generator=g)
    weight = torch.rand(3, SIDE, SIDE, generator=g)
    found = Match(labels, torch.rand(3, 3, SIDE, SIDE, generator=g), weight)
    strong = torch.randn(3, 3, SIDE, SIDE, generator=g)
    ce = by_hand.pixels(_showing(strong), _seen(labels))
    expected = (_seen(weight) * ce).sum() / labels.numel()
    loss = framework.matched_loss(found, strong, strong, _no_box(), _shifted())
    torch.testing.assert_close(loss, expected)
    still = by_hand.pixels(_showing(strong), _showing(labels))
    assert ((_seen(weight) * still).sum() / labels.numel() - expected).abs() > 1e-3


@pytest.mark.parametrize("metassl", [False, True])
def test_weak_predictions_follow_the_geometry_of_the_strong_view(metassl):
    framework = small("rpg", threshold=0.6, metassl=metassl)
    g = generator(1)
    probs = (2 * torch.randn(3, 3, SIDE, SIDE, generator=g)).softmax(1)
    strong = torch.randn(3, 3, SIDE, SIDE, generator=g)
    sure, said = _seen(probs).max(1)
    ce = by_hand.pixels(_showing(strong), said)
    expected = ce[sure >= 0.6].mean()
    found = framework.weak_to_strong(probs, strong, _shifted())
    if metassl:
        framework.thresholds.values.fill_(0.6)
        found = framework.weak_to_strong(probs, strong, _shifted())
        # Pixels that are not seen have regions, by the border that is repeated, and no loss.
        moved = torch.cat([probs[..., SHIFT:], probs[..., -1:].expand(-1, -1, -1, SHIFT)], -1)
        masks = by_hand.masks(moved, strong.argmax(1), torch.full((3,), 0.6))
        weight = sum(w * m for w, m in zip(by_hand.FALLING, masks, strict=True))
        expected = (_showing(weight) * ce).sum() / weight.sum()
    torch.testing.assert_close(found, expected)


def test_a_pixel_on_the_threshold_is_taught():
    framework = small("rpg", threshold=0.5)
    probs = torch.full((1, 3, 1, 4), 1 / 3)
    probs[..., :2] = torch.tensor([0.5, 0.25, 0.25]).view(3, 1, 1)
    strong = torch.randn(1, 3, 1, 4, generator=generator())
    expected = -strong.log_softmax(1)[0, 0, 0, :2].mean()
    torch.testing.assert_close(framework.weak_to_strong(probs, strong, None), expected)


def test_thresholds_of_a_step_are_of_predictions_that_no_box_has_mixed(disc_batch, monkeypatch):
    batch = disc_batch()
    framework = outspoken(small("rpg", strong=LIVELY, grid=8), batch)
    framework.thresholds.values.fill_(0.9)
    _, boxes = watched(framework, monkeypatch)
    framework.losses(batch, 1.0, generator())
    with torch.no_grad():
        weak = framework.network(batch.unlabelled_image).softmax(1)
        own = framework.network(batch.labelled_image).softmax(1)
    expected, values = by_hand.thresholds(weak), framework.thresholds.values
    torch.testing.assert_close(values[0, 0], expected)
    torch.testing.assert_close(values[0, 1], by_hand.thresholds(own, batch.labelled_target))
    assert (by_hand.thresholds(pasted(weak, boxes[0])) - expected).abs().max() > 1e-4


def test_whole_supervised_loss_of_one_class_is_zero(disc_batch):
    framework = small("rpg", supervised_loss="whole")
    batch = disc_batch().normalised()
    batch.labelled_target.clamp_(max=0)
    logits = torch.randn(2, 1, 32, 32, requires_grad=True)
    loss = framework.labelled_losses(logits, batch)["supervised"]
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()
