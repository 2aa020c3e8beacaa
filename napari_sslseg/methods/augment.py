"""Batch augmentations on the device the images are on.

Drawing parameters is kept apart from applying them: geometric parameters are replayed on labels and
soft maps, CutMix boxes on targets. All randomness comes from a `torch.Generator`, on the CPU or on
the device. Images are ``(B, C, H, W)`` with any number of channels, of any intensity range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .augment_draws import draw_own, draw_published, draw_window
from .augment_grid import grid_of, is_outside
from .losses import IGNORE


@dataclass(frozen=True)
class WeakAugmentation:
    """How images are moved: chances and ranges.

    Attributes
    ----------
    draw
        ``"own"``, which no paper has: flips, a turn, and a rotation with a magnification are drawn
        each for itself, and may all come together. ``"published"``, as in the public code of the 2D
        baselines (source: SSL4MIS and UniMatch): with the chance `quarter_turns` a turn and a flip
        along one of the two axes; otherwise, with the chance `free`, a rotation by a whole number
        of degrees from -`rotation` up to, but not, `rotation`; no magnification, and images by
        nearest neighbour, like labels. Volumes are turned, flipped and rotated in their planes.
    flip
        Probability of a flip along each axis. Set to 0 where left and right are distinct classes.
        The published draw flips with each turn, unless this is 0.
    quarter_turns
        Probability of a random multiple of 90 degrees (of 180 on images that are not square).
    rotation
        Largest rotation, degrees.
    scale
        Smallest and largest magnification; of the own draw.
    free
        Probability that rotation and scale are drawn at all.
    stretch
        Probability that the sides are magnified, each by its own factor from 1 to `stretched`;
        source: released code of RPG, with 0.6 and 1.2. Of images.
    stretched
        Largest of these factors.
    crop
        Share of each side that is seen, at a random place, with pixels as large as before; source:
        released code of RPG, 480 of 512. The views are that much smaller. Of images.

    Raises
    ------
    ValueError
        When `crop` does not lie in (0, 1], or `stretched` is below 1.
    """

    draw: Literal["own", "published"] = "own"
    flip: float = 0.5
    quarter_turns: float = 0.5
    rotation: float = 20.0
    scale: tuple[float, float] = (0.9, 1.1)
    free: float = 0.5
    stretch: float = 0.0
    stretched: float = 1.2
    crop: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop is a share above 0 and up to 1, not {self.crop}")
        if self.stretched < 1:
            raise ValueError(f"stretched is a factor of at least 1, not {self.stretched}")

    @property
    def interpolation(self) -> Literal["bilinear", "nearest"]:
        """How moved images are read."""
        return "nearest" if self.draw == "published" else "bilinear"

    def size(self, sides: Sequence[int], multiple: int) -> tuple[int, ...]:
        """Return the sides of a view, in pixels: of cropped ones the nearest multiples.

        Parameters
        ----------
        sides
            Of the image, multiples of `multiple`.
        multiple
            What the network divides sides by.
        """
        if self.crop == 1:
            return tuple(sides)
        return tuple(max(multiple, round(self.crop * n / multiple) * multiple) for n in sides)


@dataclass(frozen=True)
class StrongAugmentation:
    """How intensities are changed: chances and ranges.

    Attributes
    ----------
    draw
        ``"own"``, which no paper has: gamma, contrast, and a shift. ``"published"``, the colour
        jitter of the baselines' public code (source: UniMatch, torchvision): factors of brightness,
        from the darkest pixel, and of contrast, around the mean, in random order, each cut to the
        image's range; no gamma. Blur and CutMix are the same in both.
    jitter
        Probability of brightness, contrast and gamma changes.
    brightness
        Largest shift, in standard deviations of the image; published: largest relative change.
    contrast
        Largest relative change of the spread around the mean.
    gamma
        Largest absolute natural logarithm of the exponent applied on the image's own range; of the
        own draw.
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

    draw: Literal["own", "published"] = "own"
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


def uniform(
    count: int, low: float, high: float, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Draw numbers where the generator is, and bring them to `device`.

    Parameters
    ----------
    count
        How many.
    low, high
        Range of the numbers, each part of it as likely as any other.
    generator
        Source of randomness, on any device.
    device
        Of the result.

    Returns
    -------
    Tensor
        ``(count,)`` float32.
    """
    drawn = torch.rand(count, generator=generator, device=generator.device)
    return (low + (high - low) * drawn).to(device)


def sample_weak(
    images: Tensor,
    generator: torch.Generator,
    config: WeakAugmentation | None = None,
    size: Sequence[int] | None = None,
) -> Tensor:
    """Draw one affine map an image.

    Parameters
    ----------
    images
        ``(B, C, H, W)``.
    generator
        Source of randomness.
    config
        Chances and ranges.
    size
        Height and width of the views, in pixels of the images; None takes theirs.

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

    drawn = (draw_own if config.draw == "own" else draw_published)(draw, config, h == w)
    flips, turns, angle, zoom = drawn
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
    if config.stretch or (size is not None and tuple(size) != (h, w)):
        theta = draw_window(draw, config, theta, (h, w), (h, w) if size is None else size)
    return theta


def move_images(
    images: Tensor,
    theta: Tensor,
    size: Sequence[int] | None = None,
    interpolation: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """Apply drawn affine maps to images; the border is repeated outside.

    Parameters
    ----------
    images
        ``(B, C, ...)`` float.
    theta
        ``(B, 2, 3)``, as `sample_weak` draws them; ``(B, 3, 4)`` of volumes.
    size
        Sides of the result, in pixels; None keeps those of the images.
    interpolation
        How images are read between pixels.

    Returns
    -------
    Tensor
        ``(B, C, *size)``.
    """
    if images.shape[0] == 0:
        return images if size is None else images.new_zeros(*images.shape[:2], *size)
    grid = grid_of(theta, images, size)
    return F.grid_sample(images, grid, interpolation, "border", align_corners=False)


def move_labels(labels: Tensor, theta: Tensor, size: Sequence[int] | None = None) -> Tensor:
    """Apply drawn affine maps to ids, nearest; `IGNORE` where no source exists.

    Parameters
    ----------
    labels
        ``(B, ...)`` class ids, or ``(B, K, ...)`` of overlapping classes; of any integer type.
    theta, size
        As in `move_images`.

    Returns
    -------
    Tensor
        Of the type and axes of `labels`, with sides of `size`.
    """
    single = labels.ndim == theta.shape[1] + 1
    if labels.shape[0] == 0:
        lead = labels.shape[: 1 if single else 2]
        return labels if size is None else labels.new_zeros(*lead, *size)
    maps = (labels[:, None] if single else labels).float()
    grid = grid_of(theta, maps, size)
    moved = F.grid_sample(maps, grid, "nearest", "border", align_corners=False)
    moved = moved.round().to(labels.dtype).masked_fill(is_outside(grid)[:, None], IGNORE)
    return moved[:, 0] if single else moved


def move_maps(
    maps: Tensor, theta: Tensor, fill: float | None = None, size: Sequence[int] | None = None
) -> Tensor:
    """Apply drawn affine maps to soft maps, linearly.

    Parameters
    ----------
    maps
        ``(B, C, ...)`` float.
    theta, size
        As in `move_images`.
    fill
        Value where no source exists; None repeats the border.

    Returns
    -------
    Tensor
        ``(B, C, *size)``.
    """
    if maps.shape[0] == 0:
        return maps if size is None else maps.new_zeros(*maps.shape[:2], *size)
    grid = grid_of(theta, maps, size)
    moved = F.grid_sample(maps, grid, "bilinear", "border", align_corners=False)
    return moved if fill is None else moved.masked_fill(is_outside(grid)[:, None], fill)
