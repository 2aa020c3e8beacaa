"""Training on annotated pixels only, and on pseudo-labels if a batch brings them."""

from __future__ import annotations

import torch
from torch import Tensor

from ..ramps import Scalar
from .base import Batch, Framework, PredictionPair, weighted_total


class Supervised(Framework):
    """The baseline: half cross-entropy, half Dice on the annotated pixels.

    With ``metassl`` the annotated pixels are weighted by the regions of the network's own
    prediction. Unlabelled images are only used when they come with a prior. Thresholds of the
    unlabelled split stay at their initial value.
    """

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        use_prior = batch.prior is not None and batch.unlabelled_count > 0
        images = batch.labelled_image
        if use_prior:
            images = torch.cat([images, batch.unlabelled_image])
        logits = self.network(images)
        labelled, unlabelled = logits.split(
            [batch.labelled_count, logits.shape[0] - batch.labelled_count]
        )
        parts = self.labelled_losses(labelled, batch) | self.prior_loss(unlabelled, batch)
        pair = PredictionPair(self.space.probabilities(labelled.detach()), labelled)
        self.metassl.observe(labelled=[pair], annotation=batch.labelled_target)
        if self.config.metassl:
            parts["labelled_regions"] = self.metassl.labelled([pair], batch.labelled_target)
        weights = {"supervised": 1.0, "labelled_regions": 1.0, **self.prior_weights}
        return weighted_total(parts, weights)
