"""Pause, cancel and making way for the user, seen from inside a training run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .threads import usable_cores

#: Share of the time for which a run makes way at most, for a user who never rests.
MOST = 2 / 3

#: Seconds that a run may make way at once, on top of that share.
AT_ONCE = 20.0

#: Seconds of work before a run makes way at all: its first proposal is what the user waits for, and
#: of a small volume much of it is made by then.
FIRST_WORK = 2.0

#: With as many cores the system's priorities leave enough of them to the user without that.
ENOUGH_CORES = 4

#: Seconds that it works after it has used that up, before it makes way again.
_AT_LEAST = 1.0

#: Seconds of making way after which it is told: shorter waits would make the words flicker.
_TELL_AFTER = 0.5


class Cancelled(Exception):  # noqa: N818 - not an error: the user asked for it
    """Raised at the next check-point after the user cancelled."""


class Watch:
    """Tells the time, and lets it pass."""

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        """Return after so many seconds, or when a change is notified; its lock must be held."""
        changed.wait(seconds)


class Control:
    """Switches that another thread sets and the training loop looks at.

    The run calls `check` between steps, from as many threads as it has. Neither the time for which
    it is paused nor that for which it makes way counts against the budget: `paused_seconds` tells
    how much there was.

    Way is made for a moment that is told in advance (`make_way`), never until further notice: a run
    goes on by itself when nobody asks any more.

    Parameters
    ----------
    first_work : float
        Seconds of work before way is made.
    watch : Watch, optional
        What it reads the time from.
    """

    def __init__(self, first_work: float = 0.0, watch: Watch | None = None) -> None:
        self._watch = watch or Watch()
        self._changed = threading.Condition()
        self._cancelled = False
        self._paused = False
        self._way_until = float("-inf")
        self._waiting = 0
        self._seen = self.now()
        self._paused_seconds = self._way_seconds = 0.0
        # Seconds for which way may still be made, and whether it has to be earned first.
        self._allowance, self._earning = AT_ONCE, False
        self._owed = first_work
        self._told = False
        #: Whether the run needs the processor that the user's screen is drawn by.
        self.shares_processor = True
        #: Called when way is made (True) and when the run goes on (False), with the seconds so far.
        self.on_way: Callable[[bool, float], object] = lambda making, seconds: None

    def cancel(self) -> None:
        """Ask the run to stop at its next check-point."""
        self._set(cancelled=True)

    def pause(self) -> None:
        """Ask the run to wait at its next check-point."""
        self._set(paused=True)

    def resume(self) -> None:
        """Let a paused run go on."""
        self._set(paused=False)

    def make_way(self, seconds: float) -> None:
        """Leave the processor to the user for so many seconds from now, from the next check-point.

        Asked again and again, a run makes way for two thirds of the time at most (`MOST`), so that
        it ends however busy the user is. A shorter time than is still to come changes nothing.
        """
        with self._changed:
            self._way_until = max(self._way_until, self.now() + seconds)

    def now(self) -> float:
        """Return the time that pauses and budgets are measured by, in seconds."""
        return self._watch.now()

    def runs_on(self, device: str) -> None:
        """Tell the type of the device that computes, such as ``"cpu"``.

        Way is made on a processor of fewer than `ENOUGH_CORES` cores only.
        """
        self.shares_processor = device == "cpu" and usable_cores() < ENOUGH_CORES

    @property
    def paused_seconds(self) -> float:
        """Seconds that the run has waited at check-points, for whatever reason."""
        with self._changed:
            self._count()
            return self._paused_seconds + self._way_seconds

    def check(self) -> None:
        """Wait while paused or while way is to be made; raise when cancelled.

        Raises
        ------
        Cancelled
            After `cancel`.
        """
        asked = self.shares_processor and self._way_until > self.now()
        if self._paused or asked:
            self._wait()
        if self._cancelled:
            raise Cancelled

    def _wait(self) -> None:
        begin = self.now()
        with self._changed:
            self._count()
            self._waiting += 1
            try:
                while (left := self._left()) > 0:
                    making = not self._paused
                    due = begin + _TELL_AFTER - self.now()
                    if making and not self._told and due <= 0:
                        self._told = True
                        self.on_way(True, self._way_seconds)
                    seconds = min(left, due) if making and due > 0 else left
                    self._watch.wait(self._changed, seconds)
                    self._count()
            finally:
                self._count()
                self._waiting -= 1
            if self._told and not self._waiting:
                self._told = False
                self.on_way(False, self._way_seconds)

    def _left(self) -> float:
        """Seconds still to be waited, 0 when the run goes on."""
        if self._cancelled:
            return 0.0
        if self._paused:
            return threading.TIMEOUT_MAX
        if self._owed > 0 or self._earning or not self.shares_processor:
            return 0.0
        return min(self._way_until - self.now(), self._allowance)

    def _count(self) -> None:
        """Add the time since the last look to what it was spent on."""
        now = self.now()
        passed, self._seen = now - self._seen, now
        earned = MOST / (1 - MOST)
        if not self._waiting:
            self._owed -= passed
            self._allowance = min(AT_ONCE, self._allowance + earned * passed)
            if self._allowance >= earned * _AT_LEAST:
                self._earning = False
        elif self._paused or not self.shares_processor:
            self._paused_seconds += passed
        else:
            self._way_seconds += passed
            self._allowance -= passed
            if self._allowance <= 0:
                self._earning = True

    def _set(self, cancelled: bool | None = None, paused: bool | None = None) -> None:
        with self._changed:
            self._count()
            self._cancelled = self._cancelled if cancelled is None else cancelled
            self._paused = self._paused if paused is None else paused
            self._changed.notify_all()
