"""What the trainer did meanwhile: time it made way, time it worked, how far it came."""

from __future__ import annotations

import time
from typing import Any

from napari_sslseg.training.events import Event, Loss, MadeWay, Progress
from napari_sslseg.training.wording import phase


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
        self._way_before: float | None = None
        self._phases: list[str] = []
        self.steps = 0
        self._seen = self._processor()
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
            "steps": self.steps,
            "phases": self._phases,
        }

    def doing(self) -> str:
        """Return what it has done since this was asked before."""
        before, self._seen = self._seen, self._processor()
        return "it works" if self._seen > before else "it waits"

    def _processor(self) -> float:
        used = self._process.cpu_times()
        return float(used.user + used.system)

    def _follow(self, event: Event) -> None:
        if isinstance(event, MadeWay):
            # It tells of all since its run began, when a wait begins and when it is over.
            if self._way_before is None:
                self._way_before = event.seconds
            self._way = event.seconds - self._way_before
        elif isinstance(event, Loss):
            self.steps = event.step
        elif isinstance(event, Progress) and phase(event) not in self._phases:
            self._phases.append(phase(event))
