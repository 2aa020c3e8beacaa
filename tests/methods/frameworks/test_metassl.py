"""Prediction pairs: thresholds by index, losses that do not know their framework."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.frameworks import available
from napari_sslseg.methods.frameworks.metassl import MetaSSL, MetaSSLConfig, PredictionPair
from napari_sslseg.methods.label_space import LabelSpace
from napari_sslseg.methods.losses import masked_dice
from napari_sslseg.methods.regions import LABELLED_ORDER, Region, region_weights

from . import by_hand
from .small import generator, small


def _pair(index=0, seed=0, sharpness=1.0):
    torch.manual_seed(seed)
    reference = (sharpness * torch.randn(2, 3, 8, 8)).softmax(1)
    return PredictionPair(reference, torch.randn(2, 3, 8, 8), index)


def test_loss_of_pairs_is_the_sum_of_the_single_losses():
    metassl = MetaSSL(3, 2)
    pairs = [_pair(0, sharpness=2), _pair(1, seed=1, sharpness=5)]
    metassl.observe(pairs)
    expected = 0
    for p in pairs:
        limits = by_hand.thresholds(p.reference_probs)
        found = by_hand.masks(p.reference_probs, p.supervised_logits.argmax(1), limits)
        expected += by_hand.weight_map(
            p.supervised_logits, p.reference_probs.argmax(1), found, by_hand.FALLING
        )
    torch.testing.assert_close(metassl.unlabelled(pairs), expected)


@pytest.mark.parametrize("split", ["unlabelled", "labelled"])
def test_each_split_is_partitioned_by_its_own_thresholds(split):
    # Without annotation the reference is surer, so that the other thresholds find other regions.
    pairs = {"unlabelled": _pair(sharpness=8), "labelled": _pair(seed=1, sharpness=2)}
    metassl = MetaSSL(3)
    metassl.observe([pairs["unlabelled"]], [pairs["labelled"]])
    annotation = torch.randint(0, 3, (2, 8, 8))
    reference, logits = pairs[split].reference_probs, pairs[split].supervised_logits
    limits = by_hand.thresholds(reference)
    if split == "unlabelled":
        target, compared, weights = reference.argmax(1), logits.argmax(1), by_hand.FALLING
        found = metassl.unlabelled([pairs[split]])
    else:
        target, compared, weights = annotation, annotation, by_hand.ANNOTATED
        found = metassl.labelled([pairs[split]], annotation)
    regions = by_hand.masks(reference, compared, limits)
    torch.testing.assert_close(found, by_hand.weight_map(logits, target, regions, weights))


def test_two_views_of_one_reference_update_its_threshold_once():
    once, twice = MetaSSL(3), MetaSSL(3)
    once.observe([_pair()])
    twice.observe([_pair(), _pair()])
    assert torch.equal(once.thresholds.values, twice.thresholds.values)


def test_of_pairs_with_one_reference_the_first_sets_its_thresholds():
    part, alone = MetaSSL(2, 1), MetaSSL(2, 1)
    logits = torch.zeros(1, 2, 1, 4)
    first, other = (
        PredictionPair(torch.tensor([1 - p, p]).view(1, 2, 1, 1).expand(1, 2, 1, 4), logits)
        for p in (0.6, 0.9)
    )
    part.observe([first, other])
    alone.observe([first])
    assert torch.equal(part.thresholds.values, alone.thresholds.values)


def test_observing_a_split_moves_its_thresholds_alone():
    metassl = MetaSSL(3)
    metassl.observe([_pair()])
    assert (metassl.thresholds.get() < 0.9).all()
    assert (metassl.thresholds.get(split="labelled") == 0.9).all()


def test_pixels_without_annotation_move_no_labelled_threshold():
    pair, annotation = _pair(sharpness=4), torch.randint(0, 3, (2, 8, 8))
    part, whole = MetaSSL(3), MetaSSL(3)
    part.observe(labelled=[pair], annotation=annotation)
    whole.observe(labelled=[pair])
    assert torch.equal(part.thresholds.values, whole.thresholds.values)
    annotation[:, 3:] = 255
    part = MetaSSL(3)
    part.observe([pair], [pair], annotation)
    limits = by_hand.thresholds(pair.reference_probs[:, :, :3])
    torch.testing.assert_close(part.thresholds.get(split="labelled"), limits)
    assert torch.equal(part.thresholds.get(), whole.thresholds.get(split="labelled"))


def test_structures_without_annotation_move_no_threshold_of_theirs():
    part = MetaSSL(2, space=LabelSpace(2, overlapping=True))
    probs = torch.tensor([[0.8, 0.6], [0.7, 0.9]]).view(1, 2, 2)
    sets = torch.tensor([[1, 255], [255, 255]]).view(1, 2, 2)
    part.observe(labelled=[PredictionPair(probs, probs)], annotation=sets)
    expected = torch.tensor([[0.9, 0.9], [0.5 * 0.8 / 2 + 0.45, 0.9]])  # no, yes; by structure
    torch.testing.assert_close(part.thresholds.get(split="labelled"), expected)


def test_target_of_labelled_pixels_is_the_annotation():
    metassl = MetaSSL(2, config=MetaSSLConfig(labelled_step=0.0))
    reference = torch.tensor([0.05, 0.95]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    logits = torch.randn(1, 2, 4, 4)
    annotation = torch.randint(0, 2, (1, 4, 4))
    # With equal weights the loss is plain cross-entropy to the annotation.
    loss = metassl.labelled([PredictionPair(reference, logits)], annotation)
    assert torch.isclose(loss, F.cross_entropy(logits, annotation))


@pytest.mark.parametrize(
    ("normalisation", "scale", "weight"),
    [("weight_map", 1, 1), ("weight_map", 50, 1), ("region_mean", 1, 1), ("region_mean", 50, 50)],
)
def test_share_of_dice_uses_the_same_pixel_weights(normalisation, scale, weight):
    options = {"normalisation": normalisation, "scale": scale, "unlabelled_step": 0.0}
    pair = _pair()
    loss = MetaSSL(3, config=MetaSSLConfig(dice=1.0, **options)).unlabelled([pair])
    target = pair.reference_probs.argmax(1)
    expected = weight * masked_dice(pair.supervised_logits.softmax(1), target)
    assert torch.isclose(loss, expected)


@pytest.mark.parametrize("normalisation", ["weight_map", "region_mean"])
def test_a_scale_of_nothing_leaves_no_loss_of_regions_and_no_nan(normalisation):
    config = MetaSSLConfig(dice=0.5, scale=0.0, normalisation=normalisation)
    found = MetaSSL(3, config=config).unlabelled([_pair()])
    whole = MetaSSL(3, config=MetaSSLConfig(dice=0.5)).unlabelled([_pair()])
    torch.testing.assert_close(found, whole if normalisation == "weight_map" else torch.zeros(()))


def test_only_the_learner_receives_gradient():
    reference = torch.randn(1, 3, 6, 6, requires_grad=True)
    learner = torch.randn(1, 3, 6, 6, requires_grad=True)
    pair = PredictionPair(reference.softmax(1), learner)
    metassl = MetaSSL(3, config=MetaSSLConfig(dice=0.5))
    loss = metassl.unlabelled([pair]) + metassl.labelled([pair], torch.zeros(1, 6, 6).long())
    loss.backward()
    assert reference.grad is None
    assert learner.grad.abs().sum() > 0


def test_unanimous_confident_foreground_teaches_in_region_mean():
    logits = torch.zeros(1, 2, 2, 2, requires_grad=True)
    reference = torch.tensor([0.01, 0.99]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    learner = torch.stack([torch.zeros(2, 2), torch.ones(2, 2)])[None] + logits
    metassl = MetaSSL(2, config=MetaSSLConfig(normalisation="region_mean"))
    metassl.unlabelled_weights.zero_()[Region.UC] = 1.0  # only UC counts
    loss = metassl.unlabelled([PredictionPair(reference, learner)])
    loss.backward()
    assert loss > 0
    assert (logits.grad != 0).all()


def test_labelled_agreement_is_with_the_annotation():
    # The reference is right at pixel 0, confidently wrong at pixel 1; pixel 2 is not annotated.
    reference = torch.tensor([[0.05, 0.05, 0.05], [0.95, 0.95, 0.95]]).view(1, 2, 1, 3)
    annotation = torch.tensor([[[1, 0, 255]]])
    learner = torch.zeros(1, 2, 1, 3)
    learner[0, 1, 0, 1] = math.log(3)  # CE log 2 at pixel 0, log 4 at pixel 1
    weights = region_weights(order=LABELLED_ORDER, step=0.3)
    w_uc, w_dc = weights[Region.UC].item(), weights[Region.DC].item()
    loss = MetaSSL(2).labelled([PredictionPair(reference, learner)], annotation)
    expected = (w_uc * math.log(2) + w_dc * math.log(4)) / (w_uc + w_dc)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_labelled_pixels_can_have_a_scale_of_their_own():
    def heaviest(**options):
        found = MetaSSL(2, config=MetaSSLConfig(scale=50.0, **options))
        return found.unlabelled_weights.max().item(), found.labelled_weights.max().item()

    assert heaviest(normalisation="region_mean", labelled_scale=85.0) == (50, 85)
    assert heaviest(normalisation="region_mean") == (50, 50)
    assert heaviest(labelled_scale=85.0) == (1, 1)  # one weight map has no scale


def test_labelled_weights_by_ratio_are_plain_powers():
    found = MetaSSL(2, 1, MetaSSLConfig(formula="ratio")).labelled_weights
    expected = [0, 1, 1 / 1.4, 1 / 1.4**3, 1 / 1.4**2]  # no region, UC, US, DC, DS
    torch.testing.assert_close(found, torch.tensor(expected))


def test_trust_of_a_pair_reaches_cross_entropy_and_dice():
    pair = _pair()
    trust = torch.zeros(2, 8, 8)
    trust[..., :4] = 1
    target, logits = pair.reference_probs[..., :4].argmax(1), pair.supervised_logits[..., :4]
    # Half of the pixels are trusted: both losses of these count half.
    halves = (F.cross_entropy(logits, target) / 2, masked_dice(logits.softmax(1), target) / 2)
    for dice, expected in enumerate(halves):
        metassl = MetaSSL(3, config=MetaSSLConfig(dice=float(dice), unlabelled_step=0.0))
        whole = PredictionPair(pair.reference_probs, pair.supervised_logits, trust=trust)
        torch.testing.assert_close(metassl.unlabelled([whole]), expected)


def test_trust_of_overlapping_classes_may_be_one_map():
    space = LabelSpace(3, overlapping=True)
    probs, logits = torch.rand(2, 3, 5, 5), torch.randn(2, 3, 5, 5)
    trust = torch.rand(2, 5, 5)
    target = (probs > 0.5).float()
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    expected = (bce * trust[:, None]).mean()
    metassl = MetaSSL(3, config=MetaSSLConfig(unlabelled_step=0.0), space=space)
    for each in (trust, trust[:, None].expand(2, 3, 5, 5)):
        loss = metassl.unlabelled([PredictionPair(probs, logits, trust=each)])
        torch.testing.assert_close(loss, expected)


def test_a_reference_may_state_what_is_not_its_likeliest_answer():
    # Four pixels, of which the last states nothing; the likeliest class is 0 everywhere.
    probs = torch.tensor([[0.5, 0.6, 0.9, 0.9], [0.5, 0.4, 0.1, 0.1]]).view(1, 2, 4)
    target = torch.tensor([[1, 1, 0, 255]])
    logits = torch.tensor([[0.0, 1.0, 1.0, 9.0], [2.0, 0.0, 0.0, 0.0]]).view(1, 2, 4)
    pair = PredictionPair(probs, logits, target=target)
    metassl = MetaSSL(2)
    metassl.observe([pair])
    # Class 0 is stated by one pixel with .9, class 1 by two with .5 and .4.
    limits = [0.5 * 0.9 / 2 + 0.45, 0.5 * 0.9 / 3 + 0.45]
    torch.testing.assert_close(metassl.thresholds.get(), torch.tensor(limits))
    # 0.5 and 0.4 are less than 0.6, and 0.9 more than .675: US, DS, UC.
    weights = torch.tensor([by_hand.FALLING[i] for i in (1, 3, 0)])
    ce = torch.log1p(torch.exp(torch.tensor([-2.0, 1.0, -1.0])))
    expected = (weights * ce).sum() / weights.sum()
    torch.testing.assert_close(metassl.unlabelled([pair]), expected)


def test_agreement_of_labelled_pixels_can_be_that_of_the_predictions():
    # Reference says class 1 surely, the learner class 0, the annotation 1.
    reference = torch.tensor([0.05, 0.95]).view(1, 2, 1)
    logits = torch.tensor([2.0, 0.0]).view(1, 2, 1)
    annotation = torch.tensor([[1]])
    config = {"normalisation": "region_mean", "scale": 2.0}
    for choice, weight in (("annotation", 1.0), ("predictions", 0.0)):
        part = MetaSSL(2, 1, MetaSSLConfig(labelled_agreement=choice, **config))
        part.labelled_weights.zero_()[1] = 1.0  # UC alone
        loss = part.labelled([PredictionPair(reference, logits)], annotation)
        expected = weight * F.cross_entropy(logits, annotation) / 2
        torch.testing.assert_close(loss, expected)
    # What the reference is compared with need not be the prediction that learns.
    pair = PredictionPair(reference, logits, compared=torch.tensor([[1]]))
    loss = part.labelled([pair], annotation)
    torch.testing.assert_close(loss, F.cross_entropy(logits, annotation) / 2)


@pytest.mark.parametrize(
    "name", ["supervised", "fixmatch", "unimatch", "rpg", "semsim", "combined"]
)
def test_one_prediction_of_a_labelled_image_cannot_be_compared_with_itself(name):
    regions = MetaSSLConfig(labelled_agreement="predictions")
    with pytest.raises(ValueError, match="labelled_agreement"):
        small(name, metassl=True, regions=regions)


STEPS = [(n, {}) for n in available()] + [("combined", {"similarity_every": 2})]


@pytest.mark.parametrize(("name", "options"), STEPS)
def test_no_step_counts_pixels_without_annotation_for_labelled_thresholds(
    name, options, disc_batch
):
    framework = small(name, **options)
    batch = disc_batch()
    batch.labelled_target.fill_(255)
    framework.losses(batch, 0.9, generator())
    unlabelled, labelled = framework.thresholds.values.unbind(1)
    assert (labelled == 0.9).all()
    assert (unlabelled != 0.9).any() == (name != "supervised")


@pytest.mark.parametrize(
    ("name", "options"), [("semsim", {}), ("combined", {}), ("combined", {"gated": True})]
)
def test_a_batch_without_labelled_images_teaches_nothing_across_images(name, options, disc_batch):
    framework, batch = small(name, threshold=0.0, **options), disc_batch()
    none = replace(
        batch, labelled_image=batch.labelled_image[:0], labelled_target=batch.labelled_target[:0]
    )
    losses = framework.losses(none, 0.9, generator())
    losses["total"].backward()
    assert losses["cross"].item() == 0
    assert losses["total"].isfinite()
    assert all(p.grad.isfinite().all() for p in framework.parameters() if p.grad is not None)


PAIRS = ["mean_teacher", "fixmatch", "cps", "cct", "rdrop", "semsim", "rpg"]


@pytest.mark.parametrize("name", PAIRS)
def test_one_interface_serves_every_framework(name, disc_batch, monkeypatch):
    seen = []
    original = MetaSSL.unlabelled

    def spy(self, pairs):
        seen.extend(pairs)
        return original(self, pairs)

    monkeypatch.setattr(MetaSSL, "unlabelled", spy)
    framework = small(name, metassl=True)
    losses = framework.losses(disc_batch(), 0.9, generator())
    assert losses["unlabelled"] > 0
    assert losses["labelled_regions"] > 0
    assert seen
    for pair in seen:
        assert not pair.reference_probs.requires_grad
        assert pair.supervised_logits.requires_grad
        assert 0 <= pair.index < framework.reference_predictions


def test_dice_share_can_leave_out_classes_that_no_pseudo_label_has():
    torch.manual_seed(0)
    probs = torch.tensor([0.7, 0.2, 0.1]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    pair = PredictionPair(probs, torch.randn(1, 3, 4, 4))
    # Nowhere above the threshold of .9: US where the learner agrees, DS where it does not.
    same = pair.supervised_logits.argmax(1) == 0
    pixels = torch.where(same, by_hand.FALLING[1], by_hand.FALLING[3])
    losses = {}
    for absent in (True, False):
        part = MetaSSL(3, 1, MetaSSLConfig(dice=1.0, dice_of_absent=absent))
        target = torch.zeros(1, 4, 4, dtype=torch.long)
        expected = masked_dice(pair.supervised_logits.softmax(1), target, pixels, absent=absent)
        losses[absent] = part.unlabelled([pair])
        torch.testing.assert_close(losses[absent], expected)
    assert losses[False] < losses[True]
