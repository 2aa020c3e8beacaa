"""FixMatch (Sohn et al., 2020) for segmentation, and its extension to UniMatch (Yang et al., 2023).

A weak view of an unlabelled image labels strong views of it where it is confident. UniMatch has two
strong views and a third stream whose features, not pixels, are perturbed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..augment_cutmix import CutMix
from ..networks import ChannelDropout
from ..ramps import Scalar, warm_up
from .base import Batch, Framework, FrameworkConfig, PredictionPair, weighted_total
from .modes import without_dropout


@dataclass(frozen=True)
class FixMatchConfig(FrameworkConfig):
    """Settings of FixMatch and UniMatch.

    Attributes
    ----------
    threshold
        Probability that a weak prediction must reach, 0.95 as published. Not used with MetaSSL,
        whose adaptive thresholds take its place.
    strong_views
        1 for FixMatch, 2 for UniMatch.
    feature_dropout
        Probability of dropping encoder channels in a stream of its own; 0 for FixMatch.
    criterion
        Cross-entropy, or Dice as in UniMatch's medical variant.
    supervised
        Weight of the supervised loss: 1, as in FixMatch; UniMatch halves both losses.
    unlabelled
        Largest weight of the unlabelled loss, which is a mean over its streams (those of the strong
        views and that of features count half each): 1, as in FixMatch.
    ramp_end
        Share of the training at which it is reached.
    """

    threshold: float = 0.95
    strong_views: int = 1
    feature_dropout: float = 0.0
    criterion: Literal["cross_entropy", "dice"] = "cross_entropy"
    supervised: float = 1.0
    unlabelled: float = 1.0
    ramp_end: float = 0.2


class FixMatch(Framework):
    """One network; its weak view teaches its strong views.

    Raises
    ------
    ValueError
        Without a strong view, and as of `Framework`.
    """

    config: FixMatchConfig

    def __init__(
        self, in_channels: int, classes: int, config: FixMatchConfig | None = None
    ) -> None:
        config = config or FixMatchConfig()
        if config.strong_views < 1:
            raise ValueError("FixMatch needs at least one strong view")
        super().__init__(in_channels, classes, config)

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        c = self.config
        nl, nu = batch.labelled_count, batch.unlabelled_count
        weak = batch.unlabelled_image
        views, boxes = [], []
        for _ in range(c.strong_views if nu else 0):
            box = self.cutmix(weak, generator)
            views.append(box.mix(self.strong_view(weak, generator)))
            boxes.append(box)
        reference = self._teach(weak)
        perturb = nu > 0 and c.feature_dropout > 0
        images = [batch.labelled_image, *views, *([weak] if perturb else [])]
        features = self.network.encode(torch.cat(images))
        drop = None
        if perturb:
            drop = ChannelDropout(c.feature_dropout, generator, nl + nu * len(views))
        labelled, *streams = self.network.decode(features, drop)[0].split(
            [nl, *[nu] * (len(images) - 1)]
        )
        parts = self.labelled_losses(labelled, batch)
        pair = PredictionPair(self.space.probabilities(labelled.detach()), labelled)
        unlabelled = [PredictionPair(reference, streams[0])] if nu else []
        self.metassl.observe(unlabelled, [pair], batch.labelled_target)
        if c.metassl:
            parts["labelled_regions"] = self.metassl.labelled([pair], batch.labelled_target)
        if nu:
            strong = [
                self._stream(box.mix(reference), z) for box, z in zip(boxes, streams, strict=False)
            ]
            parts["unlabelled"] = torch.stack(strong).mean()
            if perturb:
                parts["unlabelled"] = (
                    parts["unlabelled"] + self._stream(reference, streams[-1])
                ) / 2
            parts |= self.prior_loss(streams[0], mixed_prior(batch, boxes[0]))
        ramp = c.unlabelled * warm_up(progress, 0.0, c.ramp_end)
        weights = {"supervised": c.supervised, "labelled_regions": ramp, "unlabelled": ramp}
        return weighted_total(parts, weights | self.prior_weights)

    @torch.no_grad()
    def _teach(self, weak: Tensor) -> Tensor:
        if weak.shape[0] == 0:
            return weak.new_zeros(0, self.classes, *weak.shape[2:])
        with without_dropout(self.network):
            return self.space.probabilities(self.network(weak))

    def _stream(self, reference: Tensor, logits: Tensor) -> Tensor:
        if self.config.metassl:
            return self.metassl.unlabelled([PredictionPair(reference, logits)])
        confidence, target = self.space.decide(reference)
        mask = (confidence >= self.config.threshold).float()
        loss = self.space.dice if self.config.criterion == "dice" else self.space.cross_entropy
        return loss(logits, target, mask)


def mixed_prior(batch: Batch, box: CutMix) -> Batch:
    """Return a batch for `Framework.prior_loss` whose prior is mixed like a strong view.

    Parameters
    ----------
    batch
        Weakly augmented. Where its prior or the weight of that is missing, it comes back itself.
    box
        Of the strong view.

    Returns
    -------
    Batch
        Without the prior of labelled images.
    """
    if batch.prior is None or batch.prior_weight is None:
        return batch
    return Batch(
        batch.labelled_image,
        batch.labelled_target,
        batch.unlabelled_image,
        box.mix(batch.prior),
        box.mix(batch.prior_weight),
    )
