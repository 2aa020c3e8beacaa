"""Networks for volumes: MONAI's V-Net and basic U-Net, with the taps that frameworks ask for.

V-Net (Milletari et al., 2016) and the 3D U-Net are what semi-supervised methods are compared with
on the left atrium. MONAI is imported when one is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from .networks import EncoderDecoder

#: Widths of the U-Net that the published volume protocols use: a quarter of 64 to 1024.
UNET3D_CHANNELS = (16, 32, 64, 128, 256)

#: Probabilities of dropout of the published volume protocols, by the name of the network; source:
#: MetaSSL's released code for the U-Net, V-Net's own value for the other.
DROPOUT = {"unet3d": 0.3, "vnet": 0.5}


class MissingMonaiError(ImportError):
    """MONAI is needed and not installed; the message says what to do."""


class VNet3d(EncoderDecoder):
    """MONAI's V-Net.

    Parameters
    ----------
    in_channels
        A divisor of 16.
    classes
        Number of logits.
    dropout
        Probability of dropping whole channels: of the two deepest maps on the way down, the two
        first ones on the way up, and every map that the way up takes over from the way down.

    Raises
    ------
    ValueError
        When `in_channels` does not divide 16.
    MissingMonaiError
        When MONAI is not installed.
    """

    def __init__(self, in_channels: int, classes: int, dropout: float = 0.5) -> None:
        super().__init__()
        if 16 % in_channels:
            raise ValueError(f"a V-Net takes 1, 2, 4, 8 or 16 channels, not {in_channels}")
        nets = _monai_networks()
        self.in_channels, self.classes, self.levels = in_channels, classes, 5
        up = (dropout or None, dropout)
        self.net = nets.VNet(
            3, in_channels, classes, dropout_prob_down=dropout or None, dropout_prob_up=up
        )
        # MONAI takes no number for the two finest steps and would always drop half there.
        for step in (self.net.up_tr64, self.net.up_tr32):
            step.dropout2.p = dropout

    def down(self, level: int, x: Tensor) -> Tensor:
        """Return the map of one encoder level."""
        n = self.net
        return (n.in_tr, n.down_tr32, n.down_tr64, n.down_tr128, n.down_tr256)[level](x)

    def up(self, step: int, x: Tensor, skip: Tensor) -> Tensor:
        """Return the result of one decoder step."""
        n = self.net
        return (n.up_tr256, n.up_tr128, n.up_tr64, n.up_tr32)[step](x, skip)

    def classify(self, x: Tensor) -> Tensor:
        """Return the logits of the last decoder map."""
        return self.net.out_tr(x)


class UNet3d(EncoderDecoder):
    """MONAI's basic U-Net with batch normalisation.

    Parameters
    ----------
    in_channels, classes
        Of the first and the last layer.
    channels
        Five widths, finest first.
    dropout
        Probability of dropping a value of the deepest map, and of the last one before the
        classifier: the two places of the released U-Net (source: MetaSSL, 3D scripts).

    Raises
    ------
    ValueError
        When there are not five widths.
    MissingMonaiError
        When MONAI is not installed.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        channels: Sequence[int] = UNET3D_CHANNELS,
        dropout: float = DROPOUT["unet3d"],
    ) -> None:
        super().__init__()
        if len(channels) != 5:
            raise ValueError(f"the U-Net for volumes has five levels, not {len(channels)}")
        nets = _monai_networks()
        self.in_channels, self.classes, self.levels = in_channels, classes, 5
        features = (*channels, channels[0])
        self.net = nets.BasicUNet(3, in_channels, classes, features, norm="batch")
        self.deep, self.last = nn.Dropout(dropout), nn.Dropout(dropout)

    def down(self, level: int, x: Tensor) -> Tensor:
        """Return the map of one encoder level."""
        n = self.net
        x = (n.conv_0, n.down_1, n.down_2, n.down_3, n.down_4)[level](x)
        return self.deep(x) if level == self.levels - 1 else x

    def up(self, step: int, x: Tensor, skip: Tensor) -> Tensor:
        """Return the result of one decoder step."""
        n = self.net
        return (n.upcat_4, n.upcat_3, n.upcat_2, n.upcat_1)[step](x, skip)

    def classify(self, x: Tensor) -> Tensor:
        """Return the logits of the last decoder map."""
        return self.net.final_conv(self.last(x))


def _monai_networks():  # type: ignore[no-untyped-def]
    try:
        from monai.networks import nets
    except ImportError as error:
        raise MissingMonaiError(
            "Networks for volumes need MONAI; install it with: pip install monai"
        ) from error
    return nets
