"""Networks for volumes: MONAI's V-Net and basic U-Net, with the taps that frameworks ask for.

V-Net (Milletari et al., 2016) and the 3D U-Net are what semi-supervised methods are compared with
on the left atrium. MONAI is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .networks import FeatureDrop, Taps, crop, pad_to_multiple

#: Widths of the U-Net that the published volume protocols use: a quarter of 64 to 1024.
UNET3D_CHANNELS = (16, 32, 64, 128, 256)


class MissingMonaiError(ImportError):
    """MONAI is needed and not installed; the message says what to do."""


class _Network3d(nn.Module):
    """What both share: padding, cropping, taps."""

    in_channels: int
    classes: int
    stride = 16

    def encode(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return one feature map a level of ``(B, C, D, H, W)``, finest first.

        Sides are padded to multiples of `stride` by repeating the border.
        """
        x = pad_to_multiple(image, self.stride, 2 * self.stride)
        features = []
        for stage in self._down():
            x = stage(x)
            features.append(x)
        return tuple(features)

    def decode(
        self,
        features: Sequence[Tensor],
        drop: FeatureDrop | None = None,
        size: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the logits and the last decoder map; see `networks.UNet2d.decode`."""
        maps = [drop(f) for f in features] if drop is not None else list(features)
        x = maps[-1]
        for stage, skip in zip(self._up(), maps[-2::-1], strict=True):
            x = stage(x, skip)
        logits = self._classify(x)
        if size is not None:
            logits, x = crop(logits, size), crop(x, size)
        return logits, x

    def taps(self, image: Tensor) -> Taps:
        """Return encoder maps (of the padded image), decoder map and logits (of `image`)."""
        features = self.encode(image)
        logits, decoder = self.decode(features, size=image.shape[2:])
        return Taps(features, decoder, logits)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits ``(B, classes, D, H, W)``."""
        return self.taps(image).logits

    def _down(self) -> list[nn.Module]:
        raise NotImplementedError

    def _up(self) -> list[nn.Module]:
        raise NotImplementedError

    def _classify(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class VNet3d(_Network3d):
    """MONAI's V-Net.

    Parameters
    ----------
    in_channels
        A divisor of 16.
    classes
        Number of logits.
    dropout
        Probability of dropping whole channels in the two deepest levels.
    """

    def __init__(self, in_channels: int, classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        if 16 % in_channels:
            raise ValueError(f"a V-Net takes 1, 2, 4, 8 or 16 channels, not {in_channels}")
        nets = _monai_networks()
        self.in_channels, self.classes = in_channels, classes
        up = (dropout or None, dropout)
        self.net = nets.VNet(
            3, in_channels, classes, dropout_prob_down=dropout or None, dropout_prob_up=up
        )

    def _down(self) -> list[nn.Module]:
        n = self.net
        return [n.in_tr, n.down_tr32, n.down_tr64, n.down_tr128, n.down_tr256]

    def _up(self) -> list[nn.Module]:
        n = self.net
        return [n.up_tr256, n.up_tr128, n.up_tr64, n.up_tr32]

    def _classify(self, x: Tensor) -> Tensor:
        return self.net.out_tr(x)


class UNet3d(_Network3d):
    """MONAI's basic U-Net with batch normalisation.

    Parameters
    ----------
    in_channels, classes
        Of the first and the last layer.
    channels
        Five widths, finest first.
    dropout
        In every block.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        channels: Sequence[int] = UNET3D_CHANNELS,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(channels) != 5:
            raise ValueError(f"the U-Net for volumes has five levels, not {len(channels)}")
        nets = _monai_networks()
        self.in_channels, self.classes = in_channels, classes
        features = (*channels, channels[0])
        self.net = nets.BasicUNet(3, in_channels, classes, features, norm="batch", dropout=dropout)

    def _down(self) -> list[nn.Module]:
        n = self.net
        return [n.conv_0, n.down_1, n.down_2, n.down_3, n.down_4]

    def _up(self) -> list[nn.Module]:
        n = self.net
        return [n.upcat_4, n.upcat_3, n.upcat_2, n.upcat_1]

    def _classify(self, x: Tensor) -> Tensor:
        return self.net.final_conv(x)


def _monai_networks():  # type: ignore[no-untyped-def]
    try:
        from monai.networks import nets
    except ImportError as error:
        raise MissingMonaiError(
            "Networks for volumes need MONAI; install it with: pip install monai"
        ) from error
    return nets
