"""Perturbations of feature maps, on cases small enough to compute by hand."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.feature_perturbations import (
    against,
    cut_out,
    hidden,
    noisy,
    perturbed,
    without_most_active,
)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_noise_changes_each_value_by_up_to_three_tenths_of_itself():
    feature = torch.full((2, 3, 20, 20), 2.0)
    change = noisy(feature, _generator()) / feature - 1
    assert change.abs().max() <= 0.3
    assert change.max() > 0.29
    assert change.min() < -0.29
    assert (noisy(torch.zeros(1, 1, 4, 4), _generator()) == 0).all()


def test_places_above_a_share_of_the_most_active_one_are_dropped():
    # Means over two channels: 0.1 to 1.0 of the largest. 0.7 and less stay whatever the share is,
    # 0.9 and more never do.
    mean = torch.arange(1, 11).float() / 10
    feature = torch.stack([2 * mean, torch.zeros(10)])[None, :, None]
    for seed in range(20):
        kept = without_most_active(feature, _generator(seed))[0, 0, 0] > 0
        assert kept[:6].all()
        assert not kept[9]
    assert torch.equal(without_most_active(feature, _generator())[..., :6], feature[..., :6])


def test_objects_or_their_surroundings_are_hidden():
    feature = torch.ones(1, 2, 4, 4)
    objects = torch.zeros(1, 8, 8, dtype=torch.long)
    objects[0, 2:6, 4:] = 1  # rows 1 and 2, columns 2 and 3 of the map
    inside = torch.zeros(4, 4)
    inside[1:3, 2:] = 1
    assert torch.equal(hidden(feature, objects, False)[0, 0], inside)
    assert torch.equal(hidden(feature, objects, True)[0, 1], 1 - inside)


def test_a_box_of_two_fifths_of_the_objects_is_cut_out_on_them():
    feature = torch.ones(3, 1, 20, 20)
    objects = torch.zeros(3, 20, 20)
    objects[:2, 5:15, 10:20] = 1  # 10 by 10, so the box is 4 by 4
    place = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5]])
    found = cut_out(feature, objects, place)[:, 0]
    expected = torch.ones(3, 20, 20)
    expected[0, 5:9, 10:14] = 0
    expected[1, 11:15, 16:20] = 0
    assert torch.equal(found, expected)  # nothing is cut where nothing is seen


def test_the_box_lies_where_it_was_drawn_along_either_side():
    found = cut_out(torch.ones(1, 1, 10, 10), torch.ones(1, 10, 10), torch.tensor([[0.0, 1.0]]))
    expected = torch.ones(1, 1, 10, 10)
    expected[..., :4, 6:] = 0
    assert torch.equal(found, expected)


def test_the_adversarial_change_follows_the_curvature_of_the_divergence():
    torch.manual_seed(0)
    feature = torch.randn(1, 3, 1, 1, dtype=torch.float64)
    weights = torch.randn(4, 3, dtype=torch.float64)

    def decode(z):
        return torch.einsum("kc,bchw->bkhw", weights, z).log_softmax(1)

    change = against(feature, decode, _generator(), step=1e-4, length=2.0) - feature
    assert change.norm() == pytest.approx(2.0)
    # Near zero the divergence is d' H d / 2 with H = W' (diag p - p p') W; its gradient is H d.
    p = decode(feature).exp().flatten()
    curvature = weights.T @ (torch.diag(p) - torch.outer(p, p)) @ weights
    start = torch.rand((1, 3, 1, 1), generator=_generator()).double().flatten() - 0.5
    expected = curvature @ start
    torch.testing.assert_close(
        change.flatten() / 2, expected / expected.norm(), atol=1e-3, rtol=1e-3
    )


def test_the_adversarial_change_alters_a_prediction_more_than_chance_does():
    torch.manual_seed(0)
    feature = torch.randn(2, 8, 4, 4)
    layer = torch.nn.Conv2d(8, 3, 3, padding=1)

    def decode(z):
        return layer(z).log_softmax(1)

    def divergence(change):
        before = decode(feature)
        return (before.exp() * (before - decode(feature + change))).sum().item()

    change = against(feature, decode, _generator()) - feature
    assert not change.requires_grad
    assert all(p.grad is None for p in layer.parameters())
    chance = [torch.randn(2, 8, 4, 4) for _ in range(5)]
    chance = [2 * c / c.flatten(1).norm(dim=1).view(2, 1, 1, 1) for c in chance]
    with torch.no_grad():
        assert divergence(change) > 2 * max(divergence(c) for c in chance)


def test_skips_stay_for_the_adversarial_change_alone_and_unknown_kinds_are_refused():
    features = (torch.rand(1, 2, 8, 8), torch.rand(1, 4, 4, 4))

    def decode(maps):
        return maps[-1].log_softmax(1)

    objects = torch.ones(1, 8, 8, dtype=torch.long)
    found = perturbed("adversarial", features, objects, decode, _generator(), 0.4)
    assert torch.equal(found[0], features[0])
    assert not torch.equal(found[1], features[1])
    found = perturbed("noise", features, objects, decode, _generator(), 0.4)
    assert not torch.equal(found[0], features[0])
    with pytest.raises(ValueError, match="unknown perturbation"):
        perturbed("blur", features, objects, decode, _generator(), 0.4)
