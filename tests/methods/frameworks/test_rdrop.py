"""R-Drop: two passes of one network."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks.metassl import MetaSSLConfig

from . import by_hand
from .small import generator, small


def test_r_drop_is_zero_without_dropout_and_positive_with(disc_batch):
    for dropout, least, most in ((0.0, 0.0, 1e-9), (0.4, 1e-6, 10.0)):
        framework = small("rdrop", dropout=(dropout,) * 4)
        value = framework.losses(disc_batch(), 1.0, generator())["unlabelled"].item()
        assert least <= value <= most


@pytest.fixture
def passes(disc_batch):
    """Return what the two passes put out, the losses of the step, and the annotation."""

    def run(**options):
        framework = small("rdrop", metassl=True, dropout=(0.4,) * 4, **options)
        by_hand.sharpen(framework.network.classifier)
        seen = by_hand.watch(framework.network)
        batch = disc_batch()
        losses = framework.losses(batch, 1.0, generator())
        assert len(seen) == 2
        return seen, losses, batch.labelled_target

    return run


def test_each_pass_is_taught_by_the_other_and_by_nothing_of_its_own(passes):
    seen, losses, _ = passes()
    losses["unlabelled"].backward()
    total = 0
    for k in (0, 1):
        own = seen[k][2:].detach().requires_grad_()
        reference = seen[1 - k][2:].detach().softmax(1)
        limits = by_hand.thresholds(reference)
        found = by_hand.masks(reference, own.detach().argmax(1), limits)
        taught = by_hand.weight_map(own, reference.argmax(1), found, by_hand.FALLING) / 2
        (expected,) = torch.autograd.grad(taught, own)
        torch.testing.assert_close(seen[k].grad[2:], expected)
        total += taught.item()
    assert losses["unlabelled"].item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("reference", ["own", "other"])
@pytest.mark.parametrize("agreement", ["annotation", "predictions"])
def test_labelled_pixels_are_compared_with_the_annotation_or_the_other_pass(
    agreement, reference, passes
):
    regions = MetaSSLConfig(labelled_agreement=agreement)
    seen, losses, target = passes(regions=regions, labelled_reference=reference)
    probs = [z[:2].detach().softmax(1) for z in seen]
    expected = 0
    for k in (0, 1):
        compared = target if agreement == "annotation" else probs[1 - k].argmax(1)
        found = by_hand.masks(probs[k], compared, by_hand.thresholds(probs[k], target))
        learner = seen[k if reference == "own" else 1 - k][:2]
        loss = by_hand.weight_map(learner, target, found, by_hand.ANNOTATED)
        expected = expected + loss / 2
    torch.testing.assert_close(losses["labelled_regions"], expected)


def test_total_counts_two_passes_of_one_network_as_one(passes):
    seen, losses, target = passes()
    framework = small("rdrop")
    whole = [framework.space.supervised_loss(z[:2], target) for z in seen]
    torch.testing.assert_close(losses["supervised"], (whole[0] + whole[1]) / 2)
    terms = losses["supervised"] + losses["labelled_regions"] + losses["unlabelled"]
    torch.testing.assert_close(losses["total"], terms)
