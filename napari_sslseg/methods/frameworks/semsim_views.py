"""What SemSim predicts in one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..augment_cutmix import CutMix


@dataclass
class Views:
    """All predictions of one step, for Bl labelled and Bu unlabelled images.

    Logits are ``(B, K, H, W)``, decoder maps ``(B, D, H, W)``, and fused maps ``(B, width, h, w)``,
    on the grid of the affinities.

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


class Asked(NamedTuple):
    """What prototypes say.

    Attributes
    ----------
    log_probs
        ``(B, K, h, w)``; overlapping: ``(B, 2, K, h, w)``.
    certainty
        ``(B, h, w)``; overlapping: ``(B, K, h, w)``.
    """

    log_probs: Tensor
    certainty: Tensor

    @classmethod
    def joined(cls, answers: Sequence[Asked]) -> Asked:
        """Return the answers ``(B, 2, h, w)`` for each of the overlapping classes as one."""
        log_probs = torch.stack([each.log_probs for each in answers], 2)
        return cls(log_probs, torch.stack([each.certainty for each in answers], 1))
