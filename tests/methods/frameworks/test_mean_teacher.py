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
    limits = by_hand.thresholds(probs[reference], target)
    found = by_hand.masks(probs[reference], compared, limits)
    expected = by_hand.weight_map(seen["student"][0][:2], target, found, by_hand.ANNOTATED)
    torch.testing.assert_close(losses["labelled_regions"], expected)


def test_unlabelled_pixels_of_mean_teacher_are_taught_by_the_teacher_and_its_regions(disc_batch):
    framework = small("mean_teacher", metassl=True)
    nets = (framework.teacher, framework.network)
    by_hand.sharpen(*(net.classifier for net in nets))
    with torch.no_grad():
        framework.teacher.classifier.weight.copy_(framework.network.classifier.weight.flip(0))
    teacher, student = (by_hand.watch(net) for net in nets)
    losses = framework.losses(disc_batch(), 1.0, generator())
    probs, logits = teacher[0][2:].detach().softmax(1), student[0][2:]
    # The batch is in the thresholds by which it is split.
    found = by_hand.masks(probs, logits.argmax(1), by_hand.thresholds(probs))
    expected = by_hand.weight_map(logits, probs.argmax(1), found, by_hand.FALLING)
    torch.testing.assert_close(losses["unlabelled"], expected)


def test_teacher_is_an_average_of_the_parameters_that_forgets():
    framework = small("mean_teacher")
    teacher, student = framework.teacher, framework.network
    counted = [b.clone() for b in teacher.buffers()]
    expected = torch.zeros(())
    for t in range(150):
        with torch.no_grad():
            for p in student.parameters():
                p.fill_(float(t))
            for b in student.buffers():
                b.fill_(7)
        framework.after_step()
        decay = min(1 - 1 / (t + 1), 0.99)
        expected = decay * expected + (1 - decay) * t
    for p in teacher.parameters():
        torch.testing.assert_close(p, expected.expand_as(p), rtol=1e-4, atol=1e-4)
    assert all(torch.equal(a, b) for a, b in zip(counted, teacher.buffers(), strict=True))


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


def test_noise_is_cut_off_at_twice_its_size():
    noise = small("mean_teacher", noise=0.1)._noisy(torch.zeros(1, 1, 64, 64), generator())
    assert torch.isclose(noise.abs().max(), torch.tensor(0.2))


def test_the_teacher_sees_noise(disc_batch):
    quiet, loud = (
        small("mean_teacher", noise=noise).losses(disc_batch(), 1.0, generator())["unlabelled"]
        for noise in (0.0, 1.0)
    )
    assert loud > quiet + 1e-6
