"""How long the last phase of a run will take, foreseen from what the run itself has measured.

Predicting the volume and judging what comes of it take a good part of a short run, and several
times as long where other programs want the processor. That may change while the network learns, so
a slice is predicted now and then, only to see how long it takes.
"""

from __future__ import annotations

#: Weight of the last measurement beside those before: a moment's disturbance must not count wholly.
LAST = 0.5


class Foresight:
    """Seconds that predicting and judging take, as the machine is now."""

    def __init__(self) -> None:
        self._judging = 0.0
        self._slice = self._first = 0.0

    def judged(self, seconds: float) -> None:
        """Take in how long it took to judge a proposal and to write it.

        Parameters
        ----------
        seconds : float
        """
        self._judging = seconds / self._pace

    def predicted(self, slices: int, seconds: float, anew: bool = False) -> None:
        """Take in how long it took to predict some slices.

        Parameters
        ----------
        slices : int
            At least one.
        seconds : float
        anew : bool
            Whether this counts alone, whatever was measured before.
        """
        each = seconds / slices
        if not self._first:
            self._first = self._slice = each
        self._slice += (1 if anew else LAST) * (each - self._slice)

    @property
    def wanted(self) -> bool:
        """Whether measurements are of any use."""
        return True

    @property
    def has_measured(self) -> bool:
        """Whether any slice has been predicted."""
        return self._first > 0

    def reserve(self, slices: int, judgings: float, budget: float) -> float:
        """Return the seconds of a budget that are kept for what is foreseen, and a little more.

        Parameters
        ----------
        slices, judgings
            See `needed`.
        budget : float
            Seconds in all.
        """
        return 1.1 * self.needed(slices, judgings) + 0.02 * budget

    def needed(self, slices: int, judgings: float) -> float:
        """Return the seconds that it will take to predict some slices and to judge proposals.

        Parameters
        ----------
        slices : int
        judgings : float
            Times as long as the last proposal took.
        """
        return slices * self._slice + judgings * self._judging * self._pace

    @property
    def _pace(self) -> float:
        """How many times as long as at first everything takes now."""
        return self._slice / self._first if self._first else 1.0


class Unhurried(Foresight):
    """Of a run that may take as long as it takes, once its training is over."""

    @property
    def wanted(self) -> bool:
        """Nothing is measured."""
        return False

    def reserve(self, slices: int, judgings: float, budget: float) -> float:
        """Nothing is kept."""
        return 0.0

    def needed(self, slices: int, judgings: float) -> float:
        """Nothing is ever late."""
        return 0.0
