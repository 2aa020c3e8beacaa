"""The interface of all strategies, and how a batch is picked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .content import Content
from .evidence import Evidence
from .reasons import reason_for
from .suggestion import Suggestion

Reals = npt.NDArray[np.float64]


class Strategy(ABC):
    """A way to choose slices.

    Before there is a model, `first` chooses from the image alone. Afterwards `rank` chooses from
    what a round has shown; it is cheap enough to be asked after every stroke.
    """

    name: ClassVar[str]

    blind: ClassVar[bool] = False
    """Whether slices are chosen without a look at the proposal."""

    def first(self, content: Content, wanted: int) -> list[int]:
        """Choose slices to label before any model exists.

        Parameters
        ----------
        content : Content
            Slices of the image.
        wanted : int
            Number of slices; fewer come back when there are not so many.

        Returns
        -------
        list of int
            The most useful first.
        """
        return from_the_middle(evenly(*content.shown(), wanted))

    def rank(self, evidence: Evidence, wanted: int = 1) -> list[Suggestion]:
        """Choose the slices whose correction helps most.

        What a pick is expected to mend is gone for the next one, so that a batch does not crowd
        around one place.

        Parameters
        ----------
        evidence : Evidence
        wanted : int
            Number of slices; fewer come back when fewer are open.

        Returns
        -------
        list of Suggestion
            Best first; empty when every slice of the object is known.
        """
        found: list[Suggestion] = []
        ahead = evidence
        while len(found) < wanted:
            open_slices = self.candidates(ahead)
            if not open_slices.size:
                break
            scores = self.scores(ahead)
            best = pick(scores, open_slices, evidence.current)
            reason = reason_for(evidence, best)
            found.append(Suggestion(best, float(scores[best]), reason, evidence.volume))
            if len(found) < wanted:
                ahead = ahead.after(best)
        return found

    def candidates(self, evidence: Evidence) -> npt.NDArray[np.intp]:
        """Slices to choose from."""
        return evidence.open_slices()

    @abstractmethod
    def scores(self, evidence: Evidence) -> Reals:
        """Return what knowing each slice promises, shape (Z,); comparable over volumes."""


def pick(scores: Reals, open_slices: npt.NDArray[np.intp], current: int | None) -> int:
    """Return the open slice of the highest score; a tie goes to the one nearest to `current`.

    Without a current slice it goes to the one nearest to the middle of the open slices.
    """
    here = float(current) if current is not None else float(open_slices.mean())
    order = np.lexsort((np.abs(open_slices - here), -np.round(scores[open_slices], 12)))
    return int(open_slices[order[0]])


def evenly(low: int, high: int, wanted: int) -> list[int]:
    """Spread slices over ``low..high``, the ends set in by half a step; rising, no repeats."""
    count = min(wanted, high - low + 1)
    step = (high - low + 1) / max(count, 1)
    return [int(low + step * (i + 0.5)) for i in range(count)]


def from_the_middle(slices: list[int]) -> list[int]:
    """Order slices from their middle outwards."""
    if not slices:
        return []
    middle = (slices[0] + slices[-1]) / 2
    return sorted(slices, key=lambda z: abs(z - middle))
