"""How the SemSim proposal is put together from the network and the matching.

The intra-image rectification helps where the features tell the classes apart and hurts where they
do not yet: over a small object every pixel's row of the affinity map holds far more background
than object. And a network trained for a minute and a matching that follows the image err in
different places. Which mixture is best is measured on references that were left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..methods.frameworks.base import Framework, PredictOutput


@dataclass(frozen=True)
class Recipe:
    """One way to make the proposal.

    Parameters
    ----------
    share : float
        Weight of the network against the matching, 0 to 1.
    temperature : float or None
        Temperature of the affinity that rectifies the network's prediction; None leaves it plain.
    """

    share: float = 0.5
    temperature: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    def mix(self, output: PredictOutput, matched: Tensor | None) -> Tensor:
        """Return the proposal's probabilities, float32.

        Parameters
        ----------
        output : PredictOutput
            Predicted with this recipe's temperature.
        matched : Tensor, same shape, or None
            The matching's probabilities.
        """
        network = (output.plain if self.temperature is None else output.rectified).float()
        if matched is None or self.share >= 1:
            return network
        return torch.lerp(matched.float(), network, self.share)


#: Without left-out references: on volumes with truth hardly ever worse than matching alone.
DEFAULT = Recipe(0.5, None)

#: Share of the network by the ratio of its error to the matching's: (largest ratio, share).
SHARES = ((0.7, 0.7), (1.5, 0.5), (float("inf"), 0.3))

TEMPERATURES = (0.05, 0.02)

#: Dice by which a rectified prediction must beat the plain one: the score of one slice says little.
ADVANTAGE = 0.02


def can_rectify(model: Framework) -> bool:
    """Whether a framework has features to rectify with."""
    return hasattr(model.config, "affinity_temperature")


def set_temperature(model: Framework, temperature: float | None) -> None:
    """Set the temperature that `predict` rectifies with."""
    if temperature is not None and can_rectify(model):
        model.config = replace(model.config, affinity_temperature=temperature)  # type: ignore[call-arg]


def choose(
    model: Framework,
    predict: Callable[[], PredictOutput],
    matched: Tensor | None,
    score: Callable[[Tensor], float],
    shrink: float,
) -> tuple[Recipe, float]:
    """Find the recipe for a model from slices whose truth it has not seen.

    A left-out slice lies farther from the references than the slices that are to be labelled.
    The matching's error falls with that distance and the network's hardly, so their errors on
    the left-out slice are not compared as they are: the matching's is scaled down first.

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
    shrink : float
        Factor, at most 1, from the matching's error on the left-out slices to that on the others.

    Returns
    -------
    Recipe, float
        The recipe, and its score on the left-out slices.
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
    if matched is None:
        return Recipe(1.0, temperature), network
    ratio = (1 - network) / max(shrink * (1 - score(matched.float())), 1e-6)
    share = next(share for largest, share in SHARES if ratio <= largest)
    recipe = Recipe(share, temperature)
    return recipe, score(recipe.mix(output, matched))
