"""What a network is tested on before the run goes on with all ink: references left out, or all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from torch import Tensor

from ..methods.propagation import Propagation
from ..volume.annotation import NOT_ANNOTATED
from ..volume.classes import BACKGROUND
from .estimate import pooled_dice
from .outcome import TELLING, Outcome, TaughtOutcome, likely_matching
from .recipe import Recipe
from .stack import SliceStack
from .unaided import Unaided


class NetworkTest(Protocol):
    """Some labelled slices, to test a network on that has not seen their ink."""

    @property
    def slices(self) -> list[int]:
        """The tested slices."""

    @property
    def hidden(self) -> list[int]:
        """Slices whose ink the network has not seen: those, and maybe more."""

    @property
    def propagated(self) -> Propagation:
        """Labels that may teach until the test is over."""

    @property
    def matched(self) -> Tensor | None:
        """Probabilities (len(slices), classes, H, W) of the matching; None if it knows nothing."""

    @property
    def baseline(self) -> float | None:
        """Dice of the matching there; None if it knows nothing."""

    def score(self, probabilities: Tensor) -> float:
        """Return the Dice of probabilities (len(slices), classes, H, W)."""

    def unaided(self, probabilities: Tensor) -> Unaided | None:
        """Return all that is told of probabilities (len(slices), classes, H, W).

        None where the matching takes part in them.
        """

    def outcome(self, recipe: Recipe, dice: float, likeness: Callable[[], float]) -> Outcome:
        """Return what it has told.

        Parameters
        ----------
        recipe : Recipe
        dice : float
            As `recipe.choose` returned them at last.
        likeness : callable
            Returns the Dice between network and matching all over the volume.
        """


@dataclass(frozen=True)
class LeftOutReference:
    """References that were left out of the matching and of the training.

    Parameters
    ----------
    stack : SliceStack
    propagated : Propagation
        Made without these references.
    slices : list of int
    """

    stack: SliceStack
    propagated: Propagation
    slices: list[int]

    @property
    def hidden(self) -> list[int]:
        """Slices whose ink the network has not seen."""
        return self.slices

    @cached_property
    def matched(self) -> Tensor:
        """Probabilities (len(slices), classes, H, W) of the matching."""
        return self.propagated.probabilities[self.slices]

    @property
    def baseline(self) -> float:
        """Dice of the matching there."""
        return self.score(self.matched)

    def score(self, probabilities: Tensor) -> float:
        """Return the Dice of probabilities (len(slices), classes, H, W)."""
        return pooled_dice(self.stack, self.slices, probabilities)

    def unaided(self, probabilities: Tensor) -> None:
        """Nothing is told of the network by itself."""

    def outcome(self, recipe: Recipe, dice: float, likeness: Callable[[], float]) -> Outcome:
        """Return what it has told; see `NetworkTest`."""
        return Outcome(dice, self.baseline, recipe)


@dataclass(frozen=True)
class AllLabelled:
    """All labelled slices are hidden: only other volumes have taught, the matching knows nothing.

    Tested are those that show enough of the object. Where it begins and ends others tell least.

    Parameters
    ----------
    stack : SliceStack
    propagated : Propagation
        From all labelled slices; beside others none of it teaches until the test is over.
    usual_area : float
        Pixels of the object in a slice of the other volumes, at this volume's resolution.
    few : bool
        Whether no reference lies between others.
    """

    stack: SliceStack
    propagated: Propagation
    usual_area: float
    few: bool

    @property
    def hidden(self) -> list[int]:
        """Slices whose ink the network has not seen."""
        return self.stack.inked()

    @cached_property
    def slices(self) -> list[int]:
        """The tested slices: all, where none of them shows enough of the object."""
        hidden = self.hidden
        shares = self._shares(hidden)
        return [z for z, share in zip(hidden, shares, strict=True) if share >= TELLING] or hidden

    def _shares(self, slices: list[int]) -> list[float]:
        """Return the area of the object in some slices, as a share of the usual one."""
        ink = self.stack.ink[slices]
        areas = ((ink != BACKGROUND) & (ink != NOT_ANNOTATED)).flatten(1).sum(1)
        return (areas / max(self.usual_area, 1.0)).tolist()

    @property
    def matched(self) -> None:
        """The matching knows nothing without them."""

    @property
    def baseline(self) -> None:
        """Nor has it a Dice."""

    def unaided(self, probabilities: Tensor) -> Unaided:
        """Return all that those slices tell of probabilities (len(slices), classes, H, W)."""
        return Unaided.of(self.stack, self.slices, probabilities.max(1).indices)

    def score(self, probabilities: Tensor) -> float:
        """Return the Dice of probabilities (len(slices), classes, H, W)."""
        return self.unaided(probabilities).dice

    def outcome(self, recipe: Recipe, dice: float, likeness: Callable[[], float]) -> TaughtOutcome:
        """Return what it has told; see `NetworkTest`."""
        extent = min(1.0, max(self._shares(self.slices)))
        matching = likely_matching(dice, likeness())
        return TaughtOutcome(dice, matching, recipe, extent, self.few)
