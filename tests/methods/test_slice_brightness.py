"""Slices whose brightness jumps from one to the next."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.propagation import InkedVolume, PropagationConfig, propagate
from napari_sslseg.methods.slice_brightness import EvenedSlices, slice_brightness

DEPTH, SIZE = 12, 40
JUMPS = PropagationConfig().brightness_jumps


def _stack(jumps: float, drift: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a disc (Z, 1, H, W) in a textured field that says nothing about it, and its labels."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    disc = (rows - 20) ** 2 + (columns - 20) ** 2 < 100
    field = 100.0 + 6 * torch.randn(SIZE, SIZE, generator=generator)
    slices = (field + 18 * disc).repeat(DEPTH, 1, 1)
    slices[:, :, :6] = 0.0  # air
    factors = torch.exp(jumps * torch.randn(DEPTH, generator=generator))
    factors = factors * torch.exp(drift * torch.arange(DEPTH))
    slices = slices * factors[:, None, None] + torch.randn(DEPTH, SIZE, SIZE, generator=generator)
    return slices[:, None], disc.repeat(DEPTH, 1, 1).to(torch.uint8)


def test_slices_that_jump_are_evened() -> None:
    jumping, _ = _stack(0.08)
    brightness = slice_brightness(jumping, JUMPS)
    assert brightness is not None
    evened = brightness.apply(jumping)
    inside = [v[:, 0, :, 6:].flatten(1).median(1).values.log().diff() for v in (jumping, evened)]
    assert inside[1].std() < 0.35 * inside[0].std()
    # Black stays black, and slices that are read one by one are the same.
    assert evened[..., :5].abs().max() < 6
    assert torch.allclose(EvenedSlices(jumping, brightness)[3], evened[3])


@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_a_slow_change_of_brightness_is_left_alone(drift: float) -> None:
    assert slice_brightness(_stack(0.0, drift)[0], JUMPS) is None


def test_few_slices_and_empty_ones_are_left_alone() -> None:
    jumping, _ = _stack(0.08)
    assert slice_brightness(jumping[:4], JUMPS) is None
    assert slice_brightness(torch.zeros(DEPTH, 1, SIZE, SIZE), JUMPS) is None
    dark = torch.zeros(DEPTH, 1, SIZE, SIZE)
    dark[::2, :, :2, :4] = 1.0  # in every other slice alone
    assert slice_brightness(dark, JUMPS) is None


def test_each_channel_is_evened_by_itself() -> None:
    jumping, steady = _stack(0.08)[0], _stack(0.0)[0]
    brightness = slice_brightness(torch.cat((jumping, steady), 1), JUMPS)
    assert brightness is not None
    evened = brightness.apply(torch.cat((jumping, steady), 1))
    assert torch.equal(evened[:, 1:], steady) or torch.allclose(evened[:, 1:], steady, atol=1e-4)
    assert not torch.allclose(evened[:, :1], jumping, atol=1.0)


def test_labels_are_carried_over_slices_that_jump_as_over_steady_ones() -> None:
    def dice(jumps: float) -> float:
        image, labels = _stack(jumps)
        ink = torch.full_like(labels, 255)
        ink[[0, DEPTH - 1]] = labels[[0, DEPTH - 1]]
        scaled = (image - image.mean()) / image.std()
        found = propagate(InkedVolume(scaled, ink, 2)).labels[1:-1]
        true = labels[1:-1]
        return float(2 * (found & true).sum() / (found.sum() + true.sum()))

    assert dice(0.0) > 0.99
    assert dice(0.12) > 0.97  # .86 if slices were taken as they are
