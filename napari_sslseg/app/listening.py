"""What a part of the panel hears of a session, until it shows another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from psygnal import SignalInstance


class Listening:
    """Connections that end together: what a closed session still says concerns nobody."""

    def __init__(self) -> None:
        self._made: list[tuple[SignalInstance, Callable[..., Any]]] = []

    def to(self, signal: SignalInstance, heard: Callable[..., Any]) -> None:
        """Call something whenever a signal is sent."""
        signal.connect(heard)
        self._made.append((signal, heard))

    def end(self) -> None:
        """Hear no more of any of them."""
        for signal, heard in self._made:
            signal.disconnect(heard)
        self._made.clear()
