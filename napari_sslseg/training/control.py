"""Pause and cancel, seen from inside a training run."""

from __future__ import annotations

import threading
import time


class Cancelled(Exception):  # noqa: N818 - not an error: the user asked for it
    """Raised at the next check-point after the user cancelled."""


class Control:
    """Switches that another thread sets and the training loop looks at.

    The loop calls `check` between steps. Paused time does not count against the budget:
    `paused_seconds` tells how much there was.
    """

    def __init__(self) -> None:
        self._cancel = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self.paused_seconds = 0.0

    def cancel(self) -> None:
        """Ask the run to stop at its next check-point."""
        self._cancel.set()
        self._go.set()

    def pause(self) -> None:
        """Ask the run to wait at its next check-point."""
        self._go.clear()

    def resume(self) -> None:
        """Let a paused run go on."""
        self._go.set()

    @property
    def paused(self) -> bool:
        """Whether the run is asked to wait."""
        return not self._go.is_set()

    def check(self) -> None:
        """Wait while paused; raise when cancelled.

        Raises
        ------
        Cancelled
            After `cancel`.
        """
        if self.paused:
            start = time.monotonic()
            self._go.wait()
            self.paused_seconds += time.monotonic() - start
        if self._cancel.is_set():
            raise Cancelled
