"""What the channels of a prediction mean: one class a pixel, or any set of classes.

Classes that exclude each other compete in a softmax. Structures that overlap, such as heart and
lung on a chest film, each get a sigmoid, that is, a yes-or-no question of their own. Asking K such
questions at every pixel is an exclusive choice between two answers on maps with one axis more: the
logit z becomes the logits (0, z), whose softmax is the sigmoid of z, and the annotation
``(B, K, ...)`` of 0, 1 and 255 is a class map with K as its first axis of place. So every loss,
threshold and region that works on exclusive classes of any shape works on overlapping ones too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .losses import (
    IGNORE,
    cross_entropy,
    flattened_dice,
    masked_dice,
    overlapping_dice,
    soft_cross_entropy,
    soft_masked_dice,
    soft_overlapping_dice,
    supervised_loss,
)


@dataclass(frozen=True)
class LabelSpace:
    """How to read logits and annotations.

    Attributes
    ----------
    classes
        Number of logits: classes with the background where they exclude each other, structures
        without a background where they overlap.
    overlapping
        Whether a pixel may belong to several classes, or to none.
    """

    classes: int
    overlapping: bool = False

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities ``(B, K, ...)``, float32, of logits of any precision."""
        logits = logits.float()
        return logits.sigmoid() if self.overlapping else logits.softmax(1)

    def logits(self, probs: Tensor) -> Tensor:
        """Return logits of probabilities ``(B, K, ...)``, which are raised to 1e-12 at least.

        Where classes overlap, they are kept from 0 and from 1 by 1e-6.
        """
        if self.overlapping:
            return torch.logit(probs, eps=1e-6)
        return probs.clamp_min(1e-12).log()

    def exclusive_logits(self, logits: Tensor) -> Tensor:
        """Return logits ``(B, A, ...)`` of A exclusive answers, of logits ``(B, K, ...)``.

        Exclusive classes are these answers; overlapping ones give ``(B, 2, K, ...)``: no, and yes.
        """
        if not self.overlapping:
            return logits
        return torch.stack([torch.zeros_like(logits), logits], 1)

    def exclusive_probabilities(self, probs: Tensor) -> Tensor:
        """Return probabilities ``(B, A, ...)`` of exclusive answers; see `exclusive_logits`."""
        return torch.stack([1 - probs, probs], 1) if self.overlapping else probs

    def decide(self, probs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the probability of the likeliest answer, and that answer.

        Parameters
        ----------
        probs
            ``(B, K, ...)``.

        Returns
        -------
        confidence : Tensor
            ``(B, ...)``; overlapping: ``(B, K, ...)``, at least one half.
        answer : Tensor
            int64, of the same shape: the class id; overlapping: 0 or 1.
        """
        confidence, answer = self.exclusive_probabilities(probs).max(1)
        return confidence, answer

    def spread(self, weight: Tensor) -> Tensor:
        """Return a pixel map ``(B, ...)`` shaped to fit those of `decide`.

        Where classes overlap, ``(B, 1, ...)``.
        """
        return weight.unsqueeze(1) if self.overlapping else weight

    # -- losses ---------------------------------------------------------------------------

    def supervised_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return half cross-entropy, half Dice (SemSim Eq. 2); overlapping: a Dice for each class.

        Parameters
        ----------
        logits, target
            As in `dice`.
        """
        if not self.overlapping:
            return supervised_loss(logits, target)
        dice = overlapping_dice(self.probabilities(logits), target)
        return 0.5 * (self.cross_entropy(logits, target) + dice)

    def whole_supervised_loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the released supervised loss of RPG: cross-entropy and Dice in full, a scalar.

        The Dice is over foreground classes; where classes overlap, over all at once.

        Parameters
        ----------
        logits, target
            As in `dice`.
        """
        probs = self.probabilities(logits)
        if self.overlapping:
            dice = flattened_dice(probs, target)
        else:
            dice = masked_dice(probs, target, background=False)
        return self.cross_entropy(logits, target) + dice

    def cross_entropy(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return the mean cross-entropy (binary, where classes overlap) of annotated pixels.

        Parameters
        ----------
        logits, target, weight
            As in `dice`; what the mean is divided by is the sum of weights.
        """
        return cross_entropy(self.exclusive_logits(logits), target, weight)

    def dice(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None, absent: bool = True
    ) -> Tensor:
        """Return the soft Dice loss of logits.

        Parameters
        ----------
        logits
            ``(B, K, ...)``.
        target
            ``(B, ...)`` class ids; overlapping: ``(B, K, ...)`` of 0 and 1; 255: not annotated.
        weight
            Mask or non-negative weights, shaped like `target`; None counts everything once.
        absent
            As in `losses.masked_dice`.
        """
        loss = overlapping_dice if self.overlapping else masked_dice
        return loss(self.probabilities(logits), target, weight, absent=absent)

    def soft_dice(
        self, logits: Tensor, target: Tensor, weight: Tensor, absent: bool = True
    ) -> Tensor:
        """Return the Dice loss to probabilities.

        Parameters
        ----------
        logits, target
            ``(B, K, ...)``; `target` are the probabilities.
        weight
            ``(B, ...)``; overlapping: ``(B, K, ...)``.
        absent
            As in `losses.masked_dice`.
        """
        loss = soft_overlapping_dice if self.overlapping else soft_masked_dice
        return loss(self.probabilities(logits), target, weight, absent)

    def soft_cross_entropy(
        self, logits: Tensor, target: Tensor, weight: Tensor, counted: Tensor | None = None
    ) -> Tensor:
        """Return the cross-entropy to probabilities; see `losses.soft_cross_entropy`.

        Parameters
        ----------
        logits, target
            ``(B, K, ...)``; `target` are the probabilities.
        weight
            ``(B, ...)`` trust in each pixel, in [0, 1].
        counted
            Bool, shaped like an annotation: what the mean is over; None counts all.
        """
        if not self.overlapping:
            return soft_cross_entropy(logits, target, weight, counted)
        weight = weight.unsqueeze(1).expand_as(target)
        exclusive = self.exclusive_probabilities(target)
        return soft_cross_entropy(self.exclusive_logits(logits), exclusive, weight, counted)

    def consistency(self, logits: Tensor, other: Tensor) -> Tensor:
        """Return the symmetric Kullback-Leibler divergence of two predictions, a scalar.

        Half the sum of both directions, mean over pixels; overlapping: over pixels and classes.

        Parameters
        ----------
        logits, other
            ``(B, K, ...)``; the gradient reaches both.
        """
        p = F.log_softmax(self.exclusive_logits(logits).float(), 1)
        q = F.log_softmax(self.exclusive_logits(other).float(), 1)
        return 0.5 * ((p.exp() - q.exp()) * (p - q)).sum(1).mean()

    def blank(self, target: Tensor) -> Tensor:
        """Return where nothing is annotated: bool, shaped like `target`."""
        return target == IGNORE
