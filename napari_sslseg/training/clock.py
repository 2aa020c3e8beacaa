"""The time budget of a run; pauses do not count."""

from __future__ import annotations

from .control import Control


class Clock:
    """Seconds spent and left.

    Parameters
    ----------
    seconds : float
        The budget.
    control : Control
        Knows the time, and how long the run was paused.
    """

    def __init__(self, seconds: float, control: Control) -> None:
        self.seconds = seconds
        self._control = control
        self._start = control.now()
        self._paused_before = control.paused_seconds

    @property
    def spent(self) -> float:
        """Seconds since the start, without pauses."""
        paused = self._control.paused_seconds - self._paused_before
        return self._control.now() - self._start - paused

    @property
    def left(self) -> float:
        """Seconds until the budget is used up; negative when over."""
        return self.seconds - self.spent
