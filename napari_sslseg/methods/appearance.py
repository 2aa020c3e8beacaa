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

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from .ink_completion import NOT_ANNOTATED
from .working_region import within_reach

_MAX_SAMPLES = 20_000
#: Pixels around the objects whose ink is learned from: what is far away is decided by place, and
#: would only draw the classifier from the hard cases.
_REACH = 8
#: Weight of the squared coefficients in the loss.
_RIDGE = 1e-3
#: Steps of L-BFGS.
_ITERATIONS = 40


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
        # Class by class in memory: a softmax over the last axis of so few takes several times as
        # long.
        logits = self.weights @ _design(features.transpose(0, 1).flatten(1), self.scale)
        logits = logits.log_softmax(0) - self.log_shares[:, None]
        return logits.reshape(-1, count, height, width).transpose(0, 1)


def fit_appearance(
    features: Iterable[torch.Tensor], ink: torch.Tensor, classes: int
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

    Returns
    -------
    Appearance or None
        None if the ink near the objects holds fewer than two classes.
    """
    near = within_reach((ink != 0) & (ink != NOT_ANNOTATED), _REACH)
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
    weights = _regression(_design(samples.T, scale), labels, classes)
    shares = (counts + 1) / (counts + 1).sum()
    return Appearance(scale.to(device), weights.to(device), shares.log().to(device))


def _regression(columns: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return the weights (classes, F) of a logistic regression on columns (F, N) of samples."""
    # Not the optimisers of torch: the first of them in a process imports its compiler, for seconds.
    from scipy import optimize

    one_hot = F.one_hot(labels, classes).T.to(columns.dtype)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = torch.from_numpy(flat).to(columns.dtype).view(classes, -1)
        logits = (weights @ columns).log_softmax(0)
        value = -(logits * one_hot).sum() / len(labels) + _RIDGE * weights.square().sum()
        gradient = (logits.exp_() - one_hot) @ columns.T / len(labels) + 2 * _RIDGE * weights
        return float(value), gradient.double().flatten().numpy()

    start = np.zeros(classes * len(columns))
    found = optimize.minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ITERATIONS, "maxcor": 10}
    )
    return torch.from_numpy(found.x).to(columns.dtype).view(classes, -1)


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


def _design(columns: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return what is learned from (2 D + 1, N), of columns (D, N) of descriptors."""
    dimensions, count = columns.shape
    result = columns.new_empty((2 * dimensions + 1, count))
    torch.div(columns, scale[:, None], out=result[:dimensions])
    torch.square(result[:dimensions], out=result[dimensions:-1])
    # A far outlier must not outweigh everything through its square.
    result[dimensions:-1].clamp_max_(9.0)
    result[-1] = 1.0
    return result
