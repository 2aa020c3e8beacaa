"""Colours of strong views."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.methods.augment import StrongAugmentation
from napari_sslseg.methods.augment_intensity import (
    IntensityChange,
    change_intensity,
    sample_intensity,
)
from napari_sslseg.methods.frameworks import create


def _colours(saturation, turn):
    zero, one = torch.zeros(1), torch.ones(1)
    return IntensityChange(
        zero, one, one, zero, 0.0, torch.tensor([saturation]), torch.tensor([turn])
    )


def test_a_third_of_a_turn_passes_each_colour_on():
    image = torch.rand(1, 3, 5, 5)
    turned = change_intensity(image, _colours(1.0, 2 * math.pi / 3))
    torch.testing.assert_close(turned, image.roll(1, 1))


def test_saturation_scales_the_distance_from_grey():
    image = torch.randn(1, 6, 5, 5)  # two context slices
    image[:, 3:] = image[:, 3:].mean(1, keepdim=True)
    out = change_intensity(image, _colours(0.5, 0.0))
    grey = image[:, :3].mean(1, keepdim=True)
    torch.testing.assert_close(out[:, :3], grey + 0.5 * (image[:, :3] - grey))
    torch.testing.assert_close(out[:, 3:], image[:, 3:])
    with pytest.raises(ValueError, match="three channels"):
        change_intensity(image[:, :4], _colours(0.5, 0.0))


def test_colours_are_drawn_only_where_asked_and_leave_the_rest_as_it_was():
    image = torch.rand(4, 3, 8, 8)
    grey, colour = (
        sample_intensity(image, torch.Generator().manual_seed(0), colour=c) for c in (False, True)
    )
    assert grey.turn is None
    torch.testing.assert_close(colour.gain, grey.gain)
    torch.testing.assert_close(colour.sigma, grey.sigma)
    assert colour.turn.abs().max() <= math.pi / 2


def test_a_known_bound_of_the_blur_changes_nothing_but_the_margin():
    image = torch.rand(3, 1, 24, 24)
    change = sample_intensity(image, torch.Generator().manual_seed(3))
    looked_up = IntensityChange(change.shift, change.gain, change.exponent, change.sigma)
    torch.testing.assert_close(
        change_intensity(image, change), change_intensity(image, looked_up), atol=5e-3, rtol=0
    )
    calm = sample_intensity(image, torch.Generator(), StrongAugmentation(blur=0.0))
    assert calm.largest == 0


def test_frameworks_change_colours_of_colour_images():
    image = torch.rand(8, 3, 16, 16)
    strong = StrongAugmentation(brightness=0, contrast=0, gamma=0, blur=0, jitter=1)
    for colour in (False, True):
        framework = create("fixmatch", 3, 2, channels=(4, 8), colour=colour, strong=strong)
        view = framework.strong_view(image, torch.Generator().manual_seed(0))
        assert torch.allclose(view, image, atol=1e-4) != colour


def test_published_jitter_by_hand():
    image = torch.rand(2, 1, 9, 9) * 40 - 15
    two = torch.ones(2)
    first = torch.tensor([True, False])
    change = IntensityChange(1.4 * two, 0.6 * two, 9 * two, 0 * two, 0.0, brighter_first=first)
    low, high = image.amin((1, 2, 3), keepdim=True), image.amax((1, 2, 3), keepdim=True)
    share = (image - low) / (high - low)

    def brighter(x):
        return (1.4 * x).clamp(0, 1)

    def flatter(x):
        return (x.mean() + 0.6 * (x - x.mean())).clamp(0, 1)

    expected = torch.stack([flatter(brighter(share[0])), brighter(flatter(share[1]))])
    torch.testing.assert_close(change_intensity(image, change), expected * (high - low) + low)


def test_published_jitter_is_of_factors_and_in_eight_of_ten():
    image = torch.rand(2000, 1, 4, 4)
    config = StrongAugmentation(draw="published", blur=0)
    change = sample_intensity(image, torch.Generator().manual_seed(0), config)
    changed = change.shift != 1
    assert changed.float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert ((change.shift - 1).abs() <= 0.5).all()
    assert change.shift[changed].mean().item() == pytest.approx(1, abs=0.03)
    assert change.brighter_first.float().mean().item() == pytest.approx(0.5, abs=0.05)
    out = change_intensity(image, change)
    torch.testing.assert_close(out[~changed], image[~changed])
    assert out.min() >= image.min()
    assert out.max() <= image.max()
