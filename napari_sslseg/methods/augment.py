"""Batch augmentations on the device the images are on.

Drawing parameters is kept apart from applying them: geometric parameters are replayed on labels and
soft maps, CutMix boxes on targets. All randomness comes from a `torch.Generator`, on the CPU or on
the device. Images are ``(B, C, H, W)`` with any number of channels, of any intensity range.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import IGNORE


@dataclass(frozen=True)
class WeakAugmentation:
    """How images are moved: chances and ranges.

    Defaults are those of the published 2D protocols: quarter turns and flips, and small
    rotations.

    Attributes
    ----------
    flip
        Probability of a flip along each axis. Set to 0 where left and right are distinct classes.
    quarter_turns
        Probability of a random multiple of 90 degrees (of 180 on images that are not square).
    rotation
        Largest rotation, degrees.
    scale
        Smallest and largest magnification.
    free
        Probability that rotation and scale are drawn at all.
    """

    flip: float = 0.5
    quarter_turns: float = 0.5
    rotation: float = 20.0
    scale: tuple[float, float] = (0.9, 1.1)
    free: float = 0.5


@dataclass(frozen=True)
class StrongAugmentation:
    """How intensities are changed: chances and ranges.

    Attributes
    ----------
    jitter
        Probability of brightness, contrast and gamma changes.
    brightness
        Largest shift, in standard deviations of the image.
    contrast
        Largest relative change of the spread around the mean.
    gamma
        Largest absolute natural logarithm of the exponent applied on the image's own range.
    saturation
        Of colour images: largest relative change of the distance from grey.
    hue
        Of colour images: largest turn around grey, in whole turns.
    blur
        Probability of a Gaussian blur.
    sigma
        Smallest and largest standard deviation of the blur, pixels.
    cutmix
        Probability that an image receives a box of another one.
    area
        Smallest and largest area of that box, as a share of the image.
    aspect
        Smallest aspect ratio of the box; the largest is its inverse.
    """

    jitter: float = 0.8
    brightness: float = 0.5
    contrast: float = 0.5
    gamma: float = 0.4
    saturation: float = 0.5
    hue: float = 0.25
    blur: float = 0.5
    sigma: tuple[float, float] = (0.1, 2.0)
    cutmix: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    aspect: float = 0.3


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
        """Return maps, with or without a channel axis, with boxes filled from their partners.

        Maps of another size are mixed with the box resized by nearest neighbour.
        """
        mask = self.mask
        size = maps.shape[1 - mask.ndim :]
        if size != mask.shape[1:]:
            mask = F.interpolate(mask[:, None].float(), size, mode="nearest-exact")[:, 0] > 0.5
        if maps.ndim > mask.ndim:
            mask = mask[:, None]
        return torch.where(mask, maps[self.partner], maps)


def uniform(
    count: int, low: float, high: float, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Draw numbers where the generator is, and bring them to `device`."""
    drawn = torch.rand(count, generator=generator, device=generator.device)
    return (low + (high - low) * drawn).to(device)


def sample_weak(
    images: Tensor, generator: torch.Generator, config: WeakAugmentation | None = None
) -> Tensor:
    """Draw one affine map an image.

    Returns
    -------
    Tensor
        ``(B, 2, 3)`` on the images' device, from output to input in the normalised coordinates of
        `torch.nn.functional.affine_grid`, for `move_images`, `move_labels` and `move_maps`.
    """
    config = config or WeakAugmentation()
    b, _, h, w = images.shape
    device = images.device

    def draw(low: float = 0.0, high: float = 1.0) -> Tensor:
        return uniform(b, low, high, generator, device)

    flips = [torch.where(draw() < config.flip, -1.0, 1.0) for _ in range(2)]
    turns = (4 * draw()).floor().clamp(max=3)
    if h != w:
        turns = 2 * (turns % 2)
    turns = torch.where(draw() < config.quarter_turns, turns, 0.0)
    free = draw() < config.free
    limit = math.radians(config.rotation)
    angle = torch.where(free, draw(-limit, limit), 0.0)
    zoom = torch.where(free, draw(*config.scale), 1.0)
    # Quarter turns by comparison, so that they are exact and lose no border to rounding.
    cos = (turns == 0).float() - (turns == 2).float()
    sin = (turns == 1).float() - (turns == 3).float()
    c, s = angle.cos(), angle.sin()
    cos, sin = (cos * c - sin * s) / zoom, (sin * c + cos * s) / zoom
    # In pixels x' = cos x - sin y; normalised axes have different units where H and W differ.
    theta = torch.zeros(b, 2, 3, device=device)
    theta[:, 0, 0] = cos * flips[0]
    theta[:, 0, 1] = -sin * flips[1] * h / w
    theta[:, 1, 0] = sin * flips[0] * w / h
    theta[:, 1, 1] = cos * flips[1]
    return theta


def _grid(theta: Tensor, maps: Tensor) -> Tensor:
    return F.affine_grid(theta, list(maps.shape), align_corners=False)


def move_images(images: Tensor, theta: Tensor) -> Tensor:
    """Apply drawn affine maps to ``(B, C, ...)``, linearly; the border is repeated outside."""
    if images.shape[0] == 0:
        return images
    grid = _grid(theta, images)
    return F.grid_sample(images, grid, "bilinear", "border", align_corners=False)


def move_labels(labels: Tensor, theta: Tensor, outside: int = IGNORE) -> Tensor:
    """Apply drawn affine maps to ids, nearest; `outside` where no source exists.

    `labels` are ``(B, ...)`` class ids, or ``(B, K, ...)`` of overlapping classes.
    """
    if labels.shape[0] == 0:
        return labels
    single = labels.ndim == theta.shape[1] + 1
    maps = (labels[:, None] if single else labels).float()
    grid = _grid(theta, maps)
    moved = F.grid_sample(maps, grid, "nearest", "border", align_corners=False)
    moved = moved.round().to(labels.dtype).masked_fill(_is_outside(grid)[:, None], outside)
    return moved[:, 0] if single else moved


def move_maps(maps: Tensor, theta: Tensor, fill: float | None = None) -> Tensor:
    """Apply drawn affine maps to soft maps ``(B, C, ...)``, linearly.

    `fill` is the value where no source exists; None repeats the border.
    """
    if maps.shape[0] == 0:
        return maps
    grid = _grid(theta, maps)
    moved = F.grid_sample(maps, grid, "bilinear", "border", align_corners=False)
    return moved if fill is None else moved.masked_fill(_is_outside(grid)[:, None], fill)


def _is_outside(grid: Tensor) -> Tensor:
    # Pixel areas, not centres, reach to +-1; the margin absorbs the rounding of exact turns.
    return (grid.abs() > 1 + 1e-5).any(-1)


def sample_cutmix(
    images: Tensor, generator: torch.Generator, config: StrongAugmentation | None = None
) -> CutMix:
    """Draw boxes and partners; the partner is always another image of the batch if there is one."""
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
