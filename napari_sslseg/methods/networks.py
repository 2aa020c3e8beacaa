"""The 2D U-Net that every framework trains, with taps on its feature maps.

The layout is the U-Net of the semi-supervised medical segmentation literature: 16 to 256 channels,
two batch-normalised convolutions a level, dropout that grows with depth, and on the way up a 1x1
convolution followed by bilinear doubling. With one input channel and four classes it has 1 813 764
parameters, the 1.81 M that SemSim (arXiv 2410.13486, Table I) reports. (Transposed 2x2 convolutions
in place of the 1x1 ones would make it 1 944 324.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEFAULT_CHANNELS = (16, 32, 64, 128, 256)
DEFAULT_DROPOUT = (0.05, 0.1, 0.2, 0.3, 0.5)

FeatureDrop = Callable[[Tensor], Tensor]


class Taps(NamedTuple):
    """What one forward pass offers to the methods.

    Attributes
    ----------
    decoder
        The input of the classifier, ``(B, channels[0], H, W)``, non-negative up to the leak of the
        activation. This is where RPG matches.
    logits
        ``(B, classes, H, W)``.
    """

    decoder: Tensor
    logits: Tensor


class ConvBlock(nn.Sequential):
    """Two 3x3 convolutions with batch normalisation and leaky ReLU, dropout in between."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(inplace=True),
        )


def pad_to_multiple(image: Tensor, multiple: int, smallest: int = 0) -> Tensor:
    """Extend the axes of place at their ends, repeating the border, to multiples of `multiple`.

    Parameters
    ----------
    image
        ``(B, C, H, W)`` or ``(B, C, D, H, W)``.
    multiple
        Size that each axis of place must divide into.
    smallest
        Lower bound of the padded size.

    Returns
    -------
    Tensor
        `image` itself when nothing has to be added.
    """
    added = [max(-(-n // multiple) * multiple, smallest) - n for n in image.shape[2:]]
    if not any(added):
        return image
    # From the last axis to the first, before and after each.
    return F.pad(image, [n for size in reversed(added) for n in (0, size)], mode="replicate")


def crop(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return the leading part of `maps` ``(B, C, ...)`` whose sides are `size`; a view."""
    window: tuple[EllipsisType | slice, ...] = (..., *(slice(n) for n in size))
    return maps[window]


class ChannelDropout:
    """Drop whole channels of some samples, each map anew, for the decoder of a perturbed view.

    The mask is drawn from an explicit generator, so that a step can be repeated exactly.

    Parameters
    ----------
    p
        Probability of dropping a channel; the kept ones are scaled by ``1 / (1 - p)``.
    generator
        Source of randomness; None uses torch's own.
    untouched
        Number of leading samples of the batch that keep all channels (the labelled images).

    Raises
    ------
    ValueError
        When `p` does not lie in [0, 1).
    """

    def __init__(
        self, p: float, generator: torch.Generator | None = None, untouched: int = 0
    ) -> None:
        if not 0 <= p < 1:
            raise ValueError(f"dropout probability must lie in [0, 1), not {p}")
        self.p = p
        self.generator = generator
        self.untouched = untouched

    def __call__(self, feature: Tensor) -> Tensor:
        """Return `feature` ``(B, C, ...)`` with channels dropped."""
        if self.p == 0:
            return feature
        device = self.generator.device if self.generator is not None else feature.device
        mask = torch.rand(feature.shape[:2], generator=self.generator, device=device) >= self.p
        scale = mask.to(feature.device, feature.dtype) / (1 - self.p)
        scale[: self.untouched] = 1
        return feature * scale.view(*scale.shape, *[1] * (feature.ndim - 2))


class EncoderDecoder(nn.Module):
    """An encoder, a decoder with skip connections and a classifier, taken apart for the methods.

    A subclass sets the attributes and says what one level does.

    Attributes
    ----------
    in_channels, classes
        Channels of image and logits.
    levels
        Number of encoder levels.
    """

    in_channels: int
    classes: int
    levels: int

    @property
    def stride(self) -> int:
        """Ratio of the input size to the deepest map; inputs are padded to its multiples."""
        return 2 ** (self.levels - 1)

    def down(self, level: int, x: Tensor) -> Tensor:
        """Return the map of one encoder level.

        Parameters
        ----------
        level
            0 is the finest.
        x
            The map of the level above, ``(B, C, ...)``; of level 0, the image, with sides that are
            multiples of `stride`.

        Returns
        -------
        Tensor
            With half the sides of `x`; of level 0 with the same.
        """
        raise NotImplementedError

    def up(self, step: int, x: Tensor, skip: Tensor) -> Tensor:
        """Return the result of one decoder step.

        Parameters
        ----------
        step
            0 is the coarsest.
        x
            The result of the step before; of step 0, the deepest map.
        skip
            The encoder's map of twice the sides.

        Returns
        -------
        Tensor
            With the sides of `skip`.
        """
        raise NotImplementedError

    def classify(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes, ...)`` of the last decoder map ``(B, D, ...)``."""
        raise NotImplementedError

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps of an image.

        Parameters
        ----------
        image
            ``(B, in_channels, ...)`` float. Sides are padded to multiples of `stride`, and to two
            of them at least, by repeating the border.

        Returns
        -------
        tuple of Tensor
            One ``(B, C_l, ...)`` a level, finest first, each with half the sides of the one before.
            They cover the padded image, whose origin is that of `image`.
        """
        # A deepest level of a single cell has no batch statistics: keep two cells a side.
        x = pad_to_multiple(image, self.stride, 2 * self.stride)
        features = []
        for level in range(self.levels):
            x = self.down(level, x)
            features.append(x)
        return tuple(features)

    def decode(
        self,
        features: Sequence[Tensor],
        drop: FeatureDrop | None = None,
        size: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the logits and the last decoder map for the maps of `encode`.

        Parameters
        ----------
        features
            The maps of `encode`.
        drop
            Applied to every map first, for example `ChannelDropout`.
        size
            Sides to crop both results to; None keeps the padded size.

        Returns
        -------
        logits : Tensor
            ``(B, classes, ...)``.
        decoder : Tensor
            ``(B, D, ...)``, the input of the classifier.
        """
        maps = [drop(f) for f in features] if drop is not None else list(features)
        x = maps[-1]
        for step, skip in enumerate(maps[-2::-1]):
            x = self.up(step, x, skip)
        logits = self.classify(x)
        if size is not None:
            logits, x = crop(logits, size), crop(x, size)
        return logits, x

    def taps(self, image: Tensor) -> Taps:
        """Return decoder map and logits.

        Parameters
        ----------
        image
            ``(B, in_channels, ...)`` float, of any sides.
        """
        logits, decoder = self.decode(self.encode(image), size=image.shape[2:])
        return Taps(decoder, logits)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits ``(B, classes, ...)`` of ``(B, in_channels, ...)``, of any sides."""
        return self.taps(image).logits


class UNet2d(EncoderDecoder):
    """U-Net on slices.

    Parameters
    ----------
    in_channels
        Image channels times context slices.
    classes
        Number of classes, background included.
    channels
        Width of each level, finest first; at least two levels. ``(16, 32, 64, 128)`` is a good
        choice for quick training on a CPU.
    dropout
        Dropout probability inside each encoder block; None takes the published values, as many as
        there are levels.

    Raises
    ------
    ValueError
        When `channels` and `dropout` differ in length or there are fewer than two levels.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        channels: Sequence[int] = DEFAULT_CHANNELS,
        dropout: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if dropout is None:
            last = DEFAULT_DROPOUT[-1]
            dropout = [*DEFAULT_DROPOUT, *[last] * len(channels)][: len(channels)]
        if len(channels) < 2:
            raise ValueError("a U-Net needs at least two levels")
        if len(dropout) != len(channels):
            raise ValueError(
                f"{len(channels)} levels need {len(channels)} dropout values, got {len(dropout)}"
            )
        self.in_channels = in_channels
        self.classes = classes
        self.channels, self.levels = tuple(channels), len(channels)
        inputs = (in_channels, *channels[:-1])
        self.encoders = nn.ModuleList(
            ConvBlock(i, o, p) for i, o, p in zip(inputs, channels, dropout, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        deep_to_fine = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.ups = nn.ModuleList(nn.Conv2d(d, f, 1) for d, f in deep_to_fine)
        self.decoders = nn.ModuleList(ConvBlock(2 * f, f, 0.0) for _, f in deep_to_fine)
        self.classifier = nn.Conv2d(channels[0], classes, 3, padding=1)

    def down(self, level: int, x: Tensor) -> Tensor:
        """Halve the map, except at the finest level, and convolve it."""
        return self.encoders[level](self.pool(x) if level else x)

    def up(self, step: int, x: Tensor, skip: Tensor) -> Tensor:
        """Double the map, put it beside the skip, and convolve both."""
        # Aligned to pixel areas, not corners: the result must not depend on the crop's size.
        doubled = F.interpolate(
            self.ups[step](x), scale_factor=2, mode="bilinear", align_corners=False
        )
        return self.decoders[step](torch.cat([skip, doubled], dim=1))

    def classify(self, x: Tensor) -> Tensor:
        """Return the logits of the last decoder map."""
        return self.classifier(x)
