"""What one round finds out and the next one goes on from; kept beside the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .recipe import Recipe
from .tiles import Tiles

#: Dice by which a network that other volumes have taught must beat the matching on a left-out
#: reference to be believed where it is unlike the matching.
BETTER = 0.1

#: Likeness of network and matching below which one of them is wrong in much of the volume, and
#: what propagated labels weigh if that is the matching.
UNLIKE, UNLIKE_PRIOR = 0.8, 0.25

#: Likeness below which a network that is no better than the matching has not learned yet: one that
#: has is like the matching, or knows better.
BEGUN = 0.7


@dataclass(frozen=True)
class Outcome:
    """What the stage with a left-out reference has told.

    Parameters
    ----------
    network, matching : float
        Dice on them.
    recipe : Recipe
        How the network's proposal was made best.
    likeness : float
        Dice between the network's own prediction and the matching, all over the volume.
    """

    network: float
    matching: float
    recipe: Recipe
    likeness: float = 1.0

    @property
    def gain(self) -> float:
        """Dice by which the network's proposal was better than the matching."""
        return self.network - self.matching

    @property
    def knows_better(self) -> bool:
        """Whether a network that others have taught knows what the matching cannot know.

        On a reference that neither of them knew it was clearly better.
        """
        return self.gain > BETTER

    @property
    def early(self) -> bool:
        """Whether the network had not learned enough, so that the test says nothing of it."""
        return self.likeness < BEGUN and not self.knows_better

    @property
    def dismisses_others(self) -> bool:
        """Whether other volumes had their chance and did not help."""
        return not self.knows_better and not self.early

    @property
    def prior_weight(self) -> float:
        """What propagated labels still weigh beside references of other volumes.

        Where the network knows better, and says something else, they would unteach it; elsewhere
        they are what holds it to this volume.
        """
        return UNLIKE_PRIOR if self.knows_better and self.likeness < UNLIKE else 1.0

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
            "likeness": self.likeness,
        }

    @classmethod
    def of(cls, head: dict[str, object]) -> Outcome | None:
        """Return what the head of an earlier model tells; None if it had no such stage."""
        recipe = head.get("recipe")
        if not isinstance(recipe, dict):
            return None
        found = Recipe(recipe.get("temperature"))  # earlier versions kept a share as well
        likeness = float(str(head.get("likeness", 1.0)))
        return cls(float(str(head["network"])), float(str(head["matching"])), found, likeness)


def was_early(head: dict[str, object]) -> bool:
    """Whether an earlier model was tested before it had learned, and should be tested anew."""
    outcome = Outcome.of(head)
    return outcome is not None and outcome.early


def tiles_of(head: dict[str, object]) -> Tiles | None:
    """Return the size and reduction of the frames that an earlier model was trained on."""
    frame = head.get("frame")
    if not isinstance(frame, list) or len(frame) != 2:
        return None
    return Tiles((int(frame[0]), int(frame[1])), (), int(str(head.get("reduction", 1))))
