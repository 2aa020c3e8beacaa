"""FixMatch: what the strong view shows, and what it is taught."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from napari_sslseg.methods.augment_cutmix import CutMix
from napari_sslseg.methods.frameworks import Batch, fixmatch
from napari_sslseg.methods.frameworks.fixmatch import mixed_prior

from . import by_hand
from .small import LIVELY, generator, outspoken, pasted, small, watched

#: A change that can be told from two images: brightness alone.
BRIGHTNESS = replace(LIVELY, blur=0, contrast=0, gamma=0)


def _encoded(framework, monkeypatch):
    """Return a list to which a step adds what goes through the network's encoder."""
    seen, encode = [], framework.network.encode

    def spy(images):
        seen.append(images.detach())
        return encode(images)

    monkeypatch.setattr(framework.network, "encode", spy)
    return seen


@pytest.mark.parametrize("name", ["fixmatch", "unimatch"])
def test_strong_views_differ_in_intensity_and_by_a_box_of_another_image(
    name, disc_batch, monkeypatch
):
    framework = small(name, strong=BRIGHTNESS)
    seen, (_, boxes) = _encoded(framework, monkeypatch), watched(framework, monkeypatch)
    batch = disc_batch()
    framework.losses(batch, 1.0, generator())
    weak = batch.normalised().unlabelled_image
    spread = weak.std((1, 2, 3), unbiased=False)
    learners = next(images for images in seen if len(images) > len(weak))
    assert len(boxes) == framework.config.strong_views
    for box, strong in zip(boxes, learners[2:].split(3), strict=False):
        # What each image became is read where no box hides it, and must be in the boxes, too.
        moved = torch.stack([(strong - weak)[i, 0][~box.mask[i]].mean() for i in range(3)])
        assert (moved.abs() > 1e-3).all()
        assert (moved.abs() <= 0.5 * spread + 1e-4).all()
        expected = pasted(weak + moved[:, None, None, None], box)
        torch.testing.assert_close(strong, expected, rtol=1e-4, atol=1e-4)
        assert (strong - weak).abs().max() > 1


def test_strong_view_learns_by_the_regions_of_the_weak_one(disc_batch, monkeypatch):
    framework = outspoken(small("fixmatch", strong=LIVELY, metassl=True), disc_batch())
    before = framework.metassl.thresholds.values.clone()
    changed, boxes = watched(framework, monkeypatch)
    losses = framework.losses(disc_batch(), 1.0, generator())
    weak = disc_batch().normalised().unlabelled_image
    with torch.no_grad():
        plain = framework.network(weak).softmax(1)
        logits = framework.network(pasted(changed[0], boxes[0]))
    confidence, said = plain.max(1)
    limits = framework.metassl.thresholds.get()
    for c in range(3):  # the batch is in the thresholds, unmixed, before it is split
        members = confidence[said == c]
        mean = members.sum() / (len(members) + 1)
        torch.testing.assert_close(limits[c], (before[0, 0, c] + mean) / 2)
    mixed = pasted(plain, boxes[0])
    found = by_hand.masks(mixed, logits.argmax(1), limits)
    expected = by_hand.weight_map(logits, mixed.argmax(1), found, by_hand.FALLING)
    torch.testing.assert_close(losses["unlabelled"].detach(), expected)


def test_strong_view_learns_what_the_weak_one_is_sure_of(disc_batch, monkeypatch):
    framework = outspoken(small("fixmatch", strong=LIVELY, threshold=0.5), disc_batch())
    changed, boxes = watched(framework, monkeypatch)
    losses = framework.losses(disc_batch(), 1.0, generator())
    weak = disc_batch().normalised().unlabelled_image
    with torch.no_grad():
        confidence, classes = pasted(framework.network(weak).softmax(1), boxes[0]).max(1)
        logits = framework.network(pasted(changed[0], boxes[0]))
    mask = confidence >= 0.5
    assert 0 < mask.sum() < mask.numel()
    ce = F.cross_entropy(logits, classes, reduction="none")
    torch.testing.assert_close(losses["unlabelled"].detach(), ce[mask].mean())


def test_channels_are_dropped_for_the_stream_of_features_alone(disc_batch, monkeypatch):
    spared, real = [], fixmatch.ChannelDropout

    def spy(p, generator, first=0):
        spared.append(first)
        return real(p, generator, first)

    monkeypatch.setattr(fixmatch, "ChannelDropout", spy)
    small("unimatch").losses(disc_batch(), 1.0, generator())
    assert spared == [2 + 2 * 3]  # two labelled images, and two strong views of three others


def test_the_trust_in_a_prior_is_mixed_like_the_prior():
    mask = torch.zeros(2, 4, 4, dtype=torch.bool)
    mask[:, :2] = True
    box = CutMix(mask, torch.tensor([1, 0]))
    images, weight = torch.rand(2, 1, 4, 4), torch.rand(2, 4, 4)
    batch = Batch(images, torch.zeros(2, 4, 4), images, torch.rand(2, 3, 4, 4), weight)
    found = mixed_prior(batch, box).prior_weight
    assert torch.equal(found[:, :2], weight.flip(0)[:, :2])
    assert torch.equal(found[:, 2:], weight[:, 2:])


def test_the_threshold_itself_is_enough_and_the_teacher_drops_nothing():
    framework = small("fixmatch", threshold=0.5, dropout=(0.5,) * 4)
    half = torch.tensor([0.5, 0.5, 0.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert framework._stream(half, torch.zeros(1, 3, 4, 4)) > 1
    weak = torch.rand(2, 1, 32, 32)
    assert torch.equal(framework._teach(weak), framework._teach(weak))
