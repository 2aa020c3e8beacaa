"""Cross pseudo supervision (Chen et al., CVPR 2021), plain or with MetaSSL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..ramps import Scalar, warm_up
from .base import Batch, Framework, FrameworkConfig, PredictionPair, PredictOutput, weighted_total


@dataclass(frozen=True)
class CPSConfig(FrameworkConfig):
    """Settings of cross pseudo supervision.

    Attributes
    ----------
    cross
        Largest weight of the unlabelled loss: 1, as the loss of MetaSSL's regions is normalised.
        Plain CPS has 1.5 in its paper and 0.1 in the medical baselines that MetaSSL was compared
        with, which the preset takes.
    ramp_end
        Share of the training at which it is reached; two fresh networks have nothing to teach.
    labelled_reference
        Whose prediction partitions the labelled pixels for a network, with MetaSSL: its ``"own"``,
        or that of the ``"other"``, which teaches it on unlabelled images. The paper has the
        reference there, against the annotation: ``"other"``. The released script has the network's
        own confidence and the agreement of the two networks: ``"own"``, with `regions` that ask
        for the agreement of ``"predictions"``. By default the doubts are the released ones and the
        agreement is the paper's: what a network is sure of, and wrong about by the annotation, then
        counts least for it. Where the agreement is of ``"predictions"``, it is that of the two
        networks either way.
    """

    cross: float = 1.0
    ramp_end: float = 0.4
    labelled_reference: Literal["own", "other"] = "own"


class CPS(Framework):
    """Two networks with different initial weights teach each other.

    The first network is the plain prediction, the mean of both the rectified one. Each network is
    the reference once: pair 0 has the first teach the second.
    """

    config: CPSConfig
    reference_predictions = 2
    compares_labelled = True

    def __init__(self, in_channels: int, classes: int, config: CPSConfig | None = None) -> None:
        super().__init__(in_channels, classes, config or CPSConfig())
        self.second = self.build_network()

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        nl, nu = batch.labelled_count, batch.unlabelled_count
        images = torch.cat([batch.labelled_image, batch.unlabelled_image])
        logits = [net(images).split([nl, nu]) for net in (self.network, self.second)]
        probs = [[self.space.probabilities(z.detach()) for z in split] for split in logits]
        each = [self.labelled_losses(z[0], batch) | self.prior_loss(z[1], batch) for z in logits]
        parts = {name: each[0][name] + each[1][name] for name in each[0]}
        unlabelled = [PredictionPair(probs[k][1], logits[1 - k][1], k) for k in (0, 1)]
        # On labelled images a prediction is partitioned against the annotation, or, as released,
        # against that of the other network; a network compared with itself would always agree.
        turn = self.config.labelled_reference == "other"
        answers = [self.space.decide(p[0])[1] for p in probs]
        labelled = [
            PredictionPair(probs[k][0], logits[k ^ turn][0], k, compared=answers[1 - k])
            for k in (0, 1)
        ]
        self.metassl.observe(unlabelled if nu else (), labelled, batch.labelled_target)
        if self.config.metassl:
            parts["labelled_regions"] = self.metassl.labelled(labelled, batch.labelled_target)
        if nu and self.config.metassl:
            parts["unlabelled"] = self.metassl.unlabelled(unlabelled)
        elif nu:
            terms = [
                self.space.cross_entropy(
                    p.supervised_logits, self.space.decide(p.reference_probs)[1]
                )
                for p in unlabelled
            ]
            parts["unlabelled"] = terms[0] + terms[1]
        ramp = self.config.cross * warm_up(progress, 0.0, self.config.ramp_end)
        weights = {"supervised": 1.0, "labelled_regions": ramp, "unlabelled": ramp}
        return weighted_total(parts, weights | self.prior_weights)

    def predict_padded(self, image: Tensor) -> PredictOutput:
        """Predict with the first network, and with the mean of both."""
        first, second = (
            self.space.probabilities(net(image)) for net in (self.network, self.second)
        )
        return PredictOutput(first, (first + second) / 2)
