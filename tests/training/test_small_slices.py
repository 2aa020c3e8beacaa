"""Slices that are smaller than what the networks see."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks import Batch, registry
from napari_sslseg.training.plan import FRAMEWORKS, network_of


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("preset", sorted(FRAMEWORKS))
def test_every_preset_learns_from_slices_of_a_few_pixels(preset, device):
    name, options = network_of(preset, torch.device(device))
    framework = registry.create(name, 6, 3, **options)
    framework.go_on(1000)
    generator = torch.Generator().manual_seed(0)
    every = options.get("similarity_every", 1)
    for side in (8, 16):
        image, target = torch.randn(2, 6, 8, side), torch.randint(0, 3, (2, 8, side))
        prior, trust = torch.rand(2, 3, 8, side).softmax(1), torch.ones(2, 8, side)
        batch = Batch(image, target, image, prior, trust, prior, trust)
        for _ in range(every):  # the dear terms come in one of so many steps
            parts = framework.losses(batch, 0.9, generator)
        assert all(value.isfinite() for value in parts.values())
