"""MetaSSL as one part that any framework with two predictions can hold.

A framework hands over `PredictionPair` objects; thresholds, regions and the heterogeneous loss do
not know where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..heterogeneous import Normalisation, Unanimous, heterogeneous_loss
from ..label_space import LabelSpace
from ..losses import IGNORE, weighted_mean
from ..regions import (
    LABELLED_ORDER,
    UNLABELLED_ORDER,
    AdaptiveThresholds,
    Formula,
    Region,
    Split,
    partition,
    region_weights,
    stated,
)


@dataclass(frozen=True)
class PredictionPair:
    """Two predictions of the same images.

    Attributes
    ----------
    reference_probs
        ``(B, K, ...)`` probabilities of the prediction that teaches; receives no gradient.
    supervised_logits
        ``(B, K, ...)`` logits of the prediction that learns.
    index
        Which of the framework's reference predictions this is, for its own thresholds.
    trust
        ``(B, ...)`` in [0, 1], what the framework itself thinks of single pixels of the reference;
        multiplies their loss. None is 1 everywhere. Shaped like a class map; with overlapping
        classes it may lack the axis of classes.
    target
        ``(B, ...)`` answers, as of `LabelSpace.decide`, that the reference states on unlabelled
        images; `IGNORE` where it states none. Its confidence is their probability. None is its
        likeliest answers.
    compared
        ``(B, ...)`` answers that `labelled_agreement` of ``"predictions"`` compares the reference
        of labelled images with: those of the framework's other prediction. None is those of
        `supervised_logits`, which are another prediction only where the reference is not the
        learner's own.
    """

    reference_probs: Tensor
    supervised_logits: Tensor
    index: int = 0
    trust: Tensor | None = None
    target: Tensor | None = None
    compared: Tensor | None = None


@dataclass(frozen=True)
class MetaSSLConfig:
    """Settings of the heterogeneous loss.

    Attributes
    ----------
    formula
        The Gaussian ``"phi"``, of two released scripts and the only one with few numbers to
        choose; ``"ratio"`` gives the hand-made steps of the others.
    beta, unlabelled_step, labelled_step
        3, 0.6 and 0.3, the released values of the variant whose order agrees with the paper on
        unlabelled pixels: weights 1, .81, .18, .003 and 1, .97, .81, .48. The annotation is
        trusted, so weights fall slowly on labelled pixels.
    unlabelled_order, labelled_order
        By the abstract UC > US > DC > DS on unlabelled pixels. On labelled ones DS > DC, as a
        confident contradiction of the annotation is a sign of an error in it.
    normalisation
        ``"weight_map"`` keeps the loss on the scale of a cross-entropy, whatever the shares of the
        regions. The released ``"region_mean"`` gives single pixels of a small region weights of
        tens and needs a ramp up to 0.1 with weights of 50.
    unanimous
        See `heterogeneous.heterogeneous_loss`; only matters for ``"region_mean"``.
    scale, labelled_scale
        Weight of the first region, and of the share of Dice beside it; of ``"region_mean"`` alone.
        None is `scale` on labelled pixels too; the released script for one labelled case has 50 and
        85.
    ratio, factor, labelled_ratio
        Of the formula ``"ratio"``: 1.25, 5 and 1.4, the released values of Mean Teacher in 2D.
    labelled_agreement
        What the reference of a labelled pixel is compared with: the ``"annotation"``, as the
        paper draws it, which lets a confident contradiction show an error in the annotation; or
        ``"predictions"``, the framework's other prediction of the same image, as the released
        scripts do: for the frameworks that make two, Mean Teacher, CPS, CCT and R-Drop. The target
        is the annotation either way.
    dice
        Share of a Dice loss with the same pixel weights in the unlabelled loss. 0 is the published
        cross-entropy alone; small structures gain from a share.
    dice_of_absent
        Whether that Dice counts classes that no pseudo-label of the batch has; see
        `losses.masked_dice`.
    rate, initial, cap, release_thresholds
        Of `AdaptiveThresholds`: 0.5 and 0.9 are released values; rate 0 is the fixed threshold of
        an ablation there; a class absent from a batch keeps
        its threshold unless the released behaviour, halving, is asked for.
    """

    formula: Formula = "phi"
    beta: float = 3.0
    unlabelled_step: float = 0.6
    labelled_step: float = 0.3
    unlabelled_order: tuple[Region, ...] = UNLABELLED_ORDER
    labelled_order: tuple[Region, ...] = LABELLED_ORDER
    normalisation: Normalisation = "weight_map"
    unanimous: Unanimous = "halves"
    scale: float = 1.0
    labelled_scale: float | None = None
    ratio: float = 1.25
    factor: float = 5.0
    labelled_ratio: float = 1.4
    labelled_agreement: Literal["annotation", "predictions"] = "annotation"
    dice: float = 0.0
    dice_of_absent: bool = True
    rate: float = 0.5
    initial: float = 0.9
    cap: float | None = None
    release_thresholds: bool = False


class MetaSSL(nn.Module):
    """Adaptive thresholds and heterogeneous losses of prediction pairs.

    Parameters
    ----------
    classes
        Number of classes, background included.
    predictions
        Number of reference predictions of the framework.
    config
        Settings.
    space
        What the channels mean; None for exclusive classes.
    """

    unlabelled_weights: Tensor
    labelled_weights: Tensor

    def __init__(
        self,
        classes: int,
        predictions: int = 1,
        config: MetaSSLConfig | None = None,
        space: LabelSpace | None = None,
    ) -> None:
        super().__init__()
        self.config = c = config or MetaSSLConfig()
        self.space = space or LabelSpace(classes)
        answers, structures = (2, classes) if self.space.overlapping else (classes, None)
        self.thresholds = AdaptiveThresholds(
            answers, predictions, c.rate, c.initial, c.cap, c.release_thresholds, structures
        )
        by_region = c.normalisation == "region_mean"
        self.scale = scale = c.scale if by_region else 1.0
        unlabelled = region_weights(
            c.formula, c.unlabelled_order, c.unlabelled_step, c.beta, c.ratio, c.factor, scale
        )
        if by_region and c.labelled_scale is not None:
            scale = c.labelled_scale
        # The released labelled weights under "ratio" are plain powers of the ratio.
        labelled = region_weights(
            c.formula, c.labelled_order, c.labelled_step, c.beta, c.labelled_ratio, 1.0, scale
        )
        self.register_buffer("unlabelled_weights", unlabelled, persistent=False)
        self.register_buffer("labelled_weights", labelled, persistent=False)

    def observe(
        self,
        unlabelled: Sequence[PredictionPair] = (),
        labelled: Sequence[PredictionPair] = (),
        annotation: Tensor | None = None,
    ) -> None:
        """Update the thresholds once for each reference prediction and split.

        Parameters
        ----------
        unlabelled, labelled
            Pairs of either split; of several with one index, the first is looked at.
        annotation
            As of `labelled`, of the labelled images: `IGNORE` where nothing is annotated. Pixels
            without annotation get no region there, and do not count here either; None counts all.
        """
        annotated = None if annotation is None else annotation != IGNORE
        splits: dict[Split, Sequence[PredictionPair]] = {
            "unlabelled": unlabelled,
            "labelled": labelled,
        }
        for split, pairs in splits.items():
            first = {p.index: p for p in reversed(pairs)}
            for index, pair in first.items():
                if pair.reference_probs.shape[0]:
                    probs = self.space.exclusive_probabilities(pair.reference_probs)
                    counted = annotated if split == "labelled" else None
                    self.thresholds.observe(*stated(probs, pair.target), index, split, counted)

    def unlabelled(self, pairs: Sequence[PredictionPair]) -> Tensor:
        """Return the loss of unlabelled images, a scalar, summed over pairs.

        Parameters
        ----------
        pairs
            At least one. The thresholds are used as they are: call `observe` first, so that they
            contain the batch.
        """
        losses = [self._unlabelled(p) for p in pairs]
        return torch.stack(losses).sum()

    def _unlabelled(self, pair: PredictionPair) -> Tensor:
        c, space = self.config, self.space
        reference = space.exclusive_probabilities(pair.reference_probs.detach())
        logits = space.exclusive_logits(pair.supervised_logits)
        target = stated(reference, pair.target)[1]
        thresholds = self.thresholds.get(pair.index)
        learner = logits.detach().argmax(1)
        regions = partition(reference, learner, thresholds, reference_classes=pair.target)
        weights = self.unlabelled_weights
        trust = None
        if pair.trust is not None:
            trust = pair.trust if pair.trust.ndim == target.ndim else space.spread(pair.trust)
        loss = heterogeneous_loss(
            logits,
            target,
            regions,
            weights,
            c.normalisation,
            trust=trust,
            unanimous=c.unanimous,
        )
        if c.dice == 0:
            return loss
        # Dice is scale free in its weights, so the common scale must not act through smoothing.
        tiny = torch.finfo(weights.dtype).tiny
        pixels = (weights / weights.max().clamp_min(tiny))[regions.long()]
        share: Tensor | float = 1.0
        if trust is not None:
            # For the same reason trust must weigh the Dice as a whole, too.
            share = weighted_mean(trust.expand_as(pixels), pixels)
            pixels = pixels * trust
        dice = share * space.dice(pair.supervised_logits, target, pixels, c.dice_of_absent)
        return (1 - c.dice) * loss + c.dice * dice * self.scale

    def labelled(
        self, pairs: Sequence[PredictionPair], annotation: Tensor, ignore: int = IGNORE
    ) -> Tensor:
        """Return the loss of labelled images against their annotation, a scalar, summed over pairs.

        Parameters
        ----------
        pairs
            At least one; their `trust` and `target` play no part. Thresholds are used as they are.
        annotation
            ``(B, ...)`` class ids; overlapping: ``(B, K, ...)`` of 0 and 1.
        ignore
            Value where nothing is annotated.
        """
        losses = []
        for pair in pairs:
            thresholds = self.thresholds.get(pair.index, "labelled")
            reference = self.space.exclusive_probabilities(pair.reference_probs.detach())
            logits = self.space.exclusive_logits(pair.supervised_logits)
            compared = annotation
            if self.config.labelled_agreement == "predictions":
                other = logits.detach().argmax(1) if pair.compared is None else pair.compared
                compared = torch.where(annotation == ignore, annotation, other.to(annotation))
            regions = partition(reference, compared, thresholds, ignore)
            losses.append(
                heterogeneous_loss(
                    logits,
                    annotation,
                    regions,
                    self.labelled_weights,
                    self.config.normalisation,
                    ignore,
                    unanimous=self.config.unanimous,
                    stated_classes=stated(reference)[1],
                )
            )
        return torch.stack(losses).sum()
