"""How many slices are worked on at once: many where starting an operation is what costs."""

from __future__ import annotations

from collections.abc import Iterator

import torch

#: Pixels of all slices that are worked on at once on a GPU: enough to fill it, and well below 1 GB
#: with 25 distances of each, and differences of ten descriptors to five neighbours.
_PIXELS_AT_ONCE = 2_000_000

#: Most slices at once.
_MOST = 64

#: Slices whose masks are made at once, wherever they are.
_MASKS_AT_ONCE = 16


def launches_dominate(device: torch.device) -> bool:
    """Say whether starting an operation costs more than a small slice's arithmetic.

    It does on everything but a processor: on a GPU few operations on much data are fastest. A
    processor is fastest where the data stay in its caches.
    """
    return device.type != "cpu"


def slices_at_once(device: torch.device, pixels: int) -> int:
    """Return how many slices of so many pixels each are worked on at once: 1 on a processor."""
    if not launches_dominate(device):
        return 1
    return max(1, min(_MOST, _PIXELS_AT_ONCE // max(pixels, 1)))


def mask_batches(volume: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield parts (N, H, W) of a volume (Z, H, W), in order; views, of at most 16 slices each."""
    yield from volume.split(_MASKS_AT_ONCE)
