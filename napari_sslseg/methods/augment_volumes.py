"""Random geometry and CutMix of volumes ``(B, C, D, H, W)``; applied by the functions of `augment`.

Turns and rotations stay in the plane of the last two axes, as volumes of medical images are seldom
isotropic and patients seldom lie across the table; flips take all three axes, but for the published
draw, which flips in the plane alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .augment import StrongAugmentation, WeakAugmentation, sample_weak
from .augment_cutmix import CutMix, sample_cutmix


def sample_weak_volume(
    images: Tensor, generator: torch.Generator, config: WeakAugmentation | None = None
) -> Tensor:
    """Draw one affine map a volume.

    Parameters
    ----------
    images
        ``(B, C, D, H, W)``; only their shape and device count.
    generator
        Source of randomness.
    config
        Chances and ranges; None takes the defaults. `stretch` must be 0: shifts of the window that
        it asks for are not drawn, and `crop` is not looked at.

    Returns
    -------
    Tensor
        ``(B, 3, 4)``, as `augment.sample_weak` returns ``(B, 2, 3)`` for images.
    """
    config = config or WeakAugmentation()
    planar = sample_weak(images[:, :, 0], generator, config)
    b, device = images.shape[0], images.device
    drawn = torch.rand(b, generator=generator, device=generator.device).to(device)
    theta = torch.zeros(b, 3, 4, device=device)
    # Normalised coordinates run from the last axis to the first: x, y, z.
    theta[:, :2, :2] = planar[:, :, :2]
    along = drawn < (config.flip if config.draw == "own" else 0.0)
    theta[:, 2, 2] = torch.where(along, -1.0, 1.0)
    return theta


def sample_cutmix_volume(
    images: Tensor, generator: torch.Generator, config: StrongAugmentation | None = None
) -> CutMix:
    """Draw boxes of volumes: a box of the plane, over a stretch of the first axis.

    Parameters
    ----------
    images
        ``(B, C, D, H, W)``; only their shape and device count.
    generator
        Source of randomness.
    config
        As in `augment_cutmix.sample_cutmix`: `area` is that of the box in the plane. The stretch
        is, of its axis, what a side of such a box is of the plane, and drawn for itself. So a box
        holds less of the volume than of the plane: .3 to 25 %, 8 % on average, by default.

    Returns
    -------
    CutMix
        With a mask ``(B, D, H, W)``.
    """
    config = config or StrongAugmentation()
    plane = sample_cutmix(images[:, :, 0], generator, config)
    b, _, depth = images.shape[:3]
    device = images.device

    def draw() -> Tensor:
        return torch.rand(b, generator=generator, device=generator.device).to(device)

    low, high = (math.sqrt(a) for a in config.area)
    length = (low + (high - low) * draw()) * depth
    start = draw() * (depth - length)
    places = torch.arange(depth, device=device) + 0.5
    inside = (places > start[:, None]) & (places < (start + length)[:, None])
    return CutMix(inside[:, :, None, None] & plane.mask[:, None], plane.partner)
