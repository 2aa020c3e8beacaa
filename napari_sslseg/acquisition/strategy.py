"""The interface of all strategies, and how a batch is picked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from math import inf
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

    def further(self, content: Content, inked: Iterable[int], wanted: int) -> list[int]:
        """Choose more slices to label before any model exists: far from those that have ink.

        Parameters
        ----------
        content : Content
            Slices of the image.
        inked : iterable of int
            Slices that have ink already, whole or in part; at least one.
        wanted : int
            Number of slices; fewer come back when there are not so many.

        Returns
        -------
        list of int
            The most useful first.
        """
        known = set(inked)
        chosen = farthest(known, *self.central(content), wanted)
        # When more are wanted than the central part has:
        rest = farthest({*known, *chosen}, *content.shown(), wanted - len(chosen))
        return [*chosen, *rest]

    def central(self, content: Content) -> tuple[int, int]:
        """Return the first and last slice of the part in which the first references lie.

        By default all that `Content.shown` names.

        Parameters
        ----------
        content : Content
            Slices of the image.
        """
        return content.shown()

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
        """Return the slices to choose from, rising; all open ones by default.

        Parameters
        ----------
        evidence : Evidence
            Of the volume.
        """
        return evidence.open_slices()

    @abstractmethod
    def scores(self, evidence: Evidence) -> Reals:
        """Return what knowing each slice promises.

        Parameters
        ----------
        evidence : Evidence
            Of the volume.

        Returns
        -------
        ndarray of float64, shape (Z,)
            Comparable over volumes; those of slices that are no candidates mean nothing.
        """


def pick(scores: Reals, open_slices: npt.NDArray[np.intp], current: int | None) -> int:
    """Return the open slice of the highest score.

    Parameters
    ----------
    scores : ndarray of float, shape (Z,)
        Equal where they agree to twelve decimals.
    open_slices : ndarray of int, shape (N,)
        Slices to choose from, at least one.
    current : int or None
        A tie goes to the slice nearest to this one; to the one nearest to the mean of the open
        slices if it is None.
    """
    here = float(current) if current is not None else float(open_slices.mean())
    order = np.lexsort((np.abs(open_slices - here), -np.round(scores[open_slices], 12)))
    return int(open_slices[order[0]])


def evenly(low: int, high: int, wanted: int) -> list[int]:
    """Spread slices over ``low..high``, the ends set in by half a step.

    Parameters
    ----------
    low, high : int
        First and last slice.
    wanted : int
        Number of slices.

    Returns
    -------
    list of int
        Rising, no repeats; all slices when there are not so many.
    """
    count = min(wanted, high - low + 1)
    step = (high - low + 1) / max(count, 1)
    return [int(low + step * (i + 0.5)) for i in range(count)]


def farthest(known: Iterable[int], low: int, high: int, wanted: int) -> list[int]:
    """Choose slices in ``low..high`` one by one, each as far as can be from all known ones.

    A slice between two known ones is as far as its reach, see `influence`; half as far as one
    beyond them at the same distance.

    Parameters
    ----------
    known : iterable of int
        At least one slice, inside of ``low..high`` or outside.
    low, high : int
        First and last slice to choose from.
    wanted : int
        Number of slices; 0 or less gives none.

    Returns
    -------
    list of int
        In the order of choice; fewer when there are not so many that are not known.
    """
    places, found = set(known), list[int]()
    middle = (low + high) / 2

    def reach(z: int) -> float:
        below = min((z - k for k in places if k < z), default=inf)
        above = min((k - z for k in places if k > z), default=inf)
        return 1 / (1 / below + 1 / above)

    while len(found) < wanted:
        left = [z for z in range(low, high + 1) if z not in places]
        if not left:
            break
        best = max(left, key=lambda z: (reach(z), -abs(z - middle)))
        places.add(best)
        found.append(best)
    return found


def from_the_middle(slices: list[int]) -> list[int]:
    """Order slices by their distance from the middle between the first and the last of a list.

    Parameters
    ----------
    slices : list of int
        Rising.

    Returns
    -------
    list of int
        The middle one first; of two equally far the lower one.
    """
    if not slices:
        return []
    middle = (slices[0] + slices[-1]) / 2
    return sorted(slices, key=lambda z: abs(z - middle))
