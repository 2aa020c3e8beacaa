"""What the classes look like in this volume: a classifier of descriptors, learned from the ink.

Matching says where a label comes from, the appearance says whether the pixel looks like it. It
is a multinomial logistic regression on the descriptors and their squares, fitted to the inked
pixels on and around the objects. Its odds relative to the class shares of those pixels are
evidence that can be added to any prior (the ratio of Bayes' rule).

How far the looks alone tell a class is seen on inked slices that the classifier has not learned
from (`told_by_looks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F

from .ink_completion import NOT_ANNOTATED
from .working_region import within_reach

_MAX_SAMPLES = 20_000


@dataclass
class Appearance:
    """A fitted classifier; see `fit_appearance`.

    Parameters
    ----------
    scale : (D,) tensor
        Standard deviations of the descriptors.
    weights : (classes, 2 D + 1) tensor
        Of the scaled descriptors, their squares (at most 9), and 1.
    log_shares : (classes,) tensor
        Logarithms of the classes' shares of the pixels that were learned from.
    """

    scale: torch.Tensor
    weights: torch.Tensor
    log_shares: torch.Tensor

    def evidence(self, features: torch.Tensor) -> torch.Tensor:
        """Return what the appearance of each pixel says about its class.

        Parameters
        ----------
        features : (B, D, H, W) float32 tensor
            Descriptors of the kind that was learned from.

        Returns
        -------
        (B, classes, H, W) float32 tensor
            Log likelihood ratios, up to a constant a pixel. The value of a class that was never
            inked means nothing.
        """
        count, _, height, width = features.shape
        rows = _design(features.transpose(0, 1).flatten(1).T, self.scale)
        logits = (rows @ self.weights.T).log_softmax(1) - self.log_shares
        return logits.T.reshape(-1, count, height, width).transpose(0, 1)


def fit_appearance(
    features: Iterable[torch.Tensor],
    ink: torch.Tensor,
    classes: int,
    reach: int = 8,
    ridge: float = 1e-3,
    iterations: int = 40,
) -> Appearance | None:
    """Learn the appearance of the classes from inked slices.

    Parameters
    ----------
    features : N (D, H, W) float tensors
        Descriptors of the inked slices.
    ink : (N, H, W) uint8 tensor
        255 where not annotated.
    classes : int
        Number of classes with background.
    reach : int
        Pixels around the objects whose ink is learned from: what is far away is decided by
        place, and would only draw the classifier from the hard cases.
    ridge : float
        Weight of the squared coefficients in the loss.
    iterations : int
        Steps of L-BFGS.

    Returns
    -------
    Appearance or None
        None if the ink near the objects holds fewer than two classes.
    """
    near = within_reach((ink != 0) & (ink != NOT_ANNOTATED), reach)
    chosen = near & (ink != NOT_ANNOTATED)
    samples = torch.cat([f.permute(1, 2, 0)[c] for f, c in zip(features, chosen, strict=True)])
    labels = ink[chosen].long()
    counts = torch.bincount(labels, minlength=classes).float()
    if int((counts > 0).sum()) < 2:
        return None
    step = max(1, -(-len(labels) // _MAX_SAMPLES))
    device = samples.device
    # A small problem in hundreds of short steps: on a GPU starting them would take longer.
    samples, labels, counts = samples[::step].cpu(), labels[::step].cpu(), counts.cpu()
    scale = samples.std(0).clamp_min(1e-6)
    rows = _design(samples, scale)
    weights = torch.zeros((classes, rows.shape[1]), device=rows.device, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights], max_iter=iterations, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy(rows @ weights.T, labels) + ridge * weights.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(loss)
    shares = (counts + 1) / (counts + 1).sum()
    return Appearance(scale.to(device), weights.detach().to(device), shares.log().to(device))


class Described(Protocol):
    """Descriptors (D, H, W) of each slice; a tensor (Z, D, H, W) is one."""

    def __getitem__(self, index: int, /) -> torch.Tensor:
        """Return those of a slice."""


def told_by_looks(
    features: Described, slices: Sequence[int], ink: torch.Tensor, classes: int
) -> torch.Tensor:
    """Dice of each class by its looks alone, on slices whose ink was not learned from.

    Every other slice teaches a classifier that the rest are tested on, and the other way round. The
    whole slices count: what looks like the class far away from it speaks against the looks.

    Parameters
    ----------
    features : descriptors of the slices
    slices : sequence of int
        The inked slices, rising.
    ink : (Z, H, W) uint8 tensor
        255 where not annotated; nothing is said there.
    classes : int
        Number of classes with background.

    Returns
    -------
    (classes,) float tensor
        0 for background, for absent classes, and for all where there are too few slices.
    """
    common = torch.zeros(classes, device=ink.device)
    total = torch.zeros_like(common)
    for taught, tested in ((slices[::2], slices[1::2]), (slices[1::2], slices[::2])):
        if not taught:
            return torch.zeros_like(common)
        # One slice after the other: large ones are described when they are asked for.
        appearance = fit_appearance((features[z] for z in taught), ink[list(taught)], classes)
        if appearance is None:
            return torch.zeros_like(common)
        for z in tested:
            named = ink[z] != NOT_ANNOTATED
            found = appearance.evidence(features[z][None])[0].argmax(0)[named]
            true = ink[z][named].long()
            common += torch.bincount(found[found == true], minlength=classes)
            total += torch.bincount(found, minlength=classes)
            total += torch.bincount(true, minlength=classes)
    dice = 2 * common / total.clamp_min(1)
    dice[0] = 0.0
    return dice


def _design(samples: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    scaled = samples / scale
    # A far outlier must not outweigh everything through its square.
    return torch.cat((scaled, scaled.square().clamp_max(9.0), torch.ones_like(scaled[:, :1])), 1)
