"""What a network is tested on before the run goes on with all ink: references left out, or all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from .estimate import pooled_dice
from .outcome import Outcome, UnaidedOutcome
from .recipe import Recipe
from .stack import SliceStack
from .unaided import Unaided


class NetworkTest(Protocol):
    """Slices whose ink the network has not seen."""

    @property
    def slices(self) -> list[int]:
        """The tested slices."""

    @property
    def matched(self) -> Tensor | None:
        """Probabilities (len(slices), classes, H, W) of the matching; None if it knows nothing."""

    @property
    def baseline(self) -> float | None:
        """Dice of the matching there; None if it knows nothing."""

    def score(self, probabilities: Tensor) -> float:
        """Return the Dice of probabilities (len(slices), classes, H, W)."""

    def outcome(self, recipe: Recipe, dice: float, proposed: Tensor, likeness: float) -> Outcome:
        """Return what it has told, from what `recipe.choose` returned at last.

        Parameters
        ----------
        recipe : Recipe
        dice : float
        proposed : Tensor
        likeness : float
            See `Outcome`.
        """


@dataclass(frozen=True)
class LeftOutReference:
    """References that were left out of the matching and of the training.

    Parameters
    ----------
    stack : SliceStack
    slices : list of int
    matched : Tensor
        See `NetworkTest`; made without these references too.
    """

    stack: SliceStack
    slices: list[int]
    matched: Tensor

    @property
    def baseline(self) -> float:
        """Dice of the matching there."""
        return self.score(self.matched)

    def score(self, probabilities: Tensor) -> float:
        """Return the Dice of probabilities (len(slices), classes, H, W)."""
        return pooled_dice(self.stack, self.slices, probabilities)

    def outcome(self, recipe: Recipe, dice: float, proposed: Tensor, likeness: float) -> Outcome:
        """Return what it has told; see `NetworkTest`."""
        return Outcome(dice, self.baseline, recipe, likeness)


@dataclass(frozen=True)
class AllLabelled:
    """All labelled slices, too few to test the matching on: only other volumes have taught.

    Parameters
    ----------
    stack : SliceStack
    slices : list of int
    usual_area : float
        Pixels of the object in a slice of the other volumes, at this volume's resolution.
    """

    stack: SliceStack
    slices: list[int]
    usual_area: float

    @property
    def matched(self) -> None:
        """The matching knows nothing without them."""

    @property
    def baseline(self) -> None:
        """Nor has it a Dice."""

    def found(self, probabilities: Tensor) -> Unaided:
        """Return all that those slices tell of probabilities (len(slices), classes, H, W)."""
        return Unaided.of(self.stack, self.slices, probabilities.max(1).indices)

    def score(self, probabilities: Tensor) -> float:
        """Return the Dice of probabilities (len(slices), classes, H, W)."""
        return self.found(probabilities).dice

    def outcome(
        self, recipe: Recipe, dice: float, proposed: Tensor, likeness: float
    ) -> UnaidedOutcome:
        """Return what it has told; see `NetworkTest`."""
        extent = min(1.0, self.found(proposed).area / max(self.usual_area, 1.0))
        return UnaidedOutcome(dice, 0.0, recipe, likeness, extent)
