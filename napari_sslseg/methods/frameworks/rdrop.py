"""R-Drop (Wu et al., NeurIPS 2021) for segmentation, plain or with MetaSSL.

Two passes of one network through different dropout give two predictions of the same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..ramps import Scalar, warm_up
from .base import Batch, Framework, FrameworkConfig, PredictionPair, weighted_total


@dataclass(frozen=True)
class RDropConfig(FrameworkConfig):
    """Settings of R-Drop.

    Attributes
    ----------
    consistency
        Largest weight of the unlabelled loss: the symmetric divergence of the two passes, or the
        heterogeneous losses in both directions.
    ramp_end
        Share of the training at which it is reached.
    labelled_reference
        Whose prediction partitions the labelled pixels for a pass, with MetaSSL: its ``"own"``, or
        that of the ``"other"`` pass, which teaches it on unlabelled images; argued in `CPSConfig`.
        R-Drop is not in the release.
    """

    consistency: float = 1.0
    ramp_end: float = 0.4
    labelled_reference: Literal["own", "other"] = "own"


class RDrop(Framework):
    """One network, two dropout passes; each is the reference of the other once.

    Every term is the mean of the two passes.
    """

    config: RDropConfig
    reference_predictions = 2
    compares_labelled = True

    def __init__(self, in_channels: int, classes: int, config: RDropConfig | None = None) -> None:
        super().__init__(in_channels, classes, config or RDropConfig())

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        nl, nu = batch.labelled_count, batch.unlabelled_count
        images = torch.cat([batch.labelled_image, batch.unlabelled_image])
        logits = [self.network(images).split([nl, nu]) for _ in range(2)]
        probs = [[self.space.probabilities(z.detach()) for z in split] for split in logits]
        each = [self.labelled_losses(z[0], batch) | self.prior_loss(z[1], batch) for z in logits]
        # One network: the mean of its passes, not their sum, is one supervised loss.
        parts = {name: (each[0][name] + each[1][name]) / 2 for name in each[0]}
        unlabelled = [PredictionPair(probs[k][1], logits[1 - k][1], k) for k in (0, 1)]
        turn = self.config.labelled_reference == "other"
        answers = [self.space.decide(p[0])[1] for p in probs]
        labelled = [
            PredictionPair(probs[k][0], logits[k ^ turn][0], k, compared=answers[1 - k])
            for k in (0, 1)
        ]
        self.metassl.observe(unlabelled if nu else (), labelled, batch.labelled_target)
        if self.config.metassl:
            parts["labelled_regions"] = self.metassl.labelled(labelled, batch.labelled_target) / 2
        if nu and self.config.metassl:
            parts["unlabelled"] = self.metassl.unlabelled(unlabelled) / 2
        elif nu:
            parts["unlabelled"] = self.space.consistency(logits[0][1], logits[1][1])
        ramp = self.config.consistency * warm_up(progress, 0.0, self.config.ramp_end)
        weights = {"supervised": 1.0, "labelled_regions": ramp, "unlabelled": ramp}
        return weighted_total(parts, weights | self.prior_weights)
