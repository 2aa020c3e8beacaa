"""Prediction pairs: thresholds by index, losses that do not know their framework."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.frameworks.metassl import MetaSSL, MetaSSLConfig, PredictionPair
from napari_sslseg.methods.losses import masked_dice
from napari_sslseg.methods.regions import unlabelled_heterogeneous_loss


def _pair(index=0, seed=0):
    torch.manual_seed(seed)
    return PredictionPair(torch.randn(2, 3, 8, 8).softmax(1), torch.randn(2, 3, 8, 8), index)


def test_loss_of_pairs_is_the_sum_of_the_single_losses():
    metassl = MetaSSL(3, 2)
    a, b = _pair(0), _pair(1, seed=1)
    metassl.observe([a, b])
    expected = sum(
        unlabelled_heterogeneous_loss(
            p.reference_probs,
            p.supervised_logits,
            metassl.thresholds.get(p.index),
            metassl.unlabelled_weights,
        )
        for p in (a, b)
    )
    assert torch.isclose(metassl.unlabelled([a, b]), expected)


def test_two_views_of_one_reference_update_its_threshold_once():
    once, twice = MetaSSL(3), MetaSSL(3)
    once.observe([_pair()])
    twice.observe([_pair(), _pair()])
    assert torch.equal(once.thresholds.values, twice.thresholds.values)


def test_thresholds_contain_the_current_batch_before_it_is_partitioned():
    metassl = MetaSSL(3)
    metassl.observe([_pair()])
    assert (metassl.thresholds.get() < 0.9).all()
    assert (metassl.thresholds.get(split="labelled") == 0.9).all()


def test_annotation_overrides_agreement_of_the_predictions():
    metassl = MetaSSL(2, config=MetaSSLConfig(labelled_step=0.0))
    reference = torch.tensor([0.05, 0.95]).view(1, 2, 1, 1).expand(1, 2, 4, 4)
    logits = torch.randn(1, 2, 4, 4)
    annotation = torch.randint(0, 2, (1, 4, 4))
    # With equal weights the loss is plain cross-entropy to the annotation.
    loss = metassl.labelled([PredictionPair(reference, logits)], annotation)
    assert torch.isclose(loss, F.cross_entropy(logits, annotation))


@pytest.mark.parametrize("scale", [1.0, 50.0])
def test_share_of_dice_uses_the_same_pixel_weights(scale):
    config = MetaSSLConfig(dice=1.0, scale=scale, unlabelled_step=0.0)
    pair = _pair()
    loss = MetaSSL(3, config=config).unlabelled([pair])
    target = pair.reference_probs.argmax(1)
    expected = scale * masked_dice(pair.supervised_logits.softmax(1), target)
    assert torch.isclose(loss, expected)


def test_only_the_learner_receives_gradient():
    reference = torch.randn(1, 3, 6, 6, requires_grad=True)
    learner = torch.randn(1, 3, 6, 6, requires_grad=True)
    pair = PredictionPair(reference.softmax(1), learner)
    metassl = MetaSSL(3, config=MetaSSLConfig(dice=0.5))
    loss = metassl.unlabelled([pair]) + metassl.labelled([pair], torch.zeros(1, 6, 6).long())
    loss.backward()
    assert reference.grad is None
    assert learner.grad.abs().sum() > 0
