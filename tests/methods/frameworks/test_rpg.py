"""RPG as a framework: which views matched labels teach, and every option."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.augment_warp import Warp
from napari_sslseg.methods.frameworks import create
from napari_sslseg.methods.matching import Match, match
from napari_sslseg.methods.reference_pool import ReferencePool

from .small import CALM, LIVELY, generator, outspoken, pasted, small, touched, watched


@pytest.mark.parametrize("view", ["weak", "strong", "both"])
def test_matched_labels_teach_the_chosen_views_and_nothing_of_the_pool(view, disc_batch):
    framework = small("rpg", matched_on=view)
    batch = disc_batch().normalised()
    taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
    found = framework.matches(taps.decoder, batch)
    assert not found.weight.requires_grad
    assert not found.probabilities.requires_grad
    weak, strong = (torch.randn(3, 3, 32, 32, requires_grad=True) for _ in range(2))
    box = framework.cutmix(batch.unlabelled_image, generator())
    framework.matched_loss(found, weak, strong, box).backward()
    assert (weak.grad is not None) == (view != "strong")
    assert (strong.grad is not None) == (view != "weak")


def test_matched_loss_is_the_formula_on_the_matches(disc_batch):
    framework = small("rpg", grid=16, strong=CALM).eval()
    batch = disc_batch().normalised()
    with torch.no_grad():
        taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
        pool = ReferencePool.from_maps(taps.decoder[:2], batch.labelled_target, 3, 16)
        found = match(taps.decoder[2:], pool, grid=16)
        z = F.interpolate(taps.logits[2:], (16, 16), mode="nearest-exact")
        ce = F.cross_entropy(z, found.labels, reduction="none")
        expected = (found.weight * ce).mean()
    losses = framework.losses(batch, 1.0, generator())
    torch.testing.assert_close(losses["matched"].detach(), expected)


def _strong_step(monkeypatch, batch, **options):
    """Return the losses of a step, its box, and what the network makes of all its views."""
    framework = outspoken(small("rpg", strong=LIVELY, grid=16, **options), batch)
    changed, boxes = watched(framework, monkeypatch)
    losses = framework.losses(batch, 1.0, generator())
    batch, (box,) = batch.normalised(), boxes
    views = [batch.labelled_image, batch.unlabelled_image, pasted(changed[0], box)]
    with torch.no_grad():
        return losses, box, [framework.network.taps(images) for images in views]


@pytest.mark.parametrize("view", ["weak", "strong", "both"])
def test_matched_labels_are_of_the_weak_view_and_mixed_for_the_strong_one(
    view, disc_batch, monkeypatch
):
    losses, box, views = _strong_step(monkeypatch, disc_batch(), matched_on=view)
    labelled, weak, strong = views
    pool = ReferencePool.from_maps(labelled.decoder, disc_batch().labelled_target, 3, 16)
    found = match(weak.decoder, pool, grid=16)  # queries are of the weak view, whoever is taught
    assert found.labels.unique().numel() > 1
    plain, mixed = (
        (found.labels, found.weight),
        [pasted(m, box) for m in (found.labels, found.weight)],
    )
    expected = 0.0
    for logits, (labels, weight) in ((weak.logits, plain), (strong.logits, mixed)):
        ce = F.cross_entropy(logits[..., 1::2, 1::2], labels, reduction="none")
        if view in ("both", "weak" if logits is weak.logits else "strong"):
            expected = expected + (weight * ce).mean()
    torch.testing.assert_close(losses["matched"].detach(), expected)


def test_weak_predictions_are_mixed_for_the_strong_view_they_teach(disc_batch, monkeypatch):
    losses, box, (_, weak, strong) = _strong_step(monkeypatch, disc_batch(), threshold=0.5)
    confidence, classes = pasted(weak.logits.softmax(1), box).max(1)
    mask = confidence >= 0.5
    assert 0 < mask.sum() < mask.numel()
    ce = F.cross_entropy(strong.logits, classes, reduction="none")
    torch.testing.assert_close(losses["unlabelled"].detach(), ce[mask].mean())


@pytest.mark.parametrize(
    "options",
    [
        {"refine": "full"},
        {"refine": "features"},
        {"refine": "distribution"},
        {"morph": True},
        {"standardise": True},
        {"agreement": "binary"},
        {"temperature": 0.1},
    ],
)
def test_options_of_matching_reach_it(options, disc_batch):
    framework = small("rpg", grid=16, neighbours=9, **options).eval()
    batch = disc_batch().normalised()
    batch.labelled_target[0, 4:] = 2  # the two images differ in what is frequent
    with torch.no_grad():
        images = torch.cat([batch.labelled_image, batch.unlabelled_image])
        decoder = framework.network.taps(images).decoder
    found = framework.matches(decoder, batch)
    pool = ReferencePool.from_maps(decoder[:2], batch.labelled_target, 3, 16)
    plain, expected = match(decoder[2:], pool, 9, 16), match(decoder[2:], pool, 9, 16, **options)
    assert torch.equal(found.labels, expected.labels)
    torch.testing.assert_close(found.weight, expected.weight)
    same = torch.equal(plain.labels, expected.labels)
    assert not (same and torch.equal(plain.weight, expected.weight))


def test_bounded_pool_leaves_few_references_to_be_matched(disc_batch, monkeypatch):
    pools = []
    monkeypatch.setattr(
        "napari_sslseg.methods.frameworks.rpg.match",
        lambda features, pool, *rest, **options: (
            pools.append(pool) or match(features, pool, *rest, **options)
        ),
    )
    for most in (None, 30):
        framework = small("rpg", grid=16, most_references=most)
        for seed in (0, 1):
            losses = framework.losses(disc_batch(), 1.0, generator(seed))
            assert losses["matched"].isfinite()
    assert [len(pool) for pool in pools] == [2 * 16 * 12] * 2 + [30] * 2  # a quarter has no ink
    assert torch.bincount(pools[2].symbols).tolist() == [10, 10, 10]
    again = small("rpg", grid=16, most_references=30)
    torch.manual_seed(5)
    again.losses(disc_batch(), 1.0, generator(0))
    assert torch.equal(pools[4].features, pools[2].features)  # drawn by the step's generator
    assert not torch.equal(pools[3].features, pools[2].features)


def test_total_of_reference_guidance_has_one_ramp_for_both_terms(disc_batch):
    framework = small("rpg", threshold=0.0)
    losses = framework.losses(disc_batch(), 0.25, generator())
    ramp = torch.tensor(-5 * 0.25).exp()
    expected = losses["supervised"] + ramp * (losses["matched"] + losses["unlabelled"])
    torch.testing.assert_close(losses["total"], expected)


def test_the_weight_of_the_strong_views_is_heard(disc_batch):
    totals = {}
    for weight in (0.0, 1.0):
        losses = small("rpg", threshold=0.0, strong_consistency=weight).losses(
            disc_batch(), 1.0, generator()
        )
        totals[weight] = losses["total"].item()
        consistency = losses["unlabelled"].item()
    assert totals[1.0] - totals[0.0] == pytest.approx(consistency, abs=1e-5)
    assert consistency > 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"refine": "full"},
        {"refine": "features", "morph": True},
        {"refine": "distribution"},
        {"standardise": True, "agreement": "binary"},
        {"agreement": "unclamped", "ramp": "steps"},
        {"metassl": True, "heterogeneous": ("plain", "matched")},
        {"metassl": True, "heterogeneous": ("matched",), "matched_on": "both"},
        {"temperature": 0.1, "supervised_loss": "whole"},
        {"strong_geometry": 0.8, "matched_on": "both"},
        {"strong_geometry": 0.8, "metassl": True, "heterogeneous": ("plain", "matched")},
    ],
)
def test_every_option_of_reference_guidance_trains(options, disc_batch):
    framework = small("rpg", **options)
    losses = framework.losses(disc_batch(), 0.5, generator())
    losses["total"].backward()
    assert losses["total"].isfinite()
    assert touched(framework.network)
    if "matched" in options.get("heterogeneous", ()):
        assert (framework.thresholds.values[1, 0] != 0.9).any()


def test_class_that_no_reference_has_is_never_matched(disc_batch):
    framework = small("rpg")
    batch = disc_batch().normalised()
    batch.labelled_target[batch.labelled_target == 2] = 255
    taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
    found = framework.matches(taps.decoder, batch)
    assert set(found.labels.unique().tolist()) <= {0, 1}
    assert found.probabilities[:, 2].sum() == 0


def test_nothing_is_taught_where_the_warped_view_shows_nothing(disc_batch):
    framework = small("rpg", matched_on="strong", threshold=0.0)
    batch = disc_batch().normalised()
    taps = framework.network.taps(torch.cat([batch.labelled_image, batch.unlabelled_image]))
    found = framework.matches(taps.decoder, batch)
    theta = torch.tensor([[[1.0, 0, 1], [0, 1, 0]]]).expand(3, 2, 3)  # half a side to the left
    hidden = torch.zeros(3, 32, 32, dtype=torch.bool)
    hidden[:, :8] = True
    box, warp = framework.cutmix(batch.unlabelled_image, generator()), Warp(theta, hidden)
    strong = torch.randn(3, 3, 32, 32, requires_grad=True)
    framework.matched_loss(found, strong.detach(), strong, box, warp).backward()
    assert strong.grad[..., 8:, :16].abs().sum() > 0
    assert strong.grad[..., :8, :].abs().sum() == 0
    assert strong.grad[..., 16:].abs().sum() == 0
    strong.grad = None
    probs = torch.rand(3, 3, 32, 32).softmax(1)
    framework.weak_to_strong(probs, strong, warp).backward()
    assert strong.grad[..., 8:, :16].abs().sum() > 0
    assert strong.grad[..., :8, :].abs().sum() + strong.grad[..., 16:].abs().sum() == 0


def test_geometry_of_volumes_is_refused():
    with pytest.raises(ValueError, match="images"):
        create("rpg", 1, 2, network="unet3d", strong_geometry=0.5)


def test_the_prior_is_mixed_for_the_strong_view_that_it_teaches(disc_batch, monkeypatch):
    batch = disc_batch(prior=True)
    losses, box, (_, _, strong) = _strong_step(monkeypatch, batch)
    expected = -(pasted(batch.prior, box) * strong.logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(losses["prior"].detach(), expected)


def test_the_prior_teaches_the_weak_view_where_the_strong_one_is_warped(disc_batch):
    batch = disc_batch(prior=True)
    framework = outspoken(small("rpg", strong_geometry=0.8), batch)
    losses = framework.losses(batch, 1.0, generator())
    with torch.no_grad():
        weak = framework.network(batch.normalised().unlabelled_image)
    expected = -(batch.prior * weak.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(losses["prior"].detach(), expected)


def test_agreement_says_where_matched_labels_have_regions_and_does_not_weigh_them(disc_batch):
    labels = torch.randint(0, 3, (3, 16, 16), generator=generator())
    # Another class is a bit likelier: labels are those of the chosen reference all the same.
    likely = 0.45 * F.one_hot(labels, 3) + 0.55 * F.one_hot((labels + 1) % 3, 3)
    probabilities = likely.movedim(-1, 1)
    strong, losses = torch.randn(3, 3, 32, 32, generator=generator()), []
    for agreement in (0.5, 1.0):
        framework = small("rpg", metassl=True, heterogeneous=("matched",), grid=16)
        box = framework.cutmix(disc_batch().unlabelled_image, generator())
        weak, weight = strong.clone().requires_grad_(), torch.full((3, 16, 16), agreement)
        weight[:, :8] = 0
        losses.append(
            framework.matched_loss(Match(labels, probabilities, weight), weak, strong, box)
        )
        losses[-1].backward()
        taught = torch.zeros(3, 32, 32, dtype=torch.bool)
        taught[:, 17::2, 1::2] = True
        assert torch.equal(weak.grad.abs().sum(1) > 0, taught)
        assert torch.equal(weak.grad[:, :, 17::2, 1::2].argmin(1), labels[:, 8:])
    assert losses[0] == losses[1]
