"""Augmentations: exact replay, ranges and repeatability."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.methods.augment import (
    StrongAugmentation,
    WeakAugmentation,
    move_images,
    move_labels,
    move_maps,
    sample_weak,
)
from napari_sslseg.methods.augment_intensity import (
    IntensityChange,
    blur,
    change_intensity,
    sample_intensity,
)

TURNS = WeakAugmentation(flip=0.5, quarter_turns=1.0, free=0.0)
STILL = WeakAugmentation(flip=0.0, quarter_turns=0.0, free=0.0)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_quarter_turns_and_flips_are_exact_permutations():
    images = torch.rand(256, 2, 9, 9)
    moved = move_images(images, sample_weak(images, _generator(), TURNS))
    seen = set()
    for image, result in zip(images, moved, strict=True):
        matches = [
            (k, flip)
            for k in range(4)
            for flip in (False, True)
            if torch.allclose(
                torch.rot90(image.flip(-1) if flip else image, k, (-2, -1)), result, atol=1e-4
            )
        ]
        assert len(matches) == 1
        seen.update(matches)
    assert len(seen) == 8


def test_labels_follow_images():
    labels = torch.randint(0, 5, (16, 15, 15))
    images = labels[:, None].float()
    theta = sample_weak(images, _generator(), TURNS)
    moved = move_labels(labels, theta)
    assert moved.dtype == labels.dtype
    torch.testing.assert_close(
        moved[:, None].float(), move_images(images, theta), atol=1e-3, rtol=0
    )


def test_rotation_keeps_shapes_on_images_that_are_not_square():
    config = WeakAugmentation(flip=0, quarter_turns=0, rotation=30, scale=(1, 1), free=1)
    y, x = torch.meshgrid(torch.arange(60.0) - 29.5, torch.arange(100.0) - 49.5, indexing="ij")
    disc = ((x**2 + y**2) < 20**2).float().expand(8, 1, 60, 100)
    moved = move_images(disc, sample_weak(disc, _generator(), config))
    assert (moved - disc).abs().mean() < 0.01


def test_outside_of_the_image_is_not_annotated():
    config = WeakAugmentation(flip=0, quarter_turns=0, rotation=0, scale=(0.5, 0.5), free=1)
    labels = torch.ones(1, 20, 20, dtype=torch.uint8)
    theta = sample_weak(labels[:, None].float(), _generator(), config)
    moved = move_labels(labels, theta)
    assert (moved[0, 5:15, 5:15] == 1).all()
    assert (moved == 255).sum() == 300
    weights = move_maps(torch.ones(1, 1, 20, 20), theta, fill=0)
    assert torch.equal(weights[:, 0] == 0, moved == 255)
    images = move_images(torch.ones(1, 1, 20, 20), theta)
    torch.testing.assert_close(images, torch.ones_like(images))


def test_doing_nothing_changes_nothing():
    images = torch.rand(3, 2, 10, 12)
    theta = sample_weak(images, _generator(), STILL)
    torch.testing.assert_close(move_images(images, theta), images, atol=1e-5, rtol=0)
    calm = StrongAugmentation(jitter=0, blur=0)
    same = change_intensity(images, sample_intensity(images, _generator(), calm))
    torch.testing.assert_close(same, images, atol=1e-5, rtol=0)


def test_sampling_repeats_with_its_generator_and_differs_between_images():
    images = torch.rand(4, 1, 16, 16)
    a, b = (sample_weak(images, _generator(5)) for _ in range(2))
    assert torch.equal(a, b)
    c = sample_intensity(images, _generator(5))
    assert c.gain.unique().numel() > 1


def test_contrast_and_brightness_by_hand():
    image = torch.randn(1, 2, 8, 8)
    one = torch.ones(1)
    change = IntensityChange(0.5 * one, 2 * one, one, 0 * one)
    expected = image.mean() + 2 * (image - image.mean()) + 0.5 * image.std(unbiased=False)
    torch.testing.assert_close(change_intensity(image, change), expected)


def test_gamma_keeps_the_range_and_the_order():
    image = torch.linspace(-3, 5, 64).view(1, 1, 8, 8)
    one = torch.ones(1)
    out = change_intensity(image, IntensityChange(0 * one, one, 2 * one, 0 * one)).flatten()
    assert out[0].item() == pytest.approx(-3)
    assert out[-1].item() == pytest.approx(5, abs=1e-5)
    assert (out.diff() > 0).all()
    assert out[31] < image.flatten()[31]


def test_blur_is_a_gaussian_of_its_own_for_each_image():
    image = torch.zeros(2, 3, 21, 21)
    image[..., 10, 10] = 1
    out = blur(image, torch.tensor([0.0, 1.5]))
    torch.testing.assert_close(out[0], image[0])
    ratio = (out[1, 0, 10, 12] / out[1, 0, 10, 10]).item()
    assert ratio == pytest.approx(math.exp(-0.5 * (2 / 1.5) ** 2), rel=1e-4)
    assert out[1].sum((1, 2)).tolist() == pytest.approx([1, 1, 1], rel=1e-4)


def test_channels_of_an_image_change_alike():
    image = torch.rand(2, 1, 12, 12).expand(2, 4, 12, 12)
    out = change_intensity(image, sample_intensity(image, _generator()))
    torch.testing.assert_close(out, out[:, :1].expand_as(out))


def test_views_of_no_image_are_none():
    none = torch.rand(0, 1, 8, 8)
    assert change_intensity(none, sample_intensity(none, _generator())).shape == none.shape
    assert move_images(none, sample_weak(none, _generator())).shape == none.shape


# -- the published draw, and windows ------------------------------------------------------

PUBLISHED = WeakAugmentation(draw="published")


def test_published_draw_turns_with_a_flip_or_rotates_or_does_nothing():
    images = torch.zeros(4000, 1, 8, 8)
    linear = sample_weak(images, _generator(), PUBLISHED)[:, :, :2]
    size = torch.linalg.det(linear)
    torch.testing.assert_close(size.abs(), torch.ones(4000))  # no magnification
    turned = size < 0
    still = (linear - torch.eye(2)).abs().amax((1, 2)) < 1e-6
    rotated = ~turned & ~still
    for share, expected in ((turned, 0.5), (still, 0.25), (rotated, 0.25)):
        assert share.float().mean().item() == pytest.approx(expected, abs=0.025)
    # Never a free rotation beside a turn and a flip.
    exact = linear[turned].abs()
    torch.testing.assert_close(exact, exact.round())
    seen = {tuple(m.flatten().round().int().tolist()) for m in linear[turned]}
    assert len(seen) == 4
    degrees = torch.rad2deg(torch.atan2(linear[rotated, 1, 0], linear[rotated, 0, 0]))
    torch.testing.assert_close(degrees, degrees.round(), atol=1e-3, rtol=0)
    assert (degrees.min().round().item(), degrees.max().round().item()) == (-20, 19)


def test_our_own_draw_combines_what_the_published_one_does_not():
    linear = sample_weak(torch.zeros(4000, 1, 8, 8), _generator())[:, :, :2]
    size = torch.linalg.det(linear)
    still = (linear - torch.eye(2)).abs().amax((1, 2)) < 1e-6
    assert still.float().mean() < 0.15
    assert ((size < 0) & ((size.abs() - 1).abs() > 1e-3)).float().mean() > 0.1


def test_published_draw_moves_images_as_labels_and_spares_distinct_sides():
    labels = torch.randint(0, 9, (64, 16, 16))
    images = labels[:, None].float()
    theta = sample_weak(images, _generator(), PUBLISHED)
    moved = move_labels(labels, theta)
    shown = move_images(images, theta, interpolation=PUBLISHED.interpolation)[:, 0]
    inside = moved != 255
    assert torch.equal(shown[inside], moved[inside].float())
    assert WeakAugmentation().interpolation == "bilinear"
    unflipped = WeakAugmentation(draw="published", flip=0)
    theta = sample_weak(torch.zeros(256, 1, 8, 8), _generator(), unflipped)
    assert (torch.linalg.det(theta[:, :, :2]) > 0).all()
    wide = sample_weak(torch.zeros(256, 1, 8, 12), _generator(), PUBLISHED)
    assert not ((wide[:, 0, 0].abs() < 0.5) & (wide[:, 0, 1].abs() > 0.5)).any()


def test_windows_are_cropped_anywhere_and_sides_stretched_apart():
    crop = 480 / 512
    config = WeakAugmentation(
        flip=0, quarter_turns=0, free=0, stretch=0.6, stretched=1.2, crop=crop
    )
    assert config.size((512, 256), 16) == (480, 240)
    assert WeakAugmentation().size((20, 33), 16) == (20, 33)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    images = torch.stack([y, x]).expand(500, 2, 64, 96)
    size = config.size((64, 96), 1)
    assert size == (60, 90)
    theta = sample_weak(images, _generator(), config, size)
    moved = move_images(images, theta, size)
    assert moved.shape == (500, 2, 60, 90)
    down = moved[:, 0, 40, 10] - moved[:, 0, 39, 10]  # source pixels a pixel of the view
    along = moved[:, 1, 10, 50] - moved[:, 1, 10, 49]
    for step in (down, along):
        assert step.min().item() == pytest.approx(1 / 1.2, abs=0.01)
        assert step.max().item() == pytest.approx(1, abs=1e-3)
    stretched = (down < 0.999) | (along < 0.999)
    assert stretched.float().mean().item() == pytest.approx(0.6, abs=0.06)
    assert (down - along).abs().max() > 0.1
    first = moved[:, :, 0, 0]
    assert first.min() < 1
    assert (first[~stretched, 1].min() < 1) & (first[~stretched, 1].max() > 5)
    labels = torch.ones(500, 64, 96, dtype=torch.uint8)
    assert (move_labels(labels, theta, size=size) == 1).all()
    assert move_maps(images[:, :1], theta, fill=0, size=size).shape == (500, 1, 60, 90)
    none = torch.zeros(0, 2, 64, 96)
    assert move_images(none, theta[:0], size).shape == (0, 2, 60, 90)


def test_windows_that_cannot_be_are_refused():
    for bad in ({"crop": 0.0}, {"crop": 1.5}, {"stretched": 0.9}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            WeakAugmentation(**bad)


def _places(n):
    """Images whose values are their own places, pixels."""
    y, x = torch.meshgrid(torch.arange(float(n)), torch.arange(float(n)), indexing="ij")
    return torch.stack([x, y])[None]


def test_geometry_is_exact_in_mixed_precision():
    images, labels = _places(512), (_places(512)[:, 0] % 2).to(torch.uint8)
    theta = sample_weak(images, _generator(), STILL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        moved = move_images(images, theta)
        soft = move_maps(images, theta, fill=0)
        same = move_labels(labels, theta)
    assert (moved - images).abs().max() < 1e-3
    assert (soft - images).abs().max() < 1e-3
    assert torch.equal(same, labels)


@pytest.mark.parametrize("draw", ["own", "published"])
def test_rotations_and_windows_are_exact_in_mixed_precision(draw):
    images = _places(512)
    config = WeakAugmentation(draw, 0, 0, rotation=30, free=1, stretch=1, crop=0.75)
    moved = []
    for mixed in (False, True):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
            theta = sample_weak(images, _generator(), config, (384, 384))
            moved.append(move_images(images, theta, (384, 384)))
    assert (moved[1] - moved[0]).abs().max() < 1e-3
