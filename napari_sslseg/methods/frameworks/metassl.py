"""MetaSSL as one part that any framework with two predictions can hold.

A framework hands over `PredictionPair` objects; thresholds, regions and the heterogeneous loss do
not know where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..losses import IGNORE, masked_dice
from ..regions import (
    LABELLED_ORDER,
    UNLABELLED_ORDER,
    AdaptiveThresholds,
    Formula,
    Normalisation,
    Region,
    Split,
    heterogeneous_loss,
    partition,
    region_weights,
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
    """

    reference_probs: Tensor
    supervised_logits: Tensor
    index: int = 0


@dataclass(frozen=True)
class MetaSSLConfig:
    """Settings of the heterogeneous loss.

    Attributes
    ----------
    formula
        The Gaussian ``"phi"``: the only form that all sources of the method share; ``"ratio"``
        gives the hand-made steps of some released scripts.
    beta, unlabelled_step, labelled_step
        3, 0.6 and 0.3, the released values of the variant whose order agrees with the paper:
        weights 1, .81, .18, .003 and 1, .97, .81, .48. The annotation is trusted, so weights fall
        slowly on labelled pixels.
    unlabelled_order, labelled_order
        By the abstract UC > US > DC > DS on unlabelled pixels. On labelled ones DS > DC, as a
        confident contradiction of the annotation is a sign of an error in it.
    normalisation
        ``"weight_map"`` keeps the loss on the scale of a cross-entropy, whatever the shares of the
        regions. The released ``"region_mean"`` gives single pixels of a small region weights of
        tens and needs a ramp up to 0.1 with weights of 50.
    scale
        Weight of the first region; only matters for ``"region_mean"``.
    dice
        Share of a Dice loss with the same pixel weights in the unlabelled loss. 0 is the published
        cross-entropy alone; small structures gain from a share.
    rate, initial, cap, release_thresholds
        Of `AdaptiveThresholds`: 0.5 and 0.9 are released values; a class absent from a batch keeps
        its threshold unless the released behaviour, halving, is asked for.
    """

    formula: Formula = "phi"
    beta: float = 3.0
    unlabelled_step: float = 0.6
    labelled_step: float = 0.3
    unlabelled_order: tuple[Region, ...] = UNLABELLED_ORDER
    labelled_order: tuple[Region, ...] = LABELLED_ORDER
    normalisation: Normalisation = "weight_map"
    scale: float = 1.0
    dice: float = 0.0
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
    """

    unlabelled_weights: Tensor
    labelled_weights: Tensor

    def __init__(
        self, classes: int, predictions: int = 1, config: MetaSSLConfig | None = None
    ) -> None:
        super().__init__()
        self.config = c = config or MetaSSLConfig()
        self.thresholds = AdaptiveThresholds(
            classes, predictions, c.rate, c.initial, c.cap, c.release_thresholds
        )
        unlabelled = region_weights(
            c.formula, c.unlabelled_order, c.unlabelled_step, c.beta, scale=c.scale
        )
        # The released labelled weights under "ratio" are plain powers of the ratio.
        labelled = region_weights(
            c.formula, c.labelled_order, c.labelled_step, c.beta, 1.4, 1.0, scale=c.scale
        )
        self.register_buffer("unlabelled_weights", unlabelled, persistent=False)
        self.register_buffer("labelled_weights", labelled, persistent=False)

    def observe(
        self,
        unlabelled: Sequence[PredictionPair] = (),
        labelled: Sequence[PredictionPair] = (),
    ) -> None:
        """Update the thresholds once for each reference prediction and split."""
        splits: dict[Split, Sequence[PredictionPair]] = {
            "unlabelled": unlabelled,
            "labelled": labelled,
        }
        for split, pairs in splits.items():
            first = {p.index: p for p in reversed(pairs)}
            for index, pair in first.items():
                if pair.reference_probs.shape[0]:
                    self.thresholds.update(pair.reference_probs, index, split)

    def unlabelled(self, pairs: Sequence[PredictionPair]) -> Tensor:
        """Return the loss of unlabelled images, summed over pairs.

        The thresholds are used as they are: call `observe` first, so that they contain the batch.
        """
        losses = [self._unlabelled(p) for p in pairs]
        return torch.stack(losses).sum()

    def _unlabelled(self, pair: PredictionPair) -> Tensor:
        c = self.config
        reference = pair.reference_probs.detach()
        target = reference.argmax(1)
        learner = pair.supervised_logits.detach().argmax(1)
        regions = partition(reference, learner, self.thresholds.get(pair.index))
        weights = self.unlabelled_weights
        loss = heterogeneous_loss(pair.supervised_logits, target, regions, weights, c.normalisation)
        if c.dice == 0:
            return loss
        probs = pair.supervised_logits.float().softmax(1)
        # Dice is scale free in its weights, so the common scale must not act through smoothing.
        dice = masked_dice(probs, target, (weights / c.scale)[regions.long()])
        return (1 - c.dice) * loss + c.dice * dice * c.scale

    def labelled(
        self, pairs: Sequence[PredictionPair], annotation: Tensor, ignore: int = IGNORE
    ) -> Tensor:
        """Return the loss of labelled images against their annotation, summed over pairs."""
        losses = []
        for pair in pairs:
            thresholds = self.thresholds.get(pair.index, "labelled")
            regions = partition(pair.reference_probs.detach(), annotation, thresholds, ignore)
            losses.append(
                heterogeneous_loss(
                    pair.supervised_logits,
                    annotation,
                    regions,
                    self.labelled_weights,
                    self.config.normalisation,
                    ignore,
                )
            )
        return torch.stack(losses).sum()
