"""How many slices at once."""

from __future__ import annotations

import torch

from napari_sslseg.methods.slice_batches import mask_batches, slices_at_once


def test_a_processor_takes_one_slice_after_another():
    assert slices_at_once(torch.device("cpu"), 100) == 1


def test_a_gpu_takes_fewer_of_larger_slices_and_always_one():
    device = torch.device("cuda")
    counts = [slices_at_once(device, n * n) for n in (32, 256, 512, 4096)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 64
    assert counts[2] * 512 * 512 <= 2_000_000
    assert counts[-1] == 1


def test_batches_of_masks_cover_the_volume_in_order():
    volume = torch.arange(35).repeat(2, 3, 1).movedim(2, 0)
    parts = list(mask_batches(volume))
    assert max(map(len, parts)) <= 16
    assert torch.equal(torch.cat(parts), volume)
