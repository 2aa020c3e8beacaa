"""Settings that all training frameworks share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..augment import StrongAugmentation, WeakAugmentation
from ..networks import DEFAULT_CHANNELS
from .metassl import MetaSSLConfig


@dataclass(frozen=True)
class FrameworkConfig:
    """Settings that all frameworks share.

    Attributes
    ----------
    channels
        Widths of the U-Net. The published ones give 1.81 M parameters; ``(16, 32, 64, 128)`` is for
        quick training on a CPU.
    dropout
        One value a level, or None for the published ones. Of networks for volumes, which drop in
        two places, the first value counts.
    weak, strong
        Augmentations: our own, wider than any paper's, unless their `draw` is ``"published"``.
    metassl
        Replace the framework's unlabelled loss by the heterogeneous one, and add it on labelled
        pixels. Off by default: each framework is then as published.
    regions
        Settings of that loss and of the thresholds, which are kept in any case.
    prior
        Weight of the cross-entropy to the pseudo-labels that come with a batch. 1 puts a fully
        trusted pseudo-label on a par with ink; its own weight map says how far to trust it.
    position_channels
        How many of the last input channels tell where a pixel is; they move with the image, but
        intensity changes leave them alone.
    colour
        Whether images are red, green and blue, so that strong views change saturation and hue too;
        context slices are then three channels each.
    overlapping
        Whether classes may overlap (multi-label, a sigmoid each) instead of excluding each other.
        There is then no background class.
    network
        ``"unet"`` for images; ``"vnet"`` and ``"unet3d"`` for volumes, of MONAI.
    """

    channels: tuple[int, ...] = DEFAULT_CHANNELS
    dropout: tuple[float, ...] | None = None
    weak: WeakAugmentation = field(default_factory=WeakAugmentation)
    strong: StrongAugmentation = field(default_factory=StrongAugmentation)
    metassl: bool = False
    regions: MetaSSLConfig = field(default_factory=MetaSSLConfig)
    prior: float = 1.0
    position_channels: int = 0
    colour: bool = False
    overlapping: bool = False
    network: Literal["unet", "unet3d", "vnet"] = "unet"
