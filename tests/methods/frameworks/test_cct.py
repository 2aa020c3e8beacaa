"""Cross-consistency training: decoders, perturbations, directions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_sslseg.methods.frameworks import create
from napari_sslseg.methods.frameworks.metassl import MetaSSLConfig

from . import by_hand
from .small import generator, small, touched


def test_direction_of_cross_consistency_can_be_one_way(disc_batch):
    for direction, both in (("both", True), ("one", False)):
        framework = small("cct", metassl=True, direction=direction)
        losses = framework.losses(disc_batch(), 1.0, generator())
        losses["unlabelled"].backward()
        assert touched(framework.network.decoders)
        assert touched(framework.auxiliary[0].decoders) == both


def test_plain_cross_consistency_moves_the_perturbed_decoders_and_the_encoder(disc_batch):
    framework = small("cct")
    losses = framework.losses(disc_batch(), 1.0, generator())
    losses["unlabelled"].backward()
    assert all(touched(each.decoders) for each in framework.auxiliary)
    assert touched(framework.network.encoders)
    assert not touched(framework.network.decoders)


@pytest.mark.parametrize("supervised", [False, True])
def test_auxiliary_decoders_learn_annotations_only_where_asked(supervised, disc_batch):
    framework = small("cct", auxiliary_supervised=supervised)
    losses = framework.losses(disc_batch(), 1.0, generator())
    losses["supervised"].backward()
    assert touched(framework.network.decoders)
    assert all(touched(each.decoders) == supervised for each in framework.auxiliary)


def test_plain_cross_consistency_is_the_mean_squared_difference_to_the_main_decoder(disc_batch):
    framework = small("cct", auxiliary=("none",) * 3).eval()
    batch = disc_batch()
    features = framework.network.encode(batch.unlabelled_image)
    main = framework.network.decode(features)[0].softmax(1)
    others = [each.decode(features)[0].softmax(1) for each in framework.auxiliary]
    expected = sum((p - main).square().mean() for p in others) / 3
    losses = framework.losses(batch, 1.0, generator())
    torch.testing.assert_close(losses["unlabelled"], expected)
    found = framework.predict(batch.unlabelled_image)
    torch.testing.assert_close(found.plain, main)
    torch.testing.assert_close(found.rectified, (main + sum(others)) / 4)


def test_every_auxiliary_decoder_and_the_main_one_are_a_pair_of_metassl(disc_batch):
    framework = small("cct", metassl=True, auxiliary=("none", "none"))
    losses, logits, _ = _watched_step(framework, disc_batch())
    z = [each[2:] for each in logits]
    probs = [each.detach().softmax(1) for each in z]
    expected = 0
    for a, b in ((0, 1), (0, 2), (1, 0), (2, 0)):
        found = by_hand.masks(probs[a], z[b].argmax(1), by_hand.thresholds(probs[a]))
        taught = by_hand.weight_map(z[b], probs[a].argmax(1), found, by_hand.FALLING)
        expected = expected + taught / 2
    torch.testing.assert_close(losses["unlabelled"], expected)
    assert framework.thresholds.values.shape[0] == 3


@pytest.mark.parametrize("agreement", ["annotation", "predictions"])
@pytest.mark.parametrize("count", [1, 2])
def test_labelled_pixels_of_each_decoder_are_compared_with_annotation_or_other_decoders(
    agreement, count, disc_batch
):
    regions = MetaSSLConfig(labelled_agreement=agreement)
    options = {"auxiliary": ("none",) * count, "regions": regions}
    framework = small("cct", metassl=True, **options)
    losses, logits, target = _watched_step(framework, disc_batch())
    probs = [z[:2].detach().softmax(1) for z in logits]
    others = [sum(probs[1:]) / count, *[probs[0]] * count]
    expected = 0
    for z, own, other in zip(logits, probs, others, strict=True):
        compared = target if agreement == "annotation" else other.argmax(1)
        found = by_hand.masks(own, compared, by_hand.thresholds(own, target))
        expected = expected + by_hand.weight_map(z[:2], target, found, by_hand.ANNOTATED)
    torch.testing.assert_close(losses["labelled_regions"], expected)


@pytest.mark.parametrize("count", [1, 2])
def test_labelled_pixels_can_be_partitioned_by_the_other_decoders(count, disc_batch):
    options = {"auxiliary": ("none",) * count, "labelled_reference": "other"}
    framework = small("cct", metassl=True, **options)
    losses, logits, target = _watched_step(framework, disc_batch())
    z = [each[:2] for each in logits]
    probs = [each.detach().softmax(1) for each in z]

    def taught(teacher, learner):
        limits = by_hand.thresholds(probs[teacher], target)
        found = by_hand.masks(probs[teacher], target, limits)
        return by_hand.weight_map(z[learner], target, found, by_hand.ANNOTATED)

    others = range(1, 1 + count)
    expected = sum(taught(0, k) + taught(k, 0) / count for k in others)
    torch.testing.assert_close(losses["labelled_regions"], expected)
    own = small("cct", metassl=True, **{**options, "labelled_reference": "own"})
    assert abs(_watched_step(own, disc_batch())[0]["labelled_regions"] - expected) > 1e-4


def _watched_step(framework, batch):
    """Return the losses of a step, what each decoder put out, and the annotation."""
    last = [net.classifier for net in (framework.network, *framework.auxiliary)]
    by_hand.sharpen(*last)
    seen = [by_hand.watch(each) for each in last]
    losses = framework.losses(batch, 1.0, generator())
    return losses, [each[0] for each in seen], batch.labelled_target


def test_three_auxiliary_decoders_have_the_size_that_the_tables_list():
    framework = create("cct", 1, 4)
    assert len(framework.auxiliary) == 3
    assert sum(p.numel() for p in framework.parameters()) == 3_713_664  # 3.71 M


def test_dropout_can_act_in_the_decoders_instead_of_the_encoder():
    framework = create("cct", 1, 2, channels=(4, 8, 8, 16), decoder_dropout=(0.3, 0.2, 0.1))

    def rates(module):
        return [m.p for m in module.modules() if isinstance(m, nn.Dropout)]

    assert rates(framework.network.encoders) == [0.0] * 4
    for each in (framework.network, *framework.auxiliary):
        assert rates(each.decoders) == [0.3, 0.2, 0.1]
    with pytest.raises(ValueError, match="3 decoder steps"):
        create("cct", 1, 2, channels=(4, 8, 8, 16), decoder_dropout=(0.3,))


KINDS = ("noise", "drop", "channels", "objects", "context", "cutout", "adversarial")


@pytest.mark.parametrize("overlapping", [False, True])
def test_all_seven_perturbations_train(overlapping, disc_batch):
    framework = small("cct", auxiliary=KINDS, overlapping=overlapping)
    batch = disc_batch()
    if overlapping:
        batch.labelled_target = batch.labelled_target[:, None].clamp(max=1).expand(-1, 3, -1, -1)
    losses = framework.losses(batch, 1.0, generator())
    losses["unlabelled"].backward()
    assert losses["total"].isfinite()
    assert all(touched(each.decoders) for each in framework.auxiliary)
    assert not touched(framework.network.decoders)


@pytest.mark.parametrize("overlapping", [False, True])
def test_objects_of_any_class_that_the_main_decoder_sees_are_hidden(overlapping):
    framework = small("cct", auxiliary=("objects",), overlapping=overlapping).eval()
    features = framework.network.encode(torch.randn(1, 1, 32, 32, generator=generator()))
    main = torch.full((1, 3, 32, 32), -2.0)
    main[:, 0] = -1.0  # the background, or a structure that is nowhere
    main[:, 2, :8], main[:, 1, 8:16] = 3.0, 3.0
    seen = [f.clone() for f in features]
    for f in seen:
        f[:, :, : f.shape[2] // 2] = 0
    found = framework.followers(features, main, generator())
    torch.testing.assert_close(found, [framework.auxiliary[0].decode(seen)[0]])
