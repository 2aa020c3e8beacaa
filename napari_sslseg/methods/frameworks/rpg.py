"""RPG as a training framework (Seibold et al., AAAI 2022).

Matched labels teach the weak view, FixMatch the strong one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..augment_cutmix import CutMix
from ..augment_warp import Warp, sample_warp
from ..matching import (
    DEFAULT_NEIGHBOURS,
    Agreement,
    FrequencySource,
    Match,
    match,
    rpg_loss,
)
from ..ramps import Ramp, Scalar, warm_up
from ..reference_pool import DEFAULT_GRID, ReferencePool
from .base import Batch, Framework, FrameworkConfig, PredictionPair, weighted_total
from .fixmatch import mixed_prior


@dataclass(frozen=True)
class RPGConfig(FrameworkConfig):
    """Settings of RPG.

    Attributes
    ----------
    neighbours
        5, as drawn in the paper. More neighbours disagree more often and so lower the weights; the
        label stays that of the nearest, but with `standardise` or `refine`, where only labels of
        the neighbours can be chosen.
    grid
        Side of the matching grid. 64 costs about 0.2 s an image on two cores; cost grows with the
        fourth power. For volumes it is limited to 16, which has as many cells.
    threshold
        Of the weak-to-strong term, 0.95 as in FixMatch.
    start, end
        Ramp of both unlabelled terms: nothing before a tenth of the training, as untrained features
        match at random, all from four tenths on.
    most_references
        Match against at most this many annotated pixels, drawn in each step, of each label as many
        as of any other as far as there are; None, as in the base method, against all. The cost of a
        step falls with the pool, and rare labels stay.
    refine, morph
        Optional frequency alignment and clean-up of pseudo-labels, off as in the base method.
    matched, strong_consistency
        Weights of the two terms; the method gives both the same.
    matched_on
        Which views matched labels teach: the ``"weak"`` one, as in the base method, the
        ``"strong"`` one, or ``"both"``; the last two are variants of the released code.
    standardise
        Choose neighbours by standardised similarity, against hubs; a switch of the released code.
        The label is then that of the most similar among them, which need not be the nearest
        reference of all.
    temperature
        None: a label's share of the neighbours is its best similarity over the sum of those of all
        labels found, as in the released configuration; a number: a softmax of the similarities at
        that temperature, a form that the released code has switched off. It changes weights, not
        labels.
    agreement
        Form of the weight; see `matching.agreement_weight`. Clamped by default, as the released
        one can turn negative and teach the opposite of a label.
    ramp
        Form of the ramp: the Gaussian of the released code, or its other forms.
    supervised_loss
        ``"half"`` the sum of cross-entropy and Dice of all classes, as for the other frameworks, so
        that they differ in what they add to it; ``"whole"``, the released code's: their sum, with
        a Dice of the foreground, or of all overlapping classes at once.
    strong_geometry
        Probability of each of rotation, shears, shifts and cut-out of the strong view, which labels
        follow. 0: strong views are those of the other frameworks, intensities and CutMix, which
        hide as much of an image and can be compared. The released code has geometry in place of
        CutMix (0.5 here, with ``cutmix=0`` in `strong`); it gives pixels without a source the full
        weight of a label 0, which is mended: they weigh nothing. Images only.
    heterogeneous
        With `metassl`, the terms whose pixels are weighed by regions: the ``"plain"`` weak
        prediction's, and that of the ``"matched"`` labels, if named. There, too, the matched label
        is taught, a set of classes as a whole. The marginals of the neighbours say how sure it is,
        and regions take the place of the agreement weight; where that is 0, nothing is taught.
    """

    neighbours: int = DEFAULT_NEIGHBOURS
    grid: int = DEFAULT_GRID
    most_references: int | None = None
    threshold: float = 0.95
    start: float = 0.1
    end: float = 0.4
    refine: FrequencySource | None = None
    morph: bool = False
    matched: float = 1.0
    strong_consistency: float = 1.0
    matched_on: Literal["weak", "strong", "both"] = "weak"
    standardise: bool = False
    temperature: float | None = None
    agreement: Agreement = "entropy"
    ramp: Ramp = "gaussian"
    supervised_loss: Literal["half", "whole"] = "half"
    strong_geometry: float = 0.0
    heterogeneous: tuple[Literal["plain", "matched"], ...] = ("plain",)


#: Largest side of the matching grid in volumes: 16 cubed is 64 squared.
VOLUME_GRID = 16


class RPG(Framework):
    """Labelled images of the batch are the pool that labels the unlabelled ones.

    Thresholds 0 belong to the weak prediction, 1 to the matched labels.

    Raises
    ------
    ValueError
        When volumes are to be warped or cleaned up, and as of `Framework`.
    """

    config: RPGConfig
    reference_predictions = 2

    def __init__(self, in_channels: int, classes: int, config: RPGConfig | None = None) -> None:
        config = config or RPGConfig()
        if config.network != "unet" and (config.strong_geometry or config.morph):
            raise ValueError("strong_geometry and morph are made for images; switch them off")
        super().__init__(in_channels, classes, config)

    def step(self, batch: Batch, progress: Scalar, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of a weakly augmented batch."""
        c = self.config
        nl, nu = batch.labelled_count, batch.unlabelled_count
        weak = batch.unlabelled_image
        box = self.cutmix(weak, generator)
        strong = box.mix(self.strong_view(weak, generator))
        warp = None
        if c.strong_geometry and nu:
            warp = sample_warp(weak, generator, c.strong_geometry)
            strong = warp.images(strong)
        # One forward pass for all, so that features to be compared are normalised together.
        taps = self.network.taps(torch.cat([batch.labelled_image, weak, strong]))
        labelled, weak_z, strong_z = taps.logits.split([nl, nu, nu])
        parts = self.labelled_losses(labelled, batch)
        pair = PredictionPair(self.space.probabilities(labelled.detach()), labelled)
        probs = self.space.probabilities(weak_z.detach())
        unlabelled = [PredictionPair(probs, strong_z)] if nu else []
        self.metassl.observe(unlabelled, [pair], batch.labelled_target)
        if c.metassl:
            parts["labelled_regions"] = self.metassl.labelled([pair], batch.labelled_target)
        if nu:
            found = self.matches(taps.decoder[: nl + nu], batch, generator)
            parts["matched"] = self.matched_loss(found, weak_z, strong_z, box, warp)
            parts["unlabelled"] = self.weak_to_strong(box.mix(probs), strong_z, warp)
            if warp is None:
                parts |= self.prior_loss(strong_z, mixed_prior(batch, box))
            else:
                parts |= self.prior_loss(weak_z, batch)
        ramp = warm_up(progress, c.start, c.end, c.ramp)
        weights = {
            "supervised": 1.0,
            "labelled_regions": ramp,
            "matched": ramp * c.matched,
            "unlabelled": ramp * c.strong_consistency,
            **self.prior_weights,
        }
        return weighted_total(parts, weights)

    def matches(
        self, decoder: Tensor, batch: Batch, generator: torch.Generator | None = None
    ) -> Match:
        """Match the unlabelled images to the labelled ones.

        Parameters
        ----------
        decoder
            ``(Bl + Bu, D, ...)``, the last decoder map of the labelled images, then of the weak
            views.
        batch
            Weakly augmented.
        generator
            Randomness of a bounded pool.

        Returns
        -------
        Match
            Of the weak views.
        """
        c, nl = self.config, batch.labelled_count
        grid = c.grid if decoder.ndim == 4 else min(c.grid, VOLUME_GRID)
        pool = ReferencePool.from_maps(
            decoder[:nl],
            batch.labelled_target,
            self.classes,
            grid,
            most=c.most_references,
            generator=generator,
        )
        return match(
            decoder[nl:],
            pool,
            c.neighbours,
            grid,
            refine=c.refine,
            morph=c.morph,
            standardise=c.standardise,
            agreement=c.agreement,
            temperature=c.temperature,
        )

    def weak_to_strong(self, target: Tensor, strong: Tensor, warp: Warp | None) -> Tensor:
        """Return L_F, a scalar: the weak view's probabilities teach the strong view.

        Parameters
        ----------
        target
            ``(Bu, K, ...)`` probabilities of the weak view, mixed like the strong view.
        strong
            ``(Bu, K, ...)`` logits of the strong view.
        warp
            Its geometry, which `target` has not followed yet; None if it has none of its own.
        """
        c = self.config
        seen = None
        if warp is not None:
            target, seen = warp.maps(target), warp.trust(torch.ones_like(target[:, 0]))
        if c.metassl and "plain" in c.heterogeneous:
            return self.metassl.unlabelled([PredictionPair(target, strong, trust=seen)])
        confidence, classes = self.space.decide(target)
        mask = (confidence >= c.threshold).float()
        if seen is not None:
            mask = mask * self.space.spread(seen)
        return self.space.cross_entropy(strong, classes, mask)

    def labelled_losses(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return the supervised part in the configured form, and the prior."""
        parts = super().labelled_losses(logits, batch)
        if self.config.supervised_loss == "whole":
            parts["supervised"] = self.space.whole_supervised_loss(logits, batch.labelled_target)
        return parts

    def matched_loss(
        self, found: Match, weak: Tensor, strong: Tensor, box: CutMix, warp: Warp | None = None
    ) -> Tensor:
        """Return L_R of the configured views, a scalar.

        Parameters
        ----------
        found
            Matches of the weak views, as of `matches`.
        weak, strong
            ``(B, K, ...)`` logits of the weak and of the strong views.
        box
            CutMix of the strong views.
        warp
            Their geometry, applied after `box`; None if they have none of their own.
        """
        c = self.config
        mixed = Match(*(box.mix(m) for m in (found.labels, found.probabilities, found.weight)))
        if warp is not None:
            mixed = Match(
                warp.labels(mixed.labels), warp.maps(mixed.probabilities), warp.trust(mixed.weight)
            )
        views = {"weak": [(weak, found)], "strong": [(strong, mixed)]}
        views["both"] = views["weak"] + views["strong"]
        chosen = views[c.matched_on]
        if not (c.metassl and "matched" in c.heterogeneous):
            return torch.stack([rpg_loss(z, m.labels, m.weight) for z, m in chosen]).sum()
        size = tuple(found.weight.shape[1:])
        pairs = [
            PredictionPair(
                m.probabilities,
                F.interpolate(z.float(), size, mode="nearest-exact"),
                1,
                (m.weight > 0).float(),
                # Marginals above one half need not be a set that any reference has.
                m.labels,
            )
            for z, m in chosen
        ]
        self.metassl.observe(pairs)
        return self.metassl.unlabelled(pairs)
