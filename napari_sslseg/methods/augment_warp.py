"""Strong geometry: rotations, shears, shifts and cut-outs that the targets follow.

CutMix and intensity changes leave every pixel where it is. The released code of RPG also moves the
pixels of its strong views, and its labels with them; where a view shows nothing of the image, or a
cut-out hides it, nothing is taught.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .augment import move_images, move_labels, move_maps, uniform

#: Ranges of RandAugment as FixMatch uses it: degrees, shear, and shares of the image's sides.
ROTATION, SHEAR, SHIFT, CUT = 30.0, 0.3, 0.3, 0.5


@dataclass(frozen=True)
class Warp:
    """Drawn geometry of strong views.

    Attributes
    ----------
    theta
        ``(B, 2, 3)``, as of `augment.sample_weak`.
    hidden
        ``(B, H, W)`` bool, True inside the cut-out.
    """

    theta: Tensor
    hidden: Tensor

    def images(self, images: Tensor) -> Tensor:
        """Return views ``(B, C, H, W)``: images moved, each channel's mean in the cut-out."""
        mean = images.mean((2, 3), keepdim=True)
        return torch.where(self.hidden[:, None], mean, move_images(images, self.theta))

    def maps(self, maps: Tensor) -> Tensor:
        """Return soft maps ``(B, C, h, w)`` of any sides, moved; the border is repeated outside.

        The cut-out leaves them as they are; see `trust`.
        """
        return move_maps(maps, self.theta)

    def labels(self, labels: Tensor) -> Tensor:
        """Return labels ``(B, h, w)`` or ``(B, K, h, w)``, moved; 255 outside.

        The cut-out leaves them as they are; see `trust`.
        """
        return move_labels(labels, self.theta)

    def trust(self, weight: Tensor) -> Tensor:
        """Return weights ``(B, h, w)`` of any sides, moved; 0 outside and inside the cut-out."""
        moved = move_maps(weight[:, None], self.theta, fill=0)[:, 0]
        hidden = self.hidden
        if hidden.shape != moved.shape:
            size = moved.shape[1:]
            hidden = F.interpolate(hidden[:, None].float(), size, mode="nearest-exact")[:, 0] > 0.5
        return moved.masked_fill(hidden, 0)


def sample_warp(images: Tensor, generator: torch.Generator, chance: float) -> Warp:
    """Draw one warp an image.

    Parameters
    ----------
    images
        ``(B, C, H, W)``; only their shape and device count.
    generator
        Source of randomness.
    chance
        Probability of each of rotation, the two shears, the two shifts, and the cut-out.

    Returns
    -------
    Warp
        Rotations of at most 30 degrees, shears of at most .3, shifts of at most .3 of a side, and a
        square cut-out of at most half of the shorter side.
    """
    b, _, h, w = images.shape
    device = images.device

    def draw(low: float = 0.0, high: float = 1.0) -> Tensor:
        return uniform(b, low, high, generator, device)

    def either(size: float) -> Tensor:
        return torch.where(draw() < chance, draw(-size, size), 0.0)

    angle = either(math.radians(ROTATION))
    across, down = either(SHEAR), either(SHEAR)
    c, s = angle.cos(), angle.sin()
    theta = torch.zeros(b, 2, 3, device=device)
    # Rotation after the shears ((1, across), (down, 1)), in pixels; then normalised axes, whose
    # units differ where H and W do. A shift of one side is two normalised units.
    theta[:, 0, 0] = c - s * down
    theta[:, 0, 1] = (c * across - s) * h / w
    theta[:, 1, 0] = (s + c * down) * w / h
    theta[:, 1, 1] = s * across + c
    theta[:, 0, 2], theta[:, 1, 2] = 2 * either(SHIFT), 2 * either(SHIFT)
    side = either(CUT).abs() * min(h, w)
    row, column = draw() * h, draw() * w
    rows = (torch.arange(h, device=device) + 0.5 - row[:, None]).abs() < side[:, None] / 2
    columns = (torch.arange(w, device=device) + 0.5 - column[:, None]).abs() < side[:, None] / 2
    return Warp(theta, rows[:, :, None] & columns[:, None, :])
