"""SemSim and the combined preset: which gradient flows where, and how the losses add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import avg_pool2d

from napari_sslseg.methods.affinity import rectify
from napari_sslseg.methods.augment import StrongAugmentation
from napari_sslseg.methods.frameworks import create, semsim
from napari_sslseg.methods.frameworks.semsim_views import Asked
from napari_sslseg.methods.losses import masked_dice
from napari_sslseg.methods.prototypes import query, regional_prototypes

from . import by_hand
from .small import LIVELY, generator, outspoken, pasted, small, watched

WHOLE_IMAGE = StrongAugmentation(jitter=0, blur=0, cutmix=1, area=(1, 1), aspect=1)
SMALL = {"channels": (4, 8, 8, 16), "fusion_width": 16}


def _framework(name="semsim", **options):
    torch.manual_seed(0)
    return create(name, 1, 3, **{**SMALL, **options})


def _views(framework, batch, seed=0):
    g = torch.Generator().manual_seed(seed)
    batch = batch.normalised().padded(framework.network.stride).moved(g, framework.config.weak)
    return batch, framework.views(batch, g)


def _learns(module):
    grads = [p.grad for p in module.parameters() if p.grad is not None]
    return bool(grads) and any(g.abs().sum() > 0 for g in grads)


@pytest.mark.parametrize("name", ["semsim", "combined", "combined_light"])
def test_nothing_of_the_weak_branch_carries_gradient(name, disc_batch):
    framework = _framework(name)
    _, views = _views(framework, disc_batch())
    for target in (
        views.weak_logits,
        views.weak_decoder,
        views.weak_fused,
        views.clean_labelled,
        views.labelled_decoder,
        *framework.weak_targets(views),
    ):
        assert not target.requires_grad
    for learner in (views.strong_logits, views.strong_fused, views.second_fused):
        assert learner.requires_grad


def test_plain_term_teaches_the_decoder_and_not_the_fusion(disc_batch):
    framework = _framework(threshold=0.0)
    _, views = _views(framework, disc_batch())
    target = views.first_box.mix(framework.weak_targets(views)[0])
    framework.weak_to_strong(target, views.strong_logits).backward()
    assert _learns(framework.network.decoders)
    assert not _learns(framework.fusion)


def test_intra_term_teaches_decoder_and_fusion(disc_batch):
    framework = _framework(threshold=0.0)
    _, views = _views(framework, disc_batch())
    framework.intra_image(framework.weak_targets(views)[1], views).backward()
    assert _learns(framework.network.decoders)
    assert _learns(framework.fusion)


def test_cross_term_teaches_fusion_and_encoder_and_not_the_decoder(disc_batch):
    framework = _framework(threshold=0.0)
    batch, views = _views(framework, disc_batch())
    views.labelled_fused.retain_grad()
    views.second_fused.retain_grad()
    framework.cross_image(batch, views).backward()
    assert _learns(framework.fusion)
    assert _learns(framework.network.encoders)
    assert not _learns(framework.network.decoders)
    assert views.labelled_fused.grad.abs().sum() > 0
    assert views.second_fused.grad.abs().sum() > 0


def test_target_of_the_cross_term_comes_from_the_weak_view_alone(disc_batch):
    framework = _framework(threshold=0.0)
    batch, views = _views(framework, disc_batch())
    own = framework.cross_image(batch, views)
    views.weak_fused = torch.rand_like(views.weak_fused).requires_grad_()
    other = framework.cross_image(batch, views)
    other.backward()
    assert (other - own).abs() > 1e-3
    assert views.weak_fused.grad is None


def test_targets_are_mixed_like_the_strong_view(disc_batch):
    framework = _framework(threshold=0.0, feature_dropout=0.0, strong=WHOLE_IMAGE).eval()
    with torch.no_grad():  # predictions that differ between pixels and images
        framework.network.classifier.weight.sub_(
            framework.network.classifier.weight.mean((2, 3), keepdim=True)
        ).mul_(300)
        framework.network.classifier.bias.zero_()
    _, views = _views(framework, disc_batch())
    partner = views.first_box.partner
    torch.testing.assert_close(views.strong_logits, views.weak_logits[partner])
    weak, rectified = framework.weak_targets(views)
    # Each strong view is its partner's weak view, so predictions and targets coincide.
    expected = masked_dice(weak, weak.argmax(1))
    mixed = views.first_box.mix(weak)
    torch.testing.assert_close(framework.weak_to_strong(mixed, views.strong_logits), expected)
    expected = masked_dice(rectified, rectified.argmax(1))
    torch.testing.assert_close(framework.intra_image(rectified, views), expected)


def _strong_step(monkeypatch, batch, strong):
    """Return a framework, the losses of a step, and its two strong views and their boxes."""
    options = {"threshold": 0.5, "cross_temperature": 0.05, "feature_dropout": 0.0}
    framework = outspoken(small("semsim", strong=strong, **options), batch)
    changed, boxes = watched(framework, monkeypatch)
    losses = framework.losses(batch, 1.0, generator())
    views = [pasted(images, box) for images, box in zip(changed, boxes, strict=True)]
    assert len(views) == 2
    return framework, losses, views, boxes


def _taught_by_prototypes(framework, batch, view, box):
    """Return the cross term by which the weak images teach `view`."""
    batch = batch.normalised()

    def fused(images):
        return framework.fusion(framework.network.encode(images)[1:4])

    with torch.no_grad():
        known = regional_prototypes(fused(batch.labelled_image), batch.labelled_target, 3)
        weak = query(fused(batch.unlabelled_image), known, 0.05)
        confidence, classes = pasted(weak.log_probs.exp(), box).max(1)
        learner = query(fused(view), known, 0.05).log_probs.gather(1, classes[:, None])[:, 0]
    mask = confidence >= framework.config.threshold
    assert 0 < mask.sum() < mask.numel()
    return -(mask * pasted(weak.weight, box) * learner).mean()


def test_prototypes_teach_the_second_view_and_not_the_first(disc_batch, monkeypatch):
    jitter = replace(LIVELY, cutmix=0)
    framework, losses, (first, second), boxes = _strong_step(monkeypatch, disc_batch(), jitter)
    expected = _taught_by_prototypes(framework, disc_batch(), second, boxes[1])
    torch.testing.assert_close(losses["cross"].detach(), expected)
    other = _taught_by_prototypes(framework, disc_batch(), first, boxes[1])
    assert abs(other - expected) > 1e-3


def test_answers_of_prototypes_are_mixed_with_the_box_of_the_second_view(disc_batch, monkeypatch):
    framework, losses, (_, second), boxes = _strong_step(monkeypatch, disc_batch(), LIVELY)
    expected = _taught_by_prototypes(framework, disc_batch(), second, boxes[1])
    torch.testing.assert_close(losses["cross"].detach(), expected)
    other = _taught_by_prototypes(framework, disc_batch(), second, boxes[0])
    assert abs(other - expected) > 1e-3


def test_decoder_and_affinities_teach_the_first_view_through_its_box(disc_batch, monkeypatch):
    framework, losses, (first, _), boxes = _strong_step(monkeypatch, disc_batch(), LIVELY)
    weak = disc_batch().normalised().unlabelled_image

    def predicted(images):
        features = framework.network.encode(images)
        logits = framework.network.decode(features)[0]
        return logits.softmax(1), rectify(logits, framework.fusion(features[1:4])).softmax(1)

    with torch.no_grad():
        pairs = zip(("unlabelled", "intra"), predicted(weak), predicted(first), strict=True)
        for name, teacher, learner in pairs:
            confidence, classes = pasted(teacher, boxes[0]).max(1)
            expected = masked_dice(learner, classes, (confidence >= 0.5).float())
            torch.testing.assert_close(losses[name].detach(), expected)


def test_matching_teaches_the_strong_view_only(disc_batch):
    framework = _framework("combined")
    batch, views = _views(framework, disc_batch())
    views.labelled_logits.retain_grad()
    framework.reference_matching(batch, views).backward()
    assert _learns(framework.network)
    assert not _learns(framework.fusion)
    assert views.labelled_logits.grad is None


def test_total_is_the_published_sum(disc_batch, monkeypatch):
    framework = _framework()
    monkeypatch.setattr(framework, "labelled_losses", lambda *_: {"supervised": torch.tensor(3.0)})
    monkeypatch.setattr(framework, "weak_to_strong", lambda *_: torch.tensor(5.0))
    monkeypatch.setattr(framework, "intra_image", lambda *_: torch.tensor(7.0))
    monkeypatch.setattr(framework, "cross_image", lambda *_: torch.tensor(11.0))
    total = framework.losses(disc_batch(), 0.0, torch.Generator())["total"].item()
    assert total == pytest.approx(0.5 * (3 + 0.5 * 5 + 0.25 * 7 + 0.25 * 11))


def test_trust_weighs_the_dice_as_a_whole():
    framework = small("semsim", threshold=0.0)
    torch.manual_seed(0)
    target, logits = torch.rand(1, 3, 8, 8).softmax(1), torch.randn(1, 3, 8, 8)
    whole = framework._masked_dice(target, logits)
    half = framework._masked_dice(target, logits, torch.full((1, 8, 8), 0.5))
    torch.testing.assert_close(half, whole / 2, atol=1e-4, rtol=0)


def test_nothing_confident_gives_zero_with_zero_gradient(disc_batch):
    framework = _framework(threshold=1.1)
    losses = framework.losses(disc_batch(), 1.0, torch.Generator().manual_seed(0))
    unsupervised = losses["unlabelled"] + losses["intra"] + losses["cross"]
    unsupervised.backward()
    assert unsupervised.item() == 0
    grads = [p.grad for p in framework.parameters() if p.grad is not None]
    assert grads
    assert all(torch.equal(grad, torch.zeros_like(grad)) for grad in grads)  # nor is any NaN


def test_plain_prediction_needs_no_fusion():
    framework = _framework()
    image = torch.randn(2, 1, 32, 32)
    before = framework.predict(image)
    framework.eval()
    torch.testing.assert_close(before.plain, framework.network(image).softmax(1))
    with torch.no_grad():
        for p in framework.fusion.parameters():
            p.add_(torch.randn_like(p))
    after = framework.predict(image)
    torch.testing.assert_close(after.plain, before.plain)
    assert (after.rectified - before.rectified).abs().max() > 1e-4


def test_rectified_prediction_follows_the_formula():
    framework = _framework()
    image = torch.randn(1, 1, 32, 32)
    rectified = framework.predict(image).rectified
    framework.eval()
    with torch.no_grad():
        features = framework.network.encode(image)
        logits = framework.network.decode(features)[0]
        expected = rectify(logits, framework.fusion(features[1:4]), at="logits").softmax(1)
    torch.testing.assert_close(rectified, expected)


def test_both_predictions_keep_thresholds_of_their_own(disc_batch):
    framework = _framework("combined")
    framework.losses(disc_batch(), 0.5, torch.Generator().manual_seed(0))
    values = framework.thresholds.values
    assert not torch.equal(values[0, 0], values[1, 0])
    assert (values[0, 1] != 0.9).any()


def test_untrained_network_does_not_teach_itself_at_the_start(disc_batch):
    framework = _framework("combined")
    early = framework.weights(0.0)
    assert early["supervised"] == 1
    assert early["prior"] == 1
    assert max(early[k] for k in ("labelled_regions", "unlabelled", "intra", "cross")) < 0.01
    late = framework.weights(1.0)
    assert (late["unlabelled"], late["intra"], late["cross"]) == (0.5, 0.25, 0.25)


def test_class_missing_from_the_labelled_batch_is_never_taught_by_prototypes(
    disc_batch, monkeypatch
):
    framework = _framework(threshold=0.0)
    batch = disc_batch()
    batch.labelled_target[batch.labelled_target == 2] = 255
    taught = []
    cross_entropy = semsim.pixel_cross_entropy
    monkeypatch.setattr(
        semsim,
        "pixel_cross_entropy",
        lambda logits, target: taught.append(target) or cross_entropy(logits, target),
    )
    losses = framework.losses(batch, 0.5, torch.Generator().manual_seed(0))
    losses["total"].backward()
    (targets,) = taught
    assert 2 not in targets
    assert losses["cross"] > 0
    assert all(p.grad.isfinite().all() for p in framework.parameters() if p.grad is not None)


def test_feature_dropout_spares_labelled_images(disc_batch):
    calm = {"dropout": (0.0,) * 4}
    results = []
    for p in (0.0, 0.9):
        framework = _framework(feature_dropout=p, **calm).eval()  # batch statistics off
        _, views = _views(framework, disc_batch())
        results.append(views)
    torch.testing.assert_close(results[0].labelled_logits, results[1].labelled_logits)
    assert (results[0].strong_logits - results[1].strong_logits).abs().max() > 1e-3


def test_too_shallow_a_network_is_refused():
    with pytest.raises(ValueError, match="four levels"):
        create("semsim", 1, 2, channels=(4, 8, 16))


def test_affinities_of_a_prediction_are_of_a_grid_twice_as_fine_as_in_training():
    framework = _framework(grid=4).eval()
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        features = framework.network.encode(image)
        fused = framework.fusion(features[1:4])
        assert fused.shape[-1] == 16
        shrunk = avg_pool2d(fused, 2)
        expected = rectify(framework.network.decode(features)[0], shrunk, at="logits").softmax(1)
    torch.testing.assert_close(framework.predict(image).rectified, expected)


def test_prototypes_of_overlapping_classes_teach_yes_and_no_as_certain_as_they_are():
    framework = small("semsim", overlapping=True, metassl=True, heterogeneous=("cross",))
    torch.manual_seed(0)
    yes, z = torch.tensor([0.98, 0.02, 0.97]).view(1, 3, 1, 1), torch.randn(2, 3, 4, 4)
    answers = torch.stack([1 - yes, yes], 1).expand(2, 2, 3, 4, 4)
    certainty = torch.rand(2, 3, 4, 4)
    learner = Asked(torch.stack([0 * z, z], 1).log_softmax(1), 0 * certainty)
    found = framework._heterogeneous_cross(Asked(answers.log(), certainty), learner)
    # All answers are sure: they are UC or DC.
    weight = torch.where((z > 0) == (yes > 0.5), by_hand.FALLING[0], by_hand.FALLING[2])
    ce = -torch.where(yes > 0.5, z, -z).sigmoid().log()
    torch.testing.assert_close(found, (weight * certainty * ce).sum() / weight.sum())
    changed = (framework.thresholds.values != 0.9).flatten(1).any(1)
    assert changed.tolist() == [False, False, True]
