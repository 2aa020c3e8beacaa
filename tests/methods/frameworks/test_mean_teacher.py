"""Mean Teacher: what teaches, and what is compared."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks import Batch
from napari_sslseg.methods.frameworks.metassl import MetaSSLConfig

from . import by_hand
from .small import generator, small, touched


def test_mean_teacher_learns_from_labelled_regions_of_its_teacher(disc_batch):
    framework = small("mean_teacher", metassl=True)
    losses = framework.losses(disc_batch(), 1.0, generator())
    losses["labelled_regions"].backward()
    assert touched(framework.network)
    assert not touched(framework.teacher)


def test_squared_difference_to_the_teacher_by_hand(disc_batch):
    framework = small("mean_teacher", noise=0.0).eval()
    batch = disc_batch()
    with torch.no_grad():
        framework.teacher.classifier.bias.add_(1 + torch.arange(3))
        p = framework.network(batch.unlabelled_image).softmax(1)
        q = framework.teacher(batch.unlabelled_image).softmax(1)
    losses = framework.losses(batch, 1.0, generator())
    torch.testing.assert_close(losses["unlabelled"].detach(), (p - q).square().mean())


@pytest.mark.parametrize("agreement", ["annotation", "predictions"])
@pytest.mark.parametrize("reference", ["teacher", "student"])
def test_labelled_pixels_of_mean_teacher_are_partitioned_by_the_named_network(
    reference, agreement, disc_batch
):
    regions = MetaSSLConfig(labelled_agreement=agreement)
    options = {"labelled_reference": reference, "regions": regions}
    framework = small("mean_teacher", metassl=True, **options)
    nets = {"student": framework.network, "teacher": framework.teacher}
    by_hand.sharpen(*(net.classifier for net in nets.values()))
    with torch.no_grad():
        framework.teacher.classifier.weight.copy_(framework.network.classifier.weight.flip(0))
    seen = {name: by_hand.watch(net) for name, net in nets.items()}
    batch = disc_batch()
    target = batch.labelled_target
    losses = framework.losses(batch, 1.0, generator())
    probs = {name: z[0][:2].detach().softmax(1) for name, z in seen.items()}
    other = {"teacher": "student", "student": "teacher"}[reference]
    compared = target if agreement == "annotation" else probs[other].argmax(1)
    limits = by_hand.thresholds(probs[reference])
    found = by_hand.masks(probs[reference], compared, limits)
    expected = by_hand.weight_map(seen["student"][0][:2], target, found, by_hand.ANNOTATED)
    torch.testing.assert_close(losses["labelled_regions"], expected)


@pytest.mark.parametrize("noisy", [False, True])
def test_dropout_acts_in_the_teacher_only_where_asked(noisy):
    framework = small("mean_teacher", dropout=(0.5,) * 4, teacher_dropout=noisy)
    seen = []
    framework.teacher.register_forward_hook(
        lambda module, *_: seen.append({m.training for m in module.modules() if _is_dropout(m)})
    )
    image = torch.randn(2, 1, 32, 32)
    batch = Batch(image, torch.zeros(2, 32, 32, dtype=torch.uint8), image)
    framework.losses(batch, 1.0, generator())
    assert seen == [{noisy}]


def _is_dropout(module):
    return isinstance(module, torch.nn.Dropout)
