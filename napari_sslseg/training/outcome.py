"""What one round finds out and the next one goes on from; kept beside the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .recipe import Recipe
from .tiles import Tiles


@dataclass(frozen=True)
class Outcome:
    """What the stage with a left-out reference has told.

    Parameters
    ----------
    network, matching : float
        Dice on them.
    recipe : Recipe
        How the network's proposal was made best.
    """

    network: float
    matching: float
    recipe: Recipe

    @property
    def error_ratio(self) -> float:
        """Errors of the network's proposal, as a multiple of the matching's."""
        return (1 - self.network) / max(1 - self.matching, 1e-6)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the head of a model."""
        return {
            "network": self.network,
            "matching": self.matching,
            "recipe": self.recipe.to_json(),
        }

    @classmethod
    def of(cls, head: dict[str, object]) -> Outcome | None:
        """Return what the head of an earlier model tells; None if it had no such stage."""
        recipe = head.get("recipe")
        if not isinstance(recipe, dict):
            return None
        found = Recipe(recipe.get("temperature"))  # earlier versions kept a share as well
        return cls(float(str(head["network"])), float(str(head["matching"])), found)


def tiles_of(head: dict[str, object]) -> Tiles | None:
    """Return the size and reduction of the frames that an earlier model was trained on."""
    frame = head.get("frame")
    if not isinstance(frame, list) or len(frame) != 2:
        return None
    return Tiles((int(frame[0]), int(frame[1])), (), int(str(head.get("reduction", 1))))
