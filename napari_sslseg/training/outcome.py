"""What one round finds out and the next one goes on from; kept beside the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .plan import FIRST_STEPS
from .recipe import DEFAULT, Recipe
from .tiles import Tiles

#: Dice by which network and matching must differ to say that one knows better.
BETTER = 0.1

#: Dice on this volume's references that a network must have which only other volumes have taught,
#: to be believed: half of what it says is right then.
TRUSTED = 0.5

#: Share of the usual area of the object that the tested slices must show to tell anything of such a
#: network: where an object begins and ends, little of it is right or wrong.
TELLING = 0.5

#: Likeness of network and matching below which a network that is no better has not learned yet: one
#: that has is like the matching, or knows better.
BEGUN = 0.7

#: Steps in all below which a network is not gone on from: it has learned hardly anything, nor could
#: a test tell anything of it. A minute on a slow processor holds more than twice as many, so that
#: what is thrown away is some seconds' work, and runs of a minute always add up.
FEWEST_STEPS = FIRST_STEPS // 3


@dataclass(frozen=True)
class Outcome:
    """What a stage with a left-out reference has told.

    Parameters
    ----------
    network, matching : float
        Dice of the network's proposal and of the matching.
    recipe : Recipe
        How the network's proposal was made best.
    """

    network: float
    matching: float
    recipe: Recipe

    @property
    def gain(self) -> float:
        """Dice by which the network's proposal was better than the matching."""
        return self.network - self.matching

    @property
    def error_ratio(self) -> float:
        """Errors of the network's proposal, as a multiple of the matching's."""
        return (1 - self.network) / max(1 - self.matching, 1e-6)

    @property
    def dismisses_others(self) -> bool:
        """Whether the matching has no need of other volumes: once dismissed, they stay away."""
        return True

    def without_others(self) -> Outcome:
        """Return what is known of a network that others do not teach."""
        return self

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values for the head of a model."""
        return asdict(self)

    @staticmethod
    def of(head: dict[str, object]) -> Outcome | None:
        """Return what the head of an earlier model tells; None if it had no such stage."""
        recipe = head.get("recipe")
        if not isinstance(recipe, dict):
            return None
        found = Recipe(recipe.get("temperature"))
        network, matching = float(str(head["network"])), float(str(head["matching"]))
        if "extent" not in head:
            return Outcome(network, matching, found)
        extent = float(str(head["extent"]))
        return TaughtOutcome(network, matching, found, extent, bool(head.get("few", True)))


@dataclass(frozen=True)
class TaughtOutcome(Outcome):
    """What the labelled slices have told of a network that only other volumes had taught.

    The matching, which starts from those slices, is not tested on them.

    Parameters
    ----------
    network : float
        Dice on the labelled slices.
    matching : float
        Dice that the matching is likely to have all over the volume, see `likely_matching`.
    recipe : Recipe
        See `Outcome`.
    extent : float
        Area of the object in the tested slices, as a share of what it is in a slice of the other
        volumes; 1 at most.
    few : bool
        Whether no reference lies between others.
    """

    extent: float = 1.0
    few: bool = False

    @property
    def telling(self) -> bool:
        """Whether the tested slices show enough of the object."""
        return self.extent >= TELLING

    @property
    def believed(self) -> bool:
        """Whether nothing speaks against what others have taught."""
        return self.network > TRUSTED or not self.telling

    @property
    def knows_better(self) -> bool:
        """Whether the network knows what the matching cannot know.

        From one or two references the matching has hardly anything to carry.
        """
        return self.believed and (self.few or self.network > self.matching + BETTER)

    @property
    def heard(self) -> bool:
        """Whether the network is likely to be better than the matching, however unlike it is."""
        return self.knows_better or (self.believed and self.network > self.matching)

    @property
    def early(self) -> bool:
        """Whether the network had not learned enough for the test to say anything of it."""
        return not self.believed or (not self.heard and self.network * self.matching < BEGUN)

    @property
    def dismisses_others(self) -> bool:
        """Whether the matching has no need of other volumes."""
        return not self.early and not self.few and self.matching > self.network + BETTER

    @property
    def matching_as_good(self) -> bool:
        """Whether the matching is likely to be as good as the network all over the volume."""
        return self.telling and self.matching >= self.network

    @property
    def gain(self) -> float:
        """Nothing is known of the network's proposal, in which the matching takes part."""
        return 0.0

    @property
    def error_ratio(self) -> float:
        """Errors of the network's proposal, as a multiple of the matching's.

        Where the network knows less, the matching teaches it and takes part in the proposal.
        """
        return min(1.0, super().error_ratio)

    @property
    def own_share(self) -> float:
        """Share of the unlabelled frames that are the volume's own, with propagated labels.

        Where the network knows better those would unteach it; elsewhere they are what holds it to
        this volume.
        """
        return 0.0 if self.few or self.knows_better else 1.0

    def without_others(self) -> Outcome:
        """Return what is known of a network that others do not teach: nothing yet."""
        return Outcome(self.matching, self.matching, DEFAULT)


def likely_matching(network: float, likeness: float) -> float:
    """Return the Dice of the matching that is likely all over the volume.

    Two predictions that err independently are about as alike as the product of their Dice.

    Parameters
    ----------
    network : float
        Dice of the network.
    likeness : float
        Dice between network and matching.
    """
    return min(1.0, likeness / max(network, 1e-6))


def to_test_anew(head: dict[str, object]) -> bool:
    """Whether a network that others teach should begin anew, so that it can be tested again.

    It had not learned enough, which more training may change, or few references told too little.
    """
    outcome = Outcome.of(head)
    return isinstance(outcome, TaughtOutcome) and (outcome.few or outcome.early)


def steps_of(head: dict[str, Any]) -> int:
    """Return the steps that a model has learned for in all; none where nothing tells them."""
    return int(head.get("steps", 0))


def has_learned(head: dict[str, Any]) -> bool:
    """Whether the head is of a model that has learned long enough to be gone on from."""
    return steps_of(head) >= FEWEST_STEPS


def tiles_of(head: dict[str, object]) -> Tiles | None:
    """Return the size and reduction of the frames that an earlier model was trained on."""
    frame = head.get("frame")
    if not isinstance(frame, list) or len(frame) != 2:
        return None
    return Tiles((int(frame[0]), int(frame[1])), (), int(str(head.get("reduction", 1))))
