"""How the SemSim proposal is put together from the network and the matching.

The intra-image rectification helps where the features tell the classes apart and hurts where they
do not yet: over a small object every pixel's row of the affinity map holds far more background
than object. And a network trained for a minute and a matching that follows the image err in
different places. Which mixture is best is measured on references that were left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    share: float = 0.3
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
DEFAULT = Recipe(0.3, None)

#: In the order of preference: the matching leads, unless the network shows that it is better.
SHARES = (0.3, 0.5, 0.7)
TEMPERATURES = (0.05, 0.02)

#: Dice by which a recipe must beat a plainer one.
ADVANTAGE = 0.005


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
) -> tuple[Recipe, float]:
    """Find the recipe that scores best on slices whose truth the model has not seen.

    Parameters
    ----------
    model : Framework
        Its temperature is changed in passing.
    predict : callable
        Predicts those slices with the model as it stands.
    matched : Tensor or None
        The matching's probabilities there, made without those references too.
    score : callable
        Quality of probabilities, higher is better.

    Returns
    -------
    Recipe, float
        The best one and its score; one listed later must be clearly better, for the score of a
        single slice says little.
    """
    temperatures: Sequence[float | None] = (None, *TEMPERATURES) if can_rectify(model) else (None,)
    shares = SHARES if matched is not None else (1.0,)
    best = Recipe(shares[0], None)
    highest = -1.0
    for temperature in temperatures:
        set_temperature(model, temperature)
        output = predict()
        for share in shares:
            recipe = Recipe(share, temperature)
            found = score(recipe.mix(output, matched))
            if found > highest + (ADVANTAGE if highest >= 0 else 0.0):
                best, highest = recipe, found
    return best, highest
