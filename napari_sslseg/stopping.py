"""Ctrl-C and a polite kill, while a command works."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator

from .training.control import Control

#: Ctrl-C, a polite kill, and a terminal that is closed; Windows knows no last one.
_STOPS = ("SIGINT", "SIGTERM", "SIGHUP")


@contextlib.contextmanager
def stoppable() -> Iterator[Control]:
    """Let Ctrl-C and a polite kill stop between two steps, so that what must be left is in order.

    A signal that is ignored, as ``nohup`` does, stays ignored.

    Yields
    ------
    Control
        Cancelled by the signal.
    """
    control = Control()

    def stop(number: int, frame: object) -> None:
        control.cancel()

    before = {}
    for kind in (getattr(signal, name) for name in _STOPS if hasattr(signal, name)):
        if signal.getsignal(kind) is signal.SIG_IGN:
            continue
        # Only a main thread may set handlers; others are stopped by their owners.
        with contextlib.suppress(ValueError):
            before[kind] = signal.signal(kind, stop)
    try:
        yield control
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
