"""Geometry and CutMix of volumes."""

from __future__ import annotations

import torch

from napari_sslseg.methods.augment import (
    StrongAugmentation,
    WeakAugmentation,
    move_images,
    move_labels,
)
from napari_sslseg.methods.augment_intensity import change_intensity, sample_intensity
from napari_sslseg.methods.augment_volumes import sample_cutmix_volume, sample_weak_volume


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_flips_of_volumes_are_exact_and_take_every_axis():
    volumes = torch.randn(16, 1, 5, 6, 7)
    theta = sample_weak_volume(volumes, _generator(), WeakAugmentation(quarter_turns=0, free=0))
    moved = move_images(volumes, theta)
    seen = set()
    for before, after in zip(volumes, moved, strict=True):
        flips = [axes for axes in _subsets() if torch.allclose(before.flip(axes), after, atol=1e-5)]
        assert len(flips) == 1
        seen.add(tuple(flips[0]))
    assert {axis for axes in seen for axis in axes} == {1, 2, 3}


def _subsets():
    return [[a for i, a in enumerate((1, 2, 3)) if code >> i & 1] for code in range(8)]


def test_labels_of_volumes_follow_and_are_unknown_outside():
    volumes = torch.rand(3, 1, 6, 16, 16)
    labels = (volumes[:, 0] > 0.5).to(torch.uint8)
    turned = WeakAugmentation(flip=0, quarter_turns=0, rotation=45, scale=(0.7, 0.7), free=1)
    theta = sample_weak_volume(volumes, _generator(), turned)
    moved = move_labels(labels, theta)
    assert moved.dtype == torch.uint8
    assert set(moved.unique().tolist()) == {0, 1, 255}
    still = WeakAugmentation(flip=0, quarter_turns=0, free=0)
    assert torch.equal(
        move_labels(labels, sample_weak_volume(volumes, _generator(), still)), labels
    )


def test_labels_of_overlapping_classes_move_together():
    images = torch.rand(2, 1, 6, 16, 16)
    sets = torch.stack([(images[:, 0] > t) for t in (0.3, 0.7)], 1).to(torch.uint8)
    theta = sample_weak_volume(images, _generator(3), WeakAugmentation())
    moved = move_labels(sets, theta)
    for k in (0, 1):
        assert torch.equal(moved[:, k], move_labels(sets[:, k], theta))


def test_box_of_a_volume_is_a_block_of_its_partner():
    volumes = torch.randn(3, 1, 10, 16, 16)
    strong = StrongAugmentation(cutmix=1, area=(0.25, 0.25), aspect=1)
    box = sample_cutmix_volume(volumes, _generator(), strong)
    assert box.mask.shape == (3, 10, 16, 16)
    for mask in box.mask:
        sides = [int(mask.any(0).any(0).sum()), int(mask.any(0).any(1).sum())]
        assert int(mask.sum()) == sides[0] * sides[1] * int(mask.any(1).any(1).sum())
        assert 4 <= int(mask.any(1).any(1).sum()) <= 6
    mixed = box.mix(volumes)
    assert torch.equal(mixed[:, 0][box.mask], volumes[box.partner][:, 0][box.mask])
    assert torch.equal(mixed[:, 0][~box.mask], volumes[:, 0][~box.mask])
    assert torch.equal(box.mix(volumes[:, 0]), mixed[:, 0])
    assert box.mix(volumes[..., ::2, ::2, ::2]).shape == (3, 1, 5, 8, 8)


def test_intensities_of_volumes_change_and_keep_their_shape():
    volumes = torch.randn(2, 1, 4, 12, 12)
    change = sample_intensity(volumes, _generator(), StrongAugmentation(jitter=1, blur=1))
    changed = change_intensity(volumes, change)
    assert changed.shape == volumes.shape
    assert (changed - volumes).abs().max() > 1e-2
    alone = change_intensity(volumes[:, :, 1:2], sample_intensity(volumes, _generator(9)))
    assert alone.shape == (2, 1, 1, 12, 12)


def test_published_draw_of_volumes_turns_and_flips_in_the_plane_alone():
    volumes = torch.zeros(64, 1, 6, 8, 8)
    config = WeakAugmentation(draw="published", quarter_turns=1, free=0)
    theta = sample_weak_volume(volumes, _generator(), config)
    assert (theta[:, 2, 2] == 1).all()
    assert (torch.linalg.det(theta[:, :2, :2]) < 0).all()
