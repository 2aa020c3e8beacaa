"""SemSim's network: a U-Net with a fusion branch, and what the two predict.

The fusion module reads the encoder's second to fourth map. Its features tell which pixels of an
image are alike, and so rectify what the decoder predicts (arXiv 2410.13486, Eqs. 4, 5 and 14 to
17).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ..affinity import limit_grid, rectify
from ..networks import FeatureDrop
from .base import Framework, PredictOutput
from .modes import evaluating
from .semsim_config import SemSimConfig

Features = tuple[Tensor, ...]


class FusionFramework(Framework):
    """One U-Net with a fusion branch; the branch rectifies predictions, the decoder alone is plain.

    Parameters
    ----------
    in_channels, classes
        As of `Framework`.
    config
        Settings; None takes the defaults.

    Raises
    ------
    ValueError
        When the network has fewer than four levels, and as of `Framework`: for volumes, too.
    """

    config: SemSimConfig
    reference_predictions = 2
    takes_volumes = False

    def __init__(self, in_channels: int, classes: int, config: SemSimConfig | None = None) -> None:
        config = config or SemSimConfig()
        if len(config.channels) < 4:
            raise ValueError("SemSim needs a network of at least four levels")
        if config.metassl and "cross" in config.heterogeneous:
            self.reference_predictions = 3
        super().__init__(in_channels, classes, config)
        self.fusion = config.build_fusion()
        self.back: nn.Conv2d | None = None
        if config.fusion_place == "main":
            self.back = nn.Conv2d(config.fusion_width, config.channels[2], 1)
            nn.init.zeros_(self.back.weight)
            nn.init.zeros_(self.back.bias)  # type: ignore[arg-type]

    def fuse(self, features: Features) -> Tensor:
        """Return the fused features of an encoder's maps.

        Parameters
        ----------
        features
            Of `EncoderDecoder.encode`, at least four, of which the second to fourth count.

        Returns
        -------
        Tensor
            ``(B, fusion_width, h, w)`` at the size of the third, non-negative.
        """
        return self.fusion(features[1:4])

    def decode(
        self,
        features: Features,
        fused: Tensor,
        drop: FeatureDrop | None = None,
        size: Sequence[int] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits and last decoder map.

        Parameters
        ----------
        features, fused, drop, size
            As of the network's `decode`; `fused`, of `fuse`, matters if that is in the main path.
        """
        if self.back is not None:
            third = features[2] + self.back(fused)
            features = (*features[:2], third, *features[3:])
        return self.network.decode(features, drop, size)

    def logits(self, image: Tensor, drop: FeatureDrop | None = None) -> Tensor:
        """Return the logits ``(B, K, H, W)`` of a view whose similarities nobody asks for.

        Parameters
        ----------
        image
            ``(B, in_channels, H, W)`` float.
        drop
            As of the network's `decode`.
        """
        features = self.network.encode(image)
        fused = features[2] if self.back is None else self.fuse(features)
        return self.decode(features, fused, drop, image.shape[2:])[0]

    @torch.no_grad()
    def predict_plain(self, image: Tensor) -> Tensor:
        """Return the probabilities of the decoder, without the side branch if it is one."""
        with evaluating(self):
            return self.space.probabilities(self.logits(image))

    def rectified(
        self, logits: Tensor, fused: Tensor, at: Literal["features", "logits"] = "features"
    ) -> Tensor:
        """Return the logits of the intra-image prediction (Eq. 5).

        Parameters
        ----------
        logits
            ``(B, K, H, W)`` of the decoder.
        fused
            ``(B, D, h, w)``, of the same images.
        at
            On the grid of ``"features"``, or at the size of ``"logits"``; see `affinity.rectify`.
        """
        c = self.config
        return rectify(
            logits.detach() if c.affinity_learns == "affinity" else logits,
            fused,
            c.affinity_temperature,
            at,
            axis=c.affinity_axis,
            smoothed=c.affinity_resize == "smoothed",
            space=self.space if c.affinity_values == "probabilities" else None,
        )

    def predict_padded(self, image: Tensor) -> PredictOutput:
        """Predict with the decoder alone, and rectified by the affinities of the fused features."""
        features = self.network.encode(image)
        fused = self.fuse(features)
        logits, _ = self.decode(features, fused, size=image.shape[2:])
        fused = limit_grid(fused, 2 * self.config.grid)
        rectified = self.rectified(logits, fused, "logits")
        return PredictOutput(self.space.probabilities(logits), self.space.probabilities(rectified))
