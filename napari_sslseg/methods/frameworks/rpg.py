"""RPG as a training framework (Seibold et al., AAAI 2022).

Matched labels teach the weak view, FixMatch the strong one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..augment import sample_cutmix
from ..losses import cross_entropy
from ..matching import (
    DEFAULT_GRID,
    DEFAULT_NEIGHBOURS,
    FrequencySource,
    ReferencePool,
    match,
    rpg_loss,
    warm_up,
)
from .base import Batch, Framework, FrameworkConfig, PredictionPair, weighted_total
from .fixmatch import mixed_prior


@dataclass(frozen=True)
class RPGConfig(FrameworkConfig):
    """Settings of RPG.

    Attributes
    ----------
    neighbours
        5, as drawn in the paper. More neighbours disagree more often and so lower the weights; the
        label stays that of the nearest.
    grid
        Side of the matching grid. 64 costs about 0.2 s an image on two cores; cost grows with the
        fourth power.
    threshold
        Of the weak-to-strong term, 0.95 as in FixMatch.
    start, end
        Ramp of both unlabelled terms: nothing before a tenth of the training, as untrained features
        match at random, all from four tenths on.
    refine, morph
        Optional frequency alignment and clean-up of pseudo-labels, off as in the base method.
    matched, strong_consistency
        Weights of the two terms; the method gives both the same.
    """

    neighbours: int = DEFAULT_NEIGHBOURS
    grid: int = DEFAULT_GRID
    threshold: float = 0.95
    start: float = 0.1
    end: float = 0.4
    refine: FrequencySource | None = None
    morph: bool = False
    matched: float = 1.0
    strong_consistency: float = 1.0


class RPG(Framework):
    """Labelled images of the batch are the pool that labels the unlabelled ones."""

    config: RPGConfig

    def __init__(self, in_channels: int, classes: int, config: RPGConfig | None = None) -> None:
        super().__init__(in_channels, classes, config or RPGConfig())

    def step(self, batch: Batch, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        c = self.config
        nl, nu = batch.labelled_count, batch.unlabelled_count
        weak = batch.unlabelled_image
        box = sample_cutmix(weak, generator, c.strong)
        strong = box.mix(self.strong_view(weak, generator))
        # One forward pass for all, so that features to be compared are normalised together.
        taps = self.network.taps(torch.cat([batch.labelled_image, weak, strong]))
        labelled, weak_z, strong_z = taps.logits.split([nl, nu, nu])
        parts = self.labelled_losses(labelled, batch)
        pair = PredictionPair(labelled.detach().float().softmax(1), labelled)
        probs = weak_z.detach().float().softmax(1)
        self.metassl.observe([PredictionPair(probs, strong_z)] if nu else (), [pair])
        if c.metassl:
            parts["labelled_regions"] = self.metassl.labelled([pair], batch.labelled_target)
        if nu:
            pool = ReferencePool.from_maps(
                taps.decoder[:nl], batch.labelled_target, self.classes, c.grid
            )
            found = match(
                taps.decoder[nl : nl + nu],
                pool,
                c.neighbours,
                c.grid,
                refine=c.refine,
                morph=c.morph,
            )
            parts["matched"] = rpg_loss(weak_z, found.labels, found.weight)
            mixed = box.mix(probs)
            if c.metassl:
                parts["unlabelled"] = self.metassl.unlabelled([PredictionPair(mixed, strong_z)])
            else:
                confidence, target = mixed.max(1)
                mask = (confidence >= c.threshold).float()
                parts["unlabelled"] = cross_entropy(strong_z, target, mask)
            parts |= self.prior_loss(strong_z, mixed_prior(batch, box))
        ramp = warm_up(progress, c.start, c.end)
        weights = {
            "supervised": 1.0,
            "labelled_regions": ramp,
            "matched": ramp * c.matched,
            "unlabelled": ramp * c.strong_consistency,
            **self.prior_weights,
        }
        return weighted_total(parts, weights)
