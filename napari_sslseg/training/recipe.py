"""How the SemSim proposal is put together from the network and the matching.

The intra-image rectification helps where the features tell the classes apart and hurts where they
do not yet: over a small object every pixel's row of the affinity map holds far more background
than object. Whether it helps is measured on references that were left out.

A network that was trained for a minute and a matching that follows the image err in different
places. Beside a reference hardly anything is wrong with the matching; its errors grow with the way
that labels were carried, while the network's hardly depend on it. So the network's share grows with
the distance to what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..methods.frameworks.base import Framework, PredictOutput

#: Distance to the nearest known slice, in pixels of a slice, at which network and matching weigh
#: alike. From 3 to 6 it makes no difference on volumes with truth: what moves by more pixels from
#: one slice to the next is matched less surely.
ALIKE = 5.0

#: The same where a network that other volumes have taught agrees with what is carried from one or
#: two references: both are right then, and the matching knows this volume.
ALIKE_AGREED = 20.0

#: The same for a network that other volumes have taught as well: it knows more of what lies between
#: the references than the matching can.
ALIKE_TAUGHT = 2.0


@dataclass(frozen=True)
class Recipe:
    """One way to make the proposal.

    Parameters
    ----------
    temperature : float or None
        Temperature of the affinity that rectifies the network's prediction; None leaves it plain.
    heard : bool
        Whether the network takes part at all.
    alike : float
        Distance to the nearest known slice, pixels, at which network and matching weigh alike.
    """

    temperature: float | None = None
    heard: bool = True
    alike: float = ALIKE

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def mix(self, output: PredictOutput, matched: Tensor | None, away: Tensor) -> Tensor:
        """Return the proposal's probabilities, float32.

        Parameters
        ----------
        output : PredictOutput
            Predicted with this recipe's temperature, ``(Z, K, H, W)``.
        matched : Tensor, same shape, or None
            The matching's probabilities.
        away : Tensor, ``(Z,)``
            Distance of each slice to the nearest known one, in pixels; see `pixels_away`.
        """
        network = (output.plain if self.temperature is None else output.rectified).float()
        if matched is None:
            return network
        if not self.heard:
            return matched.float()
        share = (away / (away + self.alike)).to(network)
        return torch.lerp(matched.float(), network, share[:, None, None, None])


#: Where nothing could be tried.
DEFAULT = Recipe()

TEMPERATURES = (0.05, 0.02)

#: Dice by which a rectified prediction must beat the plain one: the score of one slice says little.
ADVANTAGE = 0.02

#: Distance where nothing is known at all, pixels.
_FAR = 1e6


def pixels_away(depth: int, known: Sequence[int], spacing: tuple[float, float, float]) -> Tensor:
    """Return the distance of each slice to the nearest known one, ``(depth,)`` float32.

    Parameters
    ----------
    depth : int
        Number of slices.
    known : sequence of int
        Slices that labels were carried from.
    spacing : tuple of float
        Distance of slices, of rows and of columns, in any unit.

    Returns
    -------
    Tensor
        In pixels: multiples of the mean distance of rows and columns.
    """
    if not known:
        return torch.full((depth,), _FAR)
    slices = np.abs(np.arange(depth)[:, None] - np.asarray(known)[None]).min(axis=1)
    pixel = float(np.sqrt(spacing[1] * spacing[2]))
    return torch.from_numpy((slices * spacing[0] / pixel).astype(np.float32))


def usual_distance(away: Tensor, known: Sequence[int]) -> float:
    """Return the mean of `pixels_away`, pixels, over the slices between the outermost known ones.

    Parameters
    ----------
    away : Tensor, (Z,)
        See `pixels_away`.
    known : sequence of int
        What it was made with. Where no other slice lies between them, all slices count.
    """
    between = away[min(known) : max(known) + 1] if known else away[:0]
    between = between[between > 0]
    return float(between.mean() if len(between) else away.mean())


def doubt(likeness: float, expected: float | None) -> float:
    """Return how much farther than usual from what is known the network is to be believed.

    Network and matching differ in what either has wrong. If that is more than the matching is
    expected to have wrong, it is the network's errors.

    Parameters
    ----------
    likeness : float
        Dice between the network and the matching that taught it.
    expected : float or None
        Dice that is expected of the matching; None if nothing is known.

    Returns
    -------
    float
        Factor of `Recipe.alike`: the square of that ratio, as opinions weigh by their variances; 1
        at least.
    """
    if expected is None:
        return 1.0
    return max(1.0, (1 - likeness) / max(1 - expected, 1e-3)) ** 2


def can_rectify(model: Framework) -> bool:
    """Whether a framework has features to rectify with, and a temperature that can be set."""
    return hasattr(model.config, "affinity_temperature")


def set_temperature(model: Framework, temperature: float | None) -> None:
    """Set the temperature that `predict` rectifies with; None, or a model without one, is left."""
    if temperature is not None and can_rectify(model):
        model.config = replace(model.config, affinity_temperature=temperature)  # type: ignore[call-arg]


def choose(
    model: Framework,
    predict: Callable[[], PredictOutput],
    matched: Tensor | None,
    score: Callable[[Tensor], float],
    away: Tensor,
    alike: float = ALIKE,
) -> tuple[Recipe, float, Tensor]:
    """Find the recipe for a model from slices whose truth it has not seen.

    Parameters
    ----------
    model : Framework
        Its temperature is changed in passing.
    predict : callable
        Predicts those slices with the model as it stands.
    matched : Tensor or None
        The matching's probabilities there, made without those references too.
    score : callable
        Dice of probabilities.
    away : Tensor
        Distance, in pixels, for which they are mixed: that of the slices to be labelled. The
        left-out ones lie farther from the references.
    alike : float
        See `Recipe`.

    Returns
    -------
    Recipe, float, Tensor
        The recipe, its score on the left-out slices, and the probabilities that it makes there.
    """
    temperature: float | None = None
    output = predict()
    network = score(output.plain.float())
    for candidate in TEMPERATURES if can_rectify(model) else ():
        set_temperature(model, candidate)
        rectified = predict()
        found = score(rectified.rectified.float())
        if found > network + ADVANTAGE:
            temperature, output, network = candidate, rectified, found
    recipe = Recipe(temperature, alike=alike)
    proposed = recipe.mix(output, matched, away)
    return recipe, score(proposed), proposed
