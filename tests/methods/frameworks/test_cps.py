"""Cross pseudo supervision: who teaches whom, and who is compared with whom."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks import registry
from napari_sslseg.methods.losses import supervised_loss
from napari_sslseg.training.dataset.presets import PRESETS, build_options

from . import by_hand
from .small import SMALL, STILL, generator, small


def _watched(framework):
    nets = (framework.network, framework.second)
    by_hand.sharpen(*(net.classifier for net in nets))
    return [by_hand.watch(net) for net in nets]


def _parts(seen, split):
    """Logits, probabilities and answers of both networks; labelled images are the first two."""
    logits = [outputs[0][split] for outputs in seen]
    probs = [z.detach().softmax(1) for z in logits]
    return logits, probs, [p.argmax(1) for p in probs]


LABELLED, UNLABELLED = slice(0, 2), slice(2, None)


@pytest.mark.parametrize("metassl", [False, True])
@pytest.mark.parametrize("learner", [0, 1])
def test_a_network_of_a_pair_is_not_moved_by_what_it_teaches(metassl, learner, disc_batch):
    framework = small("cps", metassl=metassl)
    seen = _watched(framework)
    losses = framework.losses(disc_batch(), 1.0, generator())
    losses["unlabelled"].backward()
    logits, probs, answers = _parts(seen, UNLABELLED)
    own = logits[learner].detach().requires_grad_()
    other = 1 - learner
    if metassl:
        limits = by_hand.thresholds(probs[other])
        found = by_hand.masks(probs[other], answers[learner], limits)
        taught = by_hand.weight_map(own, answers[other], found, by_hand.FALLING)
    else:
        taught = by_hand.pixels(own, answers[other]).mean()
    (expected,) = torch.autograd.grad(taught, own)
    torch.testing.assert_close(seen[learner][0].grad[UNLABELLED], expected)


@pytest.mark.parametrize("choice", ["own", "other"])
def test_labelled_pixels_can_be_partitioned_by_the_other_network(choice, disc_batch):
    framework = small("cps", metassl=True, labelled_reference=choice)
    seen = _watched(framework)
    batch = disc_batch()
    target = batch.labelled_target
    losses = framework.losses(batch, 1.0, generator())
    logits, probs, _ = _parts(seen, LABELLED)
    expected = 0
    for k in (0, 1):
        learner = k if choice == "own" else 1 - k
        found = by_hand.masks(probs[k], target, by_hand.thresholds(probs[k], target))
        expected = expected + by_hand.weight_map(logits[learner], target, found, by_hand.ANNOTATED)
    torch.testing.assert_close(losses["labelled_regions"], expected)


def _released(**changes):
    preset = PRESETS["metassl-cps-released"]
    plain = {**preset.options, "regions": {**preset.options["regions"], **changes}}
    options = build_options(preset.framework, plain)
    torch.manual_seed(0)
    return registry.create(preset.framework, 1, 3, **{**options, **SMALL, "weak": STILL})


def test_released_script_compares_the_networks_and_teaches_each_by_its_own_confidence(disc_batch):
    framework = _released()
    seen = _watched(framework)
    batch = disc_batch()
    target = batch.labelled_target
    losses = framework.losses(batch, 1.0, generator())
    logits, probs, answers = _parts(seen, LABELLED)
    weights = [85 * w for w in by_hand.SLOWLY]
    own, expected = [z.detach().requires_grad_() for z in logits], []
    for k in (0, 1):
        limits = by_hand.thresholds(probs[k], target, released=True)
        found = by_hand.masks(probs[k], answers[1 - k], limits)
        assert ((found[2] | found[3]) & (target != 255)).any()
        # Both networks may say background where the annotation does not.
        assert (found[0] & (answers[k] == 0) & (target > 0) & (target != 255)).any()
        expected.append(by_hand.region_means(own[k], target, found, weights, answers[k]))
    torch.testing.assert_close(losses["labelled_regions"], sum(expected))
    losses["labelled_regions"].backward()
    for k in (0, 1):
        (grad,) = torch.autograd.grad(expected[k], own[k])
        torch.testing.assert_close(seen[k][0].grad[LABELLED], grad)


def test_released_script_on_unlabelled_images_and_as_a_whole(disc_batch):
    framework = _released()
    seen = _watched(framework)
    losses = framework.losses(disc_batch(), 1.0, generator())
    logits, probs, answers = _parts(seen, UNLABELLED)
    weights, expected = [50 * w for w in by_hand.FALLING], 0
    for k in (0, 1):
        limits = by_hand.thresholds(probs[k], released=True)
        found = by_hand.masks(probs[k], answers[1 - k], limits)
        said = answers[k]
        expected = expected + by_hand.region_means(logits[1 - k], said, found, weights, said)
    torch.testing.assert_close(losses["unlabelled"], expected)
    terms = losses["labelled_regions"] + losses["unlabelled"]
    torch.testing.assert_close(losses["total"], losses["supervised"] + 0.1 * terms)


def test_absent_class_halves_its_threshold_in_the_released_script(disc_batch):
    framework = _released()
    with torch.no_grad():
        for net in (framework.network, framework.second):
            net.classifier.bias[2] = -1e3  # class 2 is never predicted
    framework.losses(disc_batch(), 1.0, generator())
    assert (framework.thresholds.values[..., 2] == 0.45).all()


@pytest.mark.parametrize("metassl", [False, True])
def test_every_network_learns_the_annotation_in_full(metassl, disc_batch):
    framework = small("cps", metassl=metassl)
    seen = _watched(framework)
    batch = disc_batch()
    losses = framework.losses(batch, 1.0, generator())
    each = [supervised_loss(z[0][LABELLED], batch.labelled_target.long()) for z in seen]
    torch.testing.assert_close(losses["supervised"], each[0] + each[1])


def test_the_second_prediction_is_the_mean_of_both_networks():
    framework = small("cps").eval()
    image = torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        first, mean = framework.predict_padded(image)
        second = framework.second(image).softmax(1)
    assert not torch.allclose(first, second)
    torch.testing.assert_close(mean, (first + second) / 2)
