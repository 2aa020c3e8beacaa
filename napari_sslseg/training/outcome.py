"""What one round finds out and the next one goes on from; kept beside the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .recipe import DEFAULT, Recipe
from .tiles import Tiles

#: Dice by which a network that other volumes have taught must beat the matching to be believed
#: where the two are unlike.
BETTER = 0.1

#: Dice on this volume's references that a network must have which only other volumes have taught,
#: to be believed: half of what it says is right then.
TRUSTED = 0.5

#: Share of the usual area of the object that the tested slices must show to tell anything of such a
#: network: where an object begins and ends, little of it is right or wrong.
TELLING = 0.5

#: What propagated labels weigh where the network knows better than the matching.
UNLIKE_PRIOR = 0.1

#: Likeness below which a network that is no better than the matching has not learned yet: one that
#: has is like the matching, or knows better.
BEGUN = 0.7


@dataclass(frozen=True)
class Outcome:
    """What the stage with a left-out reference has told.

    Parameters
    ----------
    network, matching : float
        Dice on it.
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
        """Whether a network that others have taught knows what the matching cannot know."""
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
    def matching_everywhere(self) -> float:
        """Dice of the matching that is likely all over the volume.

        Two predictions that err independently are about as alike as the product of their Dice.
        """
        return min(1.0, self.likeness / max(self.network, 1e-6))

    @property
    def prior_weight(self) -> float:
        """What propagated labels still weigh beside references of other volumes.

        Where the network knows better they would unteach it; elsewhere they are what holds it to
        this volume.
        """
        better = self.knows_better and self.matching_everywhere < self.network - BETTER
        return UNLIKE_PRIOR if better else 1.0

    def without_others(self) -> Outcome:
        """Return what is known of a network that others no longer teach: nothing yet."""
        return Outcome(self.matching, self.matching, DEFAULT)

    @property
    def error_ratio(self) -> float:
        """Errors of the network's proposal, as a multiple of the matching's."""
        return (1 - self.network) / max(1 - self.matching, 1e-6)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the head of a model."""
        return asdict(self)

    @classmethod
    def of(cls, head: dict[str, object]) -> Outcome | None:
        """Return what the head of an earlier model tells; None if it had no such stage."""
        recipe = head.get("recipe")
        if not isinstance(recipe, dict):
            return None
        found = Recipe(recipe.get("temperature"))  # earlier versions kept a share as well
        likeness = float(str(head.get("likeness", 1.0)))
        network, matching = float(str(head["network"])), float(str(head["matching"]))
        if head.get("unaided", False):
            extent = float(str(head.get("extent", 1.0)))
            return UnaidedOutcome(network, matching, found, likeness, extent)
        return Outcome(network, matching, found, likeness)


@dataclass(frozen=True)
class UnaidedOutcome(Outcome):
    """What the labelled slices have told of a network that only other volumes had taught.

    There are one or two of them, too few to test the matching: it found nothing, as all were left
    out.

    Parameters
    ----------
    network, matching, recipe, likeness
        See `Outcome`.
    extent : float
        Area of the object in the tested slices, as a share of what it is in a slice of the other
        volumes; 1 at most.
    """

    extent: float = 1.0

    @property
    def telling(self) -> bool:
        """Whether the tested slices show enough of the object."""
        return self.extent >= TELLING

    @property
    def knows_better(self) -> bool:
        """Whether the network is believed: the matching has hardly anything to carry."""
        return self.network > TRUSTED or not self.telling

    @property
    def early(self) -> bool:
        """Whether it is not: there was nothing to compare it with, so it may still learn."""
        return not self.knows_better

    @property
    def matching_as_good(self) -> bool:
        """Whether the matching is likely to be as good as the network all over the volume."""
        return self.telling and self.matching_everywhere >= self.network

    @property
    def prior_weight(self) -> float:
        """What propagated labels weigh: from one or two references they tell too little."""
        return 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the head of a model."""
        return {**asdict(self), "unaided": True}


def to_test_anew(head: dict[str, object]) -> bool:
    """Whether what an earlier model was tested for should be tested anew.

    It had not learned enough, or it was tested on what it has learned from since.
    """
    outcome = Outcome.of(head)
    return outcome is not None and (outcome.early or isinstance(outcome, UnaidedOutcome))


def tiles_of(head: dict[str, object]) -> Tiles | None:
    """Return the size and reduction of the frames that an earlier model was trained on."""
    frame = head.get("frame")
    if not isinstance(frame, list) or len(frame) != 2:
        return None
    return Tiles((int(frame[0]), int(frame[1])), (), int(str(head.get("reduction", 1))))
