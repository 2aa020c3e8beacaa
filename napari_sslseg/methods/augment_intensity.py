"""How strong views change intensities: gamma, contrast, brightness, blur, and colours.

As in `augment`, drawing parameters is kept apart from applying them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .augment import StrongAugmentation, uniform


@dataclass(frozen=True)
class IntensityChange:
    """Drawn intensity parameters, one of each for an image.

    Attributes
    ----------
    shift, gain, exponent, sigma
        ``(B,)``: brightness in standard deviations, contrast factor, gamma, blur in pixels (0 for
        none). In the published form `shift` is the factor of brightness, and `exponent` unused.
    largest
        Upper bound of `sigma`, known without looking at it. None has it looked up.
    saturation, turn
        ``(B,)`` factor of the distance from grey and turn around it in radians, of colour images;
        None for others.
    brighter_first
        ``(B,)`` bool of the published form, whether brightness changes before contrast; None for
        our own form.
    """

    shift: Tensor
    gain: Tensor
    exponent: Tensor
    sigma: Tensor
    largest: float | None = None
    saturation: Tensor | None = None
    turn: Tensor | None = None
    brighter_first: Tensor | None = None


def sample_intensity(
    images: Tensor,
    generator: torch.Generator,
    config: StrongAugmentation | None = None,
    colour: bool = False,
) -> IntensityChange:
    """Draw one intensity change an image.

    Parameters
    ----------
    images
        ``(B, C, ...)``; only their number and device count.
    generator
        Source of randomness.
    config
        Chances and ranges; None takes the defaults.
    colour
        Whether saturation and hue are drawn too.

    Returns
    -------
    IntensityChange
        On the device of the images.
    """
    config = config or StrongAugmentation()
    b, device = images.shape[0], images.device

    def draw(low: float = 0.0, high: float = 1.0) -> Tensor:
        return uniform(b, low, high, generator, device)

    jitter, blur = draw() < config.jitter, draw() < config.blur
    published = config.draw == "published"
    none = 1.0 if published else 0.0  # a factor that changes nothing, or a shift
    shift = draw(none - config.brightness, none + config.brightness)
    gain = draw(1 - config.contrast, 1 + config.contrast)
    exponent = draw(-config.gamma, config.gamma).exp()
    sigma = torch.where(blur, draw(*config.sigma), 0.0)
    saturation = turn = None
    if colour:
        drawn = draw(1 - config.saturation, 1 + config.saturation)
        saturation = torch.where(jitter, drawn, 1.0)
        turn = torch.where(jitter, 2 * math.pi * draw(-config.hue, config.hue), 0.0)
    return IntensityChange(
        torch.where(jitter, shift, none),
        torch.where(jitter, gain, 1.0),
        torch.where(jitter, exponent, 1.0),
        sigma,
        config.sigma[1] if config.blur > 0 else 0.0,
        saturation,
        turn,
        draw() < 0.5 if published else None,
    )


def change_intensity(images: Tensor, change: IntensityChange) -> Tensor:
    """Apply gamma, contrast, brightness and blur, alike in all channels of an image.

    Parameters
    ----------
    images
        ``(B, C, H, W)`` or ``(B, C, D, H, W)`` float, of any range; volumes are blurred in their
        planes.
    change
        Of `sample_intensity`, for as many images. Colours, if they change, are those of each three
        channels in turn.

    Returns
    -------
    Tensor
        Shaped like `images`.

    Raises
    ------
    ValueError
        When colours change and the channels are no multiple of three.
    """
    if images.shape[0] == 0:
        return images
    shape = (-1, *[1] * (images.ndim - 1))
    axes = tuple(range(1, images.ndim))
    low, high = images.amin(axes, keepdim=True), images.amax(axes, keepdim=True)
    span = (high - low).clamp_min(1e-6)
    share = ((images - low) / span).clamp(0, 1)
    if change.brighter_first is None:
        x = share.pow(change.exponent.view(shape)) * span + low
        mean = x.mean(axes, keepdim=True)
        spread = x.std(axes, keepdim=True, unbiased=False)
        x = mean + (x - mean) * change.gain.view(shape) + change.shift.view(shape) * spread
    else:
        drawn = (change.shift, change.gain, change.brighter_first)
        x = _jitter(share, *(each.view(shape) for each in drawn)) * span + low
    if change.saturation is not None and change.turn is not None:
        x = _change_colours(x, change.saturation.view(shape), change.turn.view(shape))
    return blur(x, change.sigma, change.largest)


def _jitter(share: Tensor, factor: Tensor, gain: Tensor, first: Tensor) -> Tensor:
    """Multiply shares of the range by a factor and spread them, cut to [0, 1] after each.

    `first` says whether the factor comes before the spread.
    """
    axes = tuple(range(1, share.ndim))

    def spread(x: Tensor) -> Tensor:
        mean = x.mean(axes, keepdim=True)
        return (mean + (x - mean) * gain).clamp(0, 1)

    brighter = (factor * share).clamp(0, 1)
    return torch.where(first, spread(brighter), (factor * spread(share)).clamp(0, 1))


def _change_colours(images: Tensor, saturation: Tensor, turn: Tensor) -> Tensor:
    if images.shape[1] % 3:
        raise ValueError(f"colour images have three channels each, not {images.shape[1]}")
    rgb = images.unflatten(1, (-1, 3))
    saturation, turn = saturation.unsqueeze(1), turn.unsqueeze(1)
    grey = rgb.mean(2, keepdim=True)
    # A turn around the axis of greys, for intensities of any range.
    beside = (rgb.roll(1, 2) - rgb.roll(2, 2)) / math.sqrt(3)
    turned = (rgb - grey) * turn.cos() + beside * turn.sin()
    return (grey + saturation * turned).flatten(1, 2)


def blur(images: Tensor, sigma: Tensor, largest: float | None = None) -> Tensor:
    """Blur each image of a batch by its own Gaussian; 0 leaves it as it is.

    Parameters
    ----------
    images
        ``(B, C, H, W)``, or volumes ``(B, C, D, H, W)``, which are blurred in their planes.
    sigma
        ``(B,)`` standard deviations, pixels.
    largest
        Upper bound of `sigma`, which sets the size of the kernels; None looks it up, for which a
        device has to be waited for.
    """
    if images.ndim == 5:
        # Slices lie farther apart than pixels: the planes alone, all of them alike.
        planes = blur(images.flatten(1, 2), sigma, largest)
        return planes.view(images.shape)
    b, c, h, w = images.shape
    reach = float(sigma.max()) if largest is None else largest
    radius = min(math.ceil(3 * reach), h - 1, w - 1)
    if radius < 1:
        return images
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    s = sigma.to(images.dtype).clamp_min(1e-3)[:, None]
    kernel = torch.exp(-0.5 * (offsets / s) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(c, 0)[:, None]
    x = F.pad(images, (radius,) * 4, mode="reflect").reshape(1, b * c, h + 2 * radius, -1)
    x = F.conv2d(x, kernel[..., None, :], groups=b * c)
    x = F.conv2d(x, kernel[..., None], groups=b * c)
    return x.view(b, c, h, w)
