"""Mean Teacher: what teaches, and what is compared."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks import Batch
from napari_sslseg.methods.frameworks.metassl import PredictionPair

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


@pytest.mark.parametrize("reference", ["teacher", "student"])
def test_labelled_pixels_of_mean_teacher_are_partitioned_by_the_named_network(
    reference, disc_batch
):
    framework = small("mean_teacher", metassl=True, labelled_reference=reference).eval()
    with torch.no_grad():  # a teacher that is sure of one class
        framework.teacher.classifier.bias[2] += 5
    batch = disc_batch().normalised()
    losses = framework.losses(batch, 1.0, generator())
    student = framework.network(batch.labelled_image)
    chosen = framework.teacher if reference == "teacher" else framework.network
    pair = PredictionPair(chosen(batch.labelled_image).softmax(1), student)
    expected = framework.metassl.labelled([pair], batch.labelled_target)
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
