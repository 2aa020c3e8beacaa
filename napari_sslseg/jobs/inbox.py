"""What the application tells its trainer: requests, and commands to the run under way."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..training.control import FIRST_WORK, Control
from ..training.events import Cancelled, Emit, Event, Failed, Finished, MadeWay, Paused, Resumed

#: Seconds that a run gets to reach a check-point before the process ends by force, when the
#: application does not say how many.
GRACE = 0.7

#: Most seconds that it says.
MOST_GRACE = 10.0

#: Most seconds for which one message makes way: an application that hangs is not acted in.
MOST_WAY = 2.0


@dataclass(eq=False)
class Run:
    """One request.

    Attributes
    ----------
    request
        JSON of a `TrainRequest` or `BatchRequest`.
    control
        What commands to it are handed on to.
    over
        Whether its last event has been told.
    """

    request: str
    control: Control = field(default_factory=lambda: Control(FIRST_WORK))
    over: bool = False


class Inbox:
    """Sorts lines into requests, which are served in turn, and commands to the last of them.

    Parameters
    ----------
    emit : callable
        Tells the application.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._waiting: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        self._run: Run | None = None
        # A run is not ended by force after it has told its end: the process serves the next one.
        self._ending = threading.Lock()

    def next(self) -> Run | None:
        """Wait for a request; None when there will be no more."""
        return self._waiting.get()

    @property
    def wanted(self) -> bool:
        """Whether a request is waiting, or all is over."""
        return not self._waiting.empty()

    def telling(self, run: Run) -> Emit:
        """Return what tells the events of a run, after the last of which no command reaches it."""

        def emit(event: Event) -> None:
            if not isinstance(event, Finished | Cancelled | Failed):
                self._emit(event)
                return
            with self._ending:
                run.over = True
                self._emit(event)

        return emit

    def listen(self, lines: Iterable[str]) -> None:
        """Take in all that comes; the end of the lines ends the process, if need be by force."""
        for line in lines:
            try:
                message = json.loads(line)
                command = message.get("command")
            except (ValueError, AttributeError):
                continue
            if command is None:
                self._ask(line)
            else:
                self._obey(command, message)
        self._waiting.put(None)
        if self._run is not None:
            self._run.control.cancel()
        _later(GRACE, os._exit, 3)

    def _ask(self, line: str) -> None:
        run = self._run = Run(line)
        emit = self._emit
        run.control.on_way = lambda waiting, seconds: emit(MadeWay(waiting, round(seconds, 2)))
        self._waiting.put(run)

    def _obey(self, command: object, message: dict[str, object]) -> None:
        run = self._run
        if run is None or run.over:
            return
        control = run.control
        if command == "pause":
            control.pause()
            self._answer(run, Paused())
        elif command == "resume":
            control.resume()
            self._answer(run, Resumed())
        elif command == "make way":
            control.make_way(_seconds(message, 0.0, MOST_WAY))
        elif command == "cancel":
            control.cancel()
            _later(_seconds(message, GRACE, MOST_GRACE), self._leave, run)

    def _answer(self, run: Run, event: Event) -> None:
        with self._ending:
            if not run.over:
                self._emit(event)

    def _leave(self, run: Run) -> None:
        """End the process, unless the run has ended by itself."""
        with self._ending:
            if not run.over:
                os._exit(3)  # which is answer enough


def _seconds(message: dict[str, object], usual: float, most: float) -> float:
    """Return how long a message says."""
    said = message.get("seconds")
    return min(float(said), most) if isinstance(said, int | float) else usual


def _later(seconds: float, act: Callable[[Any], object], what: object) -> None:
    """Act when the run under way has had its time to reach a check-point."""
    timer = threading.Timer(seconds, act, (what,))
    timer.daemon = True
    timer.start()
