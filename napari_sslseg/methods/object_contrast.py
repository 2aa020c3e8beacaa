"""Intensities scaled to what lies at and around the objects.

An image is standardised as a whole (`intensity`). In CT air and bone then take most of its range,
and soft tissues differ by less than what the matching tells apart. So its channels are scaled again
by the spread of the inked objects and of what is beside them; intensities far beyond those are
compressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from .ink_completion import NOT_ANNOTATED
from .storage import Slices
from .working_region import within_reach

#: Pixels around the objects that count.
_REACH = 8

#: Parts of the pixels below and above which intensities are compressed.
_QUANTILES = (0.01, 0.99)

#: Values that the scale is taken from.
_SAMPLE = 200_000

#: Spread around the objects, in that of the whole image: less is taken for none.
_LEAST_SPREAD = 1e-3

#: The same from which nothing is scaled, and at which everything is: where the contrast of the
#: objects fills most of the range of the image, they are matched well enough.
_SPREADS = (0.7, 0.5)


class ObjectContrast(NamedTuple):
    """How intensities (..., C, H, W) are scaled; see the module.

    Parameters
    ----------
    middle, half, spread : Tensor, (C, 1, 1)
        Middle and half of the range around the objects, and the spread within it.
    share : Tensor, (C, 1, 1)
        Share of the scaled intensities, the rest are those of the image.
    """

    middle: torch.Tensor
    half: torch.Tensor
    spread: torch.Tensor
    share: torch.Tensor

    def apply(self, image: torch.Tensor) -> torch.Tensor:
        """Return the scaled intensities."""
        values = image - self.middle
        excess = (values.abs() - self.half).clamp_min(0.0)
        within = torch.maximum(torch.minimum(values, self.half), -self.half)
        beyond = 2 * self.half * torch.log1p(excess / (2 * self.half))
        scaled = (within + values.sign() * beyond) / self.spread
        return torch.lerp(image, scaled, self.share)


class ScaledSlices:
    """Slices scaled when they are read.

    Parameters
    ----------
    image : (Z, C, H, W) slices
    contrast : ObjectContrast
    """

    def __init__(self, image: Slices, contrast: ObjectContrast) -> None:
        self._image, self._contrast = image, contrast
        self.shape = image.shape

    def __getitem__(self, index: int) -> torch.Tensor:
        """Return a slice (C, H, W)."""
        values = self._image[index].float()
        return self._contrast.apply(values.to(self._contrast.middle.device))


def object_contrast(
    image: torch.Tensor | Slices, ink: torch.Tensor, slices: Sequence[int]
) -> ObjectContrast | None:
    """Find the scale from what the inked slices show at and around the objects.

    Parameters
    ----------
    image : (Z, C, H, W) real tensor or slices
        Standardised.
    ink : (Z, H, W) uint8 tensor
        255 where not annotated, 0 background.
    slices : sequence of int
        The inked slices.

    Returns
    -------
    ObjectContrast or None
        None if no object is inked, or nothing is to be scaled.
    """
    near = {}
    for z in slices:
        objects = (ink[z] != 0) & (ink[z] != NOT_ANNOTATED)
        near[z] = within_reach(objects[None], _REACH)[0]
    step = max(1, sum(int(mask.sum()) for mask in near.values()) // _SAMPLE)
    shown = [z for z, mask in near.items() if bool(mask.any())]
    parts = [image[z].to(ink.device).float()[:, near[z]][:, ::step] for z in shown]
    if not parts:
        return None
    values = torch.cat(parts, 1)
    low, high = torch.quantile(values, values.new_tensor(_QUANTILES), dim=1)[..., None]
    spread = values.clamp(low, high).std(1, correction=0)
    none, full = _SPREADS
    share = ((none - spread) / (none - full)).clamp(0.0, 1.0)
    share[spread < _LEAST_SPREAD] = 0.0
    if not bool(share.any()):
        return None
    half = ((high - low)[:, 0] / 2).clamp_min(_LEAST_SPREAD)
    parts = [(low + high)[:, 0] / 2, half, spread.clamp_min(_LEAST_SPREAD), share]
    return ObjectContrast(*(v[:, None, None] for v in parts))
