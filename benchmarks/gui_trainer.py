"""What the trainer did meanwhile: time it made way, time it worked, how far it came."""

from __future__ import annotations

import time
from typing import Any

from napari_sslseg.training.events import Event, Loss, MadeWay, Progress


class TrainerWatch:
    """Follows a run while somebody works in the viewer.

    Parameters
    ----------
    session : Session
        Whose trainer is at work.
    """

    def __init__(self, session: Any) -> None:
        import psutil

        self._process = psutil.Process(session.training.pid)
        self._way = 0.0
        self._phases: list[str] = []
        self._steps = 0
        self._begin, self._cpu = time.monotonic(), self._processor()
        session.training.said.connect(self._follow)
        self._said = session.training.said

    def stop(self) -> dict[str, Any]:
        """Return seconds, and what was done in them."""
        self._said.disconnect(self._follow)
        wall = time.monotonic() - self._begin
        cpu = self._processor() - self._cpu
        return {
            "seconds": round(wall, 1),
            "made_way": round(self._way, 1),
            "worked": round(wall - self._way, 1),
            "processor_seconds": round(cpu, 1),
            "steps": self._steps,
            "phases": self._phases,
        }

    def _processor(self) -> float:
        used = self._process.cpu_times()
        return float(used.user + used.system)

    def _follow(self, event: Event) -> None:
        if isinstance(event, MadeWay):
            self._way = event.seconds
        elif isinstance(event, Loss):
            self._steps = event.step
        elif isinstance(event, Progress) and event.phase not in self._phases:
            self._phases.append(event.phase)
