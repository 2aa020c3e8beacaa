"""Cross-consistency training (Ouali et al., CVPR 2020), plain or with MetaSSL.

One encoder, two decoders. Plain, the second decoder sees perturbed features and follows the first;
with MetaSSL the two teach each other, as its released script does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..networks import ChannelDropout
from ..ramps import Scalar, warm_up
from .base import Batch, Framework, FrameworkConfig, PredictionPair, PredictOutput, weighted_total


@dataclass(frozen=True)
class CCTConfig(FrameworkConfig):
    """Settings of cross-consistency training.

    Attributes
    ----------
    feature_dropout
        Probability of dropping a channel of the features that the second decoder sees. 0.4, the
        largest that the released MetaSSL variant has in a decoder.
    direction
        ``"both"``: each decoder teaches the other, as released with MetaSSL. ``"one"``: only the
        second teaches the first, as drawn in the paper. Without MetaSSL the first always teaches
        the second, which alone is perturbed.
    consistency
        Largest weight of the unlabelled loss.
    ramp_end
        Share of the training at which it is reached.
    """

    feature_dropout: float = 0.4
    direction: Literal["both", "one"] = "both"
    consistency: float = 1.0
    ramp_end: float = 0.4


class CCT(Framework):
    """Two decoders on one encoder; the first predicts, the mean of both is the rectified one."""

    config: CCTConfig
    reference_predictions = 2

    def __init__(self, in_channels: int, classes: int, config: CCTConfig | None = None) -> None:
        super().__init__(in_channels, classes, config or CCTConfig())
        if self.config.network != "unet":
            raise ValueError("CCT is made for images; for volumes use another framework")
        self.second = self.build_network()
        self.second.encoders = nn.ModuleList()  # a decoder only

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        c = self.config
        nl, nu = batch.labelled_count, batch.unlabelled_count
        features = self.network.encode(torch.cat([batch.labelled_image, batch.unlabelled_image]))
        drop = ChannelDropout(c.feature_dropout, generator)
        decoded = [self.network.decode(features)[0], self.second.decode(features, drop)[0]]
        logits = [z.split([nl, nu]) for z in decoded]
        probs = [[self.space.probabilities(z.detach()) for z in split] for split in logits]
        each = [self.labelled_losses(z[0], batch) | self.prior_loss(z[1], batch) for z in logits]
        parts = {name: each[0][name] + each[1][name] for name in each[0]}
        unlabelled = [PredictionPair(probs[k][1], logits[1 - k][1], k) for k in (0, 1)]
        labelled = [PredictionPair(probs[k][0], logits[k][0], k) for k in (0, 1)]
        self.metassl.observe(unlabelled if nu else (), labelled)
        if c.metassl:
            parts["labelled_regions"] = self.metassl.labelled(labelled, batch.labelled_target)
        if nu and c.metassl:
            taught = unlabelled if c.direction == "both" else unlabelled[1:]
            parts["unlabelled"] = self.metassl.unlabelled(taught)
        elif nu:
            second = self.space.probabilities(logits[1][1])
            parts["unlabelled"] = (second - probs[0][1]).square().mean()
        ramp = c.consistency * warm_up(progress, 0.0, c.ramp_end)
        weights = {"supervised": 1.0, "labelled_regions": ramp, "unlabelled": ramp}
        return weighted_total(parts, weights | self.prior_weights)

    def predict_padded(self, image: Tensor) -> PredictOutput:
        """Predict with the first decoder, and with the mean of both."""
        features = self.network.encode(image)
        first, second = (
            self.space.probabilities(net.decode(features, size=image.shape[2:])[0])
            for net in (self.network, self.second)
        )
        return PredictOutput(first, (first + second) / 2)
