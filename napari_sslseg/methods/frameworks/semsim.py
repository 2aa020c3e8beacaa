"""SemSim (Xie, Wang et al., 2024, arXiv 2410.13486): FixMatch with two semantic similarities.

Of each unlabelled image there is a weak view (w) and two strong ones (s1, s2). The decoder's weak
prediction teaches that of s1; the weak prediction rectified by affinities inside the image teaches
the rectified one of s1; the weak view's query of labelled prototypes teaches that of s2. Features
for both similarities come from the fusion module, a side branch on the encoder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..affinity import DEFAULT_TEMPERATURE, limit_grid, rectify
from ..augment import CutMix, sample_cutmix
from ..fusion import SimpleFusion, SpatialFusion
from ..losses import masked_dice, pixel_cross_entropy
from ..networks import ChannelDropout
from ..prototypes import DEFAULT_REGIONS, DEFAULT_SHARPNESS, QueryResult, query, regional_prototypes
from .base import (
    Batch,
    Framework,
    FrameworkConfig,
    PredictionPair,
    PredictOutput,
    weighted_total,
    without_dropout,
)
from .fixmatch import mixed_prior


@dataclass(frozen=True)
class SemSimConfig(FrameworkConfig):
    """Settings of SemSim.

    Attributes
    ----------
    threshold
        Probability that a weak target must reach, 0.95 as published.
    unlabelled, intra, cross
        0.5, 0.25 and 0.25, the published optimum; supervised and unlabelled parts are then halved.
    affinity_temperature, cross_temperature
        0.1 each. Without a temperature (1.0, as printed) affinities after a ReLU are nearly uniform
        and the cross-image prediction can never reach the threshold.
    sharpness
        r of the uncertainty weight, 1000 as published.
    prototype_regions
        4 cells a side, the published optimum.
    fusion
        ``"spatial"`` for the published module, ``"simple"`` for the reduced variant.
    fusion_width
        128 as published; 64 costs a quarter.
    feature_dropout
        Of encoder channels entering the decoder of strong views, 0.5 as published. The fusion
        module sees them undropped, as it defines the similarities.
    grid
        Largest side of the grid of affinities and queries in training; predictions use twice that.
        The published 56 has ten times the pairs of 32.
    second_view
        Whether s2 is a view of its own, as published. Without, s1 serves both similarities, which
        the paper finds 0.6 Dice points worse on ACDC, and a third of the gradient pass is saved.
    """

    threshold: float = 0.95
    unlabelled: float = 0.5
    intra: float = 0.25
    cross: float = 0.25
    affinity_temperature: float = DEFAULT_TEMPERATURE
    cross_temperature: float = DEFAULT_TEMPERATURE
    sharpness: float = DEFAULT_SHARPNESS
    prototype_regions: int = DEFAULT_REGIONS
    fusion: Literal["spatial", "simple"] = "spatial"
    fusion_width: int = 128
    feature_dropout: float = 0.5
    grid: int = 56
    second_view: bool = True


@dataclass
class Views:
    """All predictions of one step.

    Attributes
    ----------
    labelled_logits, labelled_fused
        Of the labelled images, with gradient.
    clean_labelled
        ``(Bl, K, H, W)`` probabilities of the labelled images without gradient.
    weak_logits, weak_decoder, weak_fused
        Of the weak view, without gradient.
    labelled_decoder
        Last decoder map of the labelled images, without gradient, from the same forward pass as
        `weak_decoder` where the framework asks for it.
    strong_logits, strong_fused
        Decoder and fused map of s1.
    second_fused
        Fused map of s2.
    first_box, second_box
        CutMix of s1 and s2.
    """

    labelled_logits: Tensor
    labelled_fused: Tensor
    clean_labelled: Tensor
    labelled_decoder: Tensor
    weak_logits: Tensor
    weak_decoder: Tensor
    weak_fused: Tensor
    strong_logits: Tensor
    strong_fused: Tensor
    second_fused: Tensor
    first_box: CutMix
    second_box: CutMix


class SemSim(Framework):
    """One U-Net with a fusion branch; the branch rectifies predictions, the decoder alone is plain.

    Thresholds 0 belong to the plain weak prediction, 1 to the rectified one.
    """

    config: SemSimConfig
    reference_predictions = 2
    rectified_index = 1
    clean_labelled_pass = False
    """Whether labelled images go through the pass without gradient as well."""

    def __init__(self, in_channels: int, classes: int, config: SemSimConfig | None = None) -> None:
        config = config or SemSimConfig()
        if len(config.channels) < 4:
            raise ValueError("SemSim needs a network of at least four levels")
        super().__init__(in_channels, classes, config)
        stages, width = config.channels[1:4], config.fusion_width
        self.fusion: nn.Module = (
            SpatialFusion(stages, width)
            if config.fusion == "spatial"
            else SimpleFusion(stages, width)
        )

    def fuse(self, features: tuple[Tensor, ...], grid: int) -> Tensor:
        """Return the fused features of encoder maps on a grid of at most `grid` pixels a side."""
        return limit_grid(self.fusion(features[1:4]), grid)

    def step(self, batch: Batch, progress: float, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        if batch.unlabelled_count == 0:
            parts = self.labelled_step(batch)
            return weighted_total(parts, self.weights(progress))
        views = self.views(batch, generator)
        parts = self.labelled_losses(views.labelled_logits, batch)
        weak_probs, rectified = self.weak_targets(views)
        self.observe(weak_probs, rectified, views)
        parts |= self.labelled_regions(views.clean_labelled, views.labelled_logits, batch)
        parts["unlabelled"] = self.weak_to_strong(
            views.first_box.mix(weak_probs), views.strong_logits
        )
        parts["intra"] = self.intra_image(rectified, views)
        parts["cross"] = self.cross_image(batch, views)
        parts |= self.prior_loss(views.strong_logits, mixed_prior(batch, views.first_box))
        return weighted_total(parts, self.weights(progress))

    def weights(self, progress: float) -> dict[str, float]:
        """Return the weight of each part (Eqs. 18 and 19)."""
        c = self.config
        return {
            "supervised": 0.5,
            "labelled_regions": 0.5 * c.unlabelled,
            "unlabelled": 0.5 * c.unlabelled,
            "intra": 0.5 * c.intra,
            "cross": 0.5 * c.cross,
            **self.prior_weights,
        }

    def labelled_step(self, batch: Batch) -> dict[str, Tensor]:
        """Return the parts of a batch without unlabelled images."""
        logits = self.network(batch.labelled_image)
        probs = logits.detach().float().softmax(1)
        self.metassl.observe(labelled=[PredictionPair(probs, logits)])
        return self.labelled_losses(logits, batch) | self.labelled_regions(probs, logits, batch)

    def labelled_regions(
        self, reference: Tensor, logits: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """Return MetaSSL's loss on annotated pixels, if it is on."""
        if not self.config.metassl:
            return {}
        pair = PredictionPair(reference, logits)
        return {"labelled_regions": self.metassl.labelled([pair], batch.labelled_target)}

    def views(self, batch: Batch, generator: torch.Generator) -> Views:
        """Run the network on all views of a batch.

        The encoder runs once with gradient on labelled images, s1 and s2, the decoder on the first
        two of these, and all once without gradient on the weak view.
        """
        c = self.config
        nl, nu = batch.labelled_count, batch.unlabelled_count
        weak = batch.unlabelled_image
        boxes = [sample_cutmix(weak, generator, c.strong) for _ in range(1 + c.second_view)]
        strong = [box.mix(self.strong_view(weak, generator)) for box in boxes]
        with torch.no_grad(), without_dropout(self.network):
            clean = weak
            if self.clean_labelled_pass:
                clean = torch.cat([batch.labelled_image, weak])
            features = self.network.encode(clean)
            weak_z, weak_d = self.network.decode(features)
            weak_f = self.fuse(tuple(f[-nu:] for f in features), c.grid)
        features = self.network.encode(torch.cat([batch.labelled_image, *strong]))
        fused = self.fuse(features, c.grid)
        drop = ChannelDropout(c.feature_dropout, generator, nl)
        logits, decoder = self.network.decode([f[: nl + nu] for f in features], drop)
        if self.clean_labelled_pass:
            labelled_probs, labelled_d = weak_z[:nl].float().softmax(1), weak_d[:nl]
        else:
            labelled_probs = logits[:nl].detach().float().softmax(1)
            labelled_d = decoder[:nl].detach()
        return Views(
            labelled_logits=logits[:nl],
            labelled_fused=fused[:nl],
            clean_labelled=labelled_probs,
            labelled_decoder=labelled_d,
            weak_logits=weak_z[-nu:],
            weak_decoder=weak_d[-nu:],
            weak_fused=weak_f,
            strong_logits=logits[nl:],
            strong_fused=fused[nl : nl + nu],
            second_fused=fused[-nu:],
            first_box=boxes[0],
            second_box=boxes[-1],
        )

    @torch.no_grad()
    def weak_targets(self, views: Views) -> tuple[Tensor, Tensor]:
        """Return the plain weak probabilities and the rectified ones, on the affinity grid."""
        rectified = rectify(
            views.weak_logits, views.weak_fused, self.config.affinity_temperature
        ).softmax(1)
        return views.weak_logits.float().softmax(1), rectified

    def observe(self, weak_probs: Tensor, rectified: Tensor, views: Views) -> None:
        """Update the thresholds of both reference predictions."""
        logits = views.strong_logits
        self.metassl.observe(
            [PredictionPair(weak_probs, logits, 0), PredictionPair(rectified, logits, 1)],
            [PredictionPair(views.clean_labelled, views.labelled_logits, 0)],
        )

    def weak_to_strong(self, target: Tensor, strong_logits: Tensor) -> Tensor:
        """Return L_u (Eq. 1): masked Dice, or the heterogeneous loss with MetaSSL.

        `target` are the probabilities of the weak view, mixed like the strong one.
        """
        if self.config.metassl:
            return self.metassl.unlabelled([PredictionPair(target, strong_logits)])
        return self._masked_dice(target, strong_logits)

    def intra_image(self, rectified: Tensor, views: Views) -> Tensor:
        """Return L_intra (Eq. 6) on the affinity grid."""
        prediction = rectify(
            views.strong_logits, views.strong_fused, self.config.affinity_temperature
        )
        return self._masked_dice(views.first_box.mix(rectified), prediction)

    def cross_image(self, batch: Batch, views: Views) -> Tensor:
        """Return L_cross (Eq. 13), averaged over all pixels of the grid."""
        c = self.config
        prototypes = regional_prototypes(
            views.labelled_fused, batch.labelled_target, self.classes, c.prototype_regions
        )
        with torch.no_grad():
            asked = query(views.weak_fused, prototypes.detach(), c.cross_temperature, c.sharpness)
            target = views.second_box.mix(asked.probs)
            certainty = views.second_box.mix(asked.weight)
            confidence, classes = target.max(1)
            mask = (confidence >= c.threshold).float()
        learner: QueryResult = query(
            views.second_fused, prototypes, c.cross_temperature, c.sharpness
        )
        # A class that is nowhere labelled is never a target; CE of log-probabilities is exact.
        ce = pixel_cross_entropy(learner.log_probs, classes)
        return (mask * certainty * ce).mean()

    def _masked_dice(self, target_probs: Tensor, logits: Tensor) -> Tensor:
        confidence, target = target_probs.max(1)
        mask = (confidence >= self.config.threshold).float()
        return masked_dice(logits.float().softmax(1), target, mask)

    def predict_padded(self, image: Tensor) -> PredictOutput:
        """Predict with the decoder alone, and rectified by the affinities of the fused features."""
        features = self.network.encode(image)
        logits, _ = self.network.decode(features, size=(image.shape[-2], image.shape[-1]))
        fused = self.fuse(features, 2 * self.config.grid)
        temperature = self.config.affinity_temperature
        rectified = rectify(logits, fused, temperature, at="logits").softmax(1)
        return PredictOutput(logits.float().softmax(1), rectified)
