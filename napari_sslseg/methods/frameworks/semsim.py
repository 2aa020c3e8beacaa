"""SemSim (Xie, Wang et al., 2024, arXiv 2410.13486): FixMatch with two semantic similarities.

Of each unlabelled image there is a weak view (w) and two strong ones (s1, s2). The decoder's weak
prediction teaches that of s1; the weak prediction rectified by affinities inside the image teaches
the rectified one of s1; the weak view's query of labelled prototypes teaches that of s2. Features
for both similarities come from the fusion module, a side branch on the encoder.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from ..affinity import limit_grid, resize
from ..augment_cutmix import CutMix
from ..losses import pixel_cross_entropy, weighted_mean
from ..networks import ChannelDropout, FeatureDrop
from ..prototypes import Prototypes, query, regional_prototypes
from ..ramps import Scalar
from .base import Batch, PredictionPair, weighted_total
from .fixmatch import mixed_prior
from .modes import without_dropout
from .semsim_network import FusionFramework
from .semsim_views import Asked, Views


class SemSim(FusionFramework):
    """Weak views teach strong ones: what is predicted plainly, rectified, and by prototypes.

    Thresholds 0 belong to the plain weak prediction, 1 to the rectified one, 2, if there are such,
    to that of the prototypes.
    """

    clean_labelled_pass = False
    """Whether labelled images go through the pass without gradient as well."""

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        if batch.unlabelled_count == 0:
            parts = self.labelled_step(batch)
            return weighted_total(parts, self.weights(progress))
        views = self.views(batch, generator)
        parts = self.labelled_losses(views.labelled_logits, batch)
        weak_probs, rectified = self.weak_targets(views)
        self.observe(weak_probs, rectified, batch, views)
        parts |= self.labelled_regions(views.clean_labelled, views.labelled_logits, batch)
        parts["unlabelled"] = self.weak_to_strong(
            views.first_box.mix(weak_probs), views.strong_logits
        )
        parts["intra"] = self.intra_image(rectified, views)
        parts["cross"] = self.cross_image(batch, views)
        parts |= self.prior_loss(views.strong_logits, mixed_prior(batch, views.first_box))
        return weighted_total(parts, self.weights(progress))

    def weights(self, progress: Scalar) -> dict[str, Scalar]:
        """Return the weight of each part (Eqs. 18 and 19), the same all through the training."""
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
        """Return the parts of a batch without unlabelled images, as of `step` but for the total."""
        logits = self.logits(batch.labelled_image)
        probs = self.space.probabilities(logits.detach())
        self.metassl.observe((), [PredictionPair(probs, logits)], batch.labelled_target)
        return self.labelled_losses(logits, batch) | self.labelled_regions(probs, logits, batch)

    def labelled_regions(
        self, reference: Tensor, logits: Tensor, batch: Batch
    ) -> dict[str, Tensor]:
        """Return MetaSSL's loss on annotated pixels, if it is on, as ``"labelled_regions"``.

        Parameters
        ----------
        reference
            ``(Bl, K, H, W)`` probabilities, whose confidence makes the regions.
        logits
            ``(Bl, K, H, W)``, which learn.
        batch
            Of the step.
        """
        if not self.config.metassl:
            return {}
        pair = PredictionPair(reference, logits)
        return {"labelled_regions": self.metassl.labelled([pair], batch.labelled_target)}

    def views(self, batch: Batch, generator: torch.Generator) -> Views:
        """Run the network on all views of a batch.

        The encoder runs once with gradient on labelled images, s1 and s2, the decoder on the first
        two of these, and all once without gradient on the weak view.

        Parameters
        ----------
        batch
            Weakly augmented, with at least one unlabelled image.
        generator
            Randomness of the strong views.
        """
        c = self.config
        nl, nu = batch.labelled_count, batch.unlabelled_count
        weak = batch.unlabelled_image
        boxes = [self.cutmix(weak, generator) for _ in range(1 + c.second_view)]
        strong = [box.mix(self.strong_view(weak, generator)) for box in boxes]
        calm = nullcontext() if c.weak_dropout else without_dropout(self.network)
        with torch.no_grad(), calm:
            clean = weak
            if self.clean_labelled_pass:
                clean = torch.cat([batch.labelled_image, weak])
            features = self.network.encode(clean)
            # The similarities ask for the weak view alone, the main path for all.
            weak_f = self.fuse(features if self.back else tuple(f[-nu:] for f in features))
            weak_z, weak_d = self.decode(features, weak_f)
            weak_f = limit_grid(weak_f[-nu:], c.grid)
        features = self.network.encode(torch.cat([batch.labelled_image, *strong]))
        drop: FeatureDrop | None = ChannelDropout(c.feature_dropout, generator, nl)
        if drop is not None and c.feature_dropout_at == "decoder+fusion":
            features, drop = tuple(drop(f) for f in features), None  # the same for both
        fused = self.fuse(features)
        decoded = tuple(f[: nl + nu] for f in features)
        logits, decoder = self.decode(decoded, fused[: nl + nu], drop)
        fused = limit_grid(fused, c.grid)
        if self.clean_labelled_pass:
            labelled_probs, labelled_d = self.space.probabilities(weak_z[:nl]), weak_d[:nl]
        else:
            labelled_probs = self.space.probabilities(logits[:nl].detach())
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
        """Return the plain weak probabilities, and the rectified ones where L_intra compares.

        Both are float32 and without gradient: ``(Bu, K, H, W)``, and ``(Bu, K, h, w)`` on the grid
        of the fused map or, with `intra_at` of ``"image"``, of that size too.

        Parameters
        ----------
        views
            Of the step.
        """
        rectified = self._compared(self.rectified(views.weak_logits, views.weak_fused), views)
        return self.space.probabilities(views.weak_logits), self.space.probabilities(rectified)

    def _compared(self, rectified: Tensor, views: Views) -> Tensor:
        """Bring rectified logits to where L_intra compares."""
        if self.config.intra_at == "features":
            return rectified
        return resize(rectified, (views.strong_logits.shape[-2], views.strong_logits.shape[-1]))

    def observe(self, weak_probs: Tensor, rectified: Tensor, batch: Batch, views: Views) -> None:
        """Update the thresholds of both reference predictions.

        Parameters
        ----------
        weak_probs, rectified
            Of `weak_targets`.
        batch, views
            Of the step.
        """
        logits = views.strong_logits
        self.metassl.observe(
            [PredictionPair(weak_probs, logits, 0), PredictionPair(rectified, logits, 1)],
            [PredictionPair(views.clean_labelled, views.labelled_logits, 0)],
            batch.labelled_target,
        )

    def weak_to_strong(
        self, target: Tensor, strong_logits: Tensor, trust: Tensor | None = None
    ) -> Tensor:
        """Return L_u (Eq. 1), a scalar: masked Dice, or the heterogeneous loss with MetaSSL.

        Parameters
        ----------
        target
            ``(Bu, K, H, W)`` probabilities of the weak view, mixed like s1.
        strong_logits
            ``(Bu, K, H, W)`` of s1.
        trust
            What each of its labels counts, of `trust_of`.
        """
        if self.config.metassl and "plain" in self.config.heterogeneous:
            return self.metassl.unlabelled([PredictionPair(target, strong_logits, trust=trust)])
        return self._masked_dice(target, strong_logits, trust)

    def intra_image(self, rectified: Tensor, views: Views) -> Tensor:
        """Return L_intra (Eq. 6), a scalar.

        Parameters
        ----------
        rectified
            ``(Bu, K, h, w)`` probabilities of the weak view, of `weak_targets`.
        views
            Of the step.
        """
        c = self.config
        prediction = self.rectified(views.strong_logits, views.strong_fused)
        prediction = self._compared(prediction, views)
        target = views.first_box.mix(rectified)
        trust = self.trust_of("intra", target)
        if c.metassl and "intra" in c.heterogeneous:
            return self.metassl.unlabelled([PredictionPair(target, prediction, 1, trust)])
        return self._masked_dice(target, prediction, trust)

    def cross_image(self, batch: Batch, views: Views) -> Tensor:
        """Return L_cross (Eq. 13), a scalar, averaged over all pixels of the grid.

        Parameters
        ----------
        batch, views
            Of the step.
        """
        c, box = self.config, views.second_box
        prototypes = self.prototypes(views.labelled_fused, batch.labelled_target)
        learner = self._ask(views.second_fused, prototypes)
        with torch.no_grad():
            asked = self._ask(views.weak_fused, [p.detach() for p in prototypes], box)
            confidence, classes = asked.log_probs.exp().max(1)
            if c.cross_mask == "weak":
                size = (views.weak_fused.shape[-2], views.weak_fused.shape[-1])
                weak = resize(self.space.probabilities(views.weak_logits), size)
                confidence = self.space.decide(box.mix(weak))[0]
            least = c.threshold if c.cross_threshold is None else c.cross_threshold
            mask = (confidence >= least).float()
            certainty = (learner if c.certainty_of == "strong" else asked).certainty
            certainty = certainty * self.trust_of_answers(batch, views, prototypes, asked)
        if c.metassl and "cross" in c.heterogeneous:
            return self._heterogeneous_cross(Asked(asked.log_probs, certainty), learner)
        if c.targets == "soft":
            ce = -(asked.log_probs.exp() * learner.log_probs).sum(1)
        else:
            # A class that is nowhere labelled is never a target; CE of log-probabilities is exact.
            ce = pixel_cross_entropy(learner.log_probs, classes)
        return (mask * certainty * ce).mean()

    def trust_of(self, teacher: str, probs: Tensor) -> Tensor | None:
        """Return what the labels of a teacher's probabilities count.

        Parameters
        ----------
        teacher
            ``"unlabelled"`` or ``"intra"``, the part that they teach.
        probs
            ``(Bu, K, h, w)``.

        Returns
        -------
        Tensor or None
            In [0, 1], shaped like the answers of `LabelSpace.decide`; None, as here, is in full.
        """
        return None

    def trust_of_answers(
        self, batch: Batch, views: Views, prototypes: list[Prototypes], asked: Asked
    ) -> Tensor | float:
        """Return what the answers of the prototypes count beside their certainty: in full.

        Parameters
        ----------
        batch, views, prototypes, asked
            Of the step; `asked` is what the prototypes answer to its weak views, mixed like s2.

        Returns
        -------
        Tensor or float
            In [0, 1]: one number, or shaped like the certainty of `asked`.
        """
        return 1.0

    def _heterogeneous_cross(self, asked: Asked, learner: Asked) -> Tensor:
        """Return L_cross with regions in place of its threshold."""
        probs, logits = asked.log_probs.exp(), learner.log_probs
        if self.space.overlapping:
            probs, logits = probs[:, 1], logits[:, 1] - logits[:, 0]
        pair = PredictionPair(probs, logits, 2, asked.certainty)
        self.metassl.observe([pair])
        return self.metassl.unlabelled([pair])

    def prototypes(self, fused: Tensor, target: Tensor) -> list[Prototypes]:
        """Return the regional prototypes of all classes (Eq. 7).

        Parameters
        ----------
        fused
            ``(Bl, D, h, w)``, of labelled images.
        target
            ``(Bl, H, W)`` class ids; overlapping: ``(Bl, K, H, W)``.

        Returns
        -------
        list of Prototypes
            One of K classes; overlapping: K of two classes, where each structure is not, and where
            it is.
        """
        n = self.config.prototype_regions
        if not self.space.overlapping:
            return [regional_prototypes(fused, target, self.classes, n)]
        return [regional_prototypes(fused, target[:, k], 2, n) for k in range(self.classes)]

    def _ask(self, fused: Tensor, prototypes: list[Prototypes], box: CutMix | None = None) -> Asked:
        """Query prototypes; the answers are mixed by `box`, if one is given."""
        c = self.config
        found = [
            query(fused, p, c.cross_temperature, c.sharpness, c.divergence) for p in prototypes
        ]
        answers = [Asked(each.log_probs, each.weight) for each in found]
        if box is not None:
            answers = [Asked(*map(box.mix, each)) for each in answers]
        return Asked.joined(answers) if self.space.overlapping else answers[0]

    def _masked_dice(
        self, target_probs: Tensor, logits: Tensor, trust: Tensor | None = None
    ) -> Tensor:
        c = self.config
        confidence, target = self.space.decide(target_probs)
        mask = (confidence >= c.threshold).float()
        share: Tensor | float = 1.0
        if trust is not None:
            # Dice is free of the scale of its weights; trust weighs it as a whole, too.
            share, mask = weighted_mean(trust, mask), mask * trust
        if c.targets == "soft":
            return share * self.space.soft_dice(logits, target_probs, mask, c.dice_of_absent)
        return share * self.space.dice(logits, target, mask, c.dice_of_absent)
