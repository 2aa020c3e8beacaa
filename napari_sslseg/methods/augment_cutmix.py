"""CutMix: boxes of images, and of their targets, that are filled from other images of the batch.

As in `augment`, drawing boxes is kept apart from applying them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .augment import StrongAugmentation, uniform


@dataclass(frozen=True)
class CutMix:
    """Drawn CutMix parameters.

    Attributes
    ----------
    mask
        ``(B, H, W)`` or ``(B, D, H, W)`` bool, True inside the box.
    partner
        ``(B,)`` index of the image that the box is taken from.
    """

    mask: Tensor
    partner: Tensor

    def mix(self, maps: Tensor) -> Tensor:
        """Return maps with boxes filled from their partners.

        Parameters
        ----------
        maps
            ``(B, ...)`` or ``(B, C, ...)`` of any type, with the axes of place of `mask`. Where
            their size is another, boxes are resized by nearest neighbour.

        Returns
        -------
        Tensor
            Shaped like `maps`.
        """
        mask = self.mask
        size = maps.shape[1 - mask.ndim :]
        if size != mask.shape[1:]:
            mask = F.interpolate(mask[:, None].float(), size, mode="nearest-exact")[:, 0] > 0.5
        if maps.ndim > mask.ndim:
            mask = mask[:, None]
        return torch.where(mask, maps[self.partner], maps)


def sample_cutmix(
    images: Tensor, generator: torch.Generator, config: StrongAugmentation | None = None
) -> CutMix:
    """Draw boxes and partners.

    Parameters
    ----------
    images
        ``(B, C, H, W)``; only their shape and device count.
    generator
        Source of randomness.
    config
        Its `cutmix`, `area` and `aspect` count; None takes the defaults. Of a box that would be
        longer than a side the rest is cut off.

    Returns
    -------
    CutMix
        The partner is always another image of the batch if there is one.
    """
    config = config or StrongAugmentation()
    b, _, h, w = images.shape
    device = images.device

    def draw(low: float = 0.0, high: float = 1.0) -> Tensor:
        return uniform(b, low, high, generator, device)

    used = draw() < config.cutmix
    area = draw(*config.area) * h * w
    aspect = draw(math.log(config.aspect), -math.log(config.aspect)).exp()
    tall, wide = (area * aspect).sqrt().clamp(max=h), (area / aspect).sqrt().clamp(max=w)
    top, left = draw() * (h - tall), draw() * (w - wide)
    rows = torch.arange(h, device=device) + 0.5
    columns = torch.arange(w, device=device) + 0.5
    inside_rows = (rows > top[:, None]) & (rows < (top + tall)[:, None])
    inside_columns = (columns > left[:, None]) & (columns < (left + wide)[:, None])
    mask = inside_rows[:, :, None] & inside_columns[:, None, :] & used[:, None, None]
    partner = torch.arange(b, device=device)
    if b > 1:
        # The product may round up to b - 1, which would be the image itself.
        shift = (uniform(1, 0, b - 1, generator, device)).long().clamp(max=b - 2)
        partner = (partner + 1 + shift) % b
    return CutMix(mask, partner)
