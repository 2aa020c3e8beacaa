"""Training as the panel sees it: one job at a time, polled from a timer."""

from __future__ import annotations

import contextlib
from enum import Enum
from pathlib import Path

from qtpy.QtCore import QObject, QTimer, Signal

from ..jobs.local import LocalJob
from ..jobs.place import Place, PlaceError
from ..jobs.remote import RemoteJob
from ..jobs.trainer_process import TrainerProcess
from ..training.events import Cancelled, Event, Failed, Finished, Paused, Resumed, Started
from ..training.request import BatchRequest, TrainRequest
from .trainer_places import chosen_place

POLL_MS = 60

#: Seconds for which the trainer makes way after the user was last known to act.
WAY_SECONDS = 0.45

#: Milliseconds after a run until it is seen to the trainer of the next one.
WARM_UP_AFTER_MS = 1500

#: Bytes that a trainer may hold while it waits for the next run.
MOST_KEPT = 1_500_000_000
_BUSY = "Training is already running; pause or cancel it first."


class RunState(Enum):
    """What the trainer is doing."""

    IDLE = "idle"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLING = "cancelling"


class TrainingRun(QObject):
    """Starts, relays and ends trainer processes for a project.

    Parameters
    ----------
    project : Path
    parent : QObject, optional
    again : bool
        Whether the next run is expected soon: a trainer that waits takes memory.
    """

    said = Signal(object)
    """Every `Event` of the trainer, on the GUI thread."""
    state_changed = Signal(object)

    def __init__(self, project: Path, parent: QObject | None = None, *, again: bool = True) -> None:
        super().__init__(parent)
        self._project, self._again = project, again
        self._job: TrainerProcess | None = None
        self._place: Place | None = None
        self._state = RunState.IDLE
        self._prepared: TrainRequest | BatchRequest | None = None
        #: Whether the run under way, or the last one, only updates: nobody has asked for it.
        self.update = False
        self._closed = False
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def state(self) -> RunState:
        """Current state."""
        return self._state

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self._state is not RunState.IDLE

    @property
    def updating(self) -> bool:
        """Whether a run is under way that makes room for any other."""
        return self.busy and self.update

    @property
    def asked_for(self) -> bool:
        """Whether a run is under way that the user has asked for."""
        return self.busy and not self.update

    @property
    def host(self) -> str:
        """The computer that the run under way, or the last one, is on; empty for this one."""
        return self._place.host if self._place is not None else ""

    @property
    def pid(self) -> int | None:
        """Process id of the trainer, or of the connection to it; None when there is none."""
        return self._job.pid if self._job is not None and self._job.alive else None

    def warm_up(self) -> None:
        """Start a trainer that imports what it needs and waits, so that Train is prompt."""
        if self._closed or self.busy:
            return
        if self._job is None or not self._fits(self._job) or self._job.memory > MOST_KEPT:
            # Nobody has asked for it yet. Who presses Train is told.
            with contextlib.suppress(OSError, PlaceError):
                self._renew()

    def prepare(self, request: TrainRequest | BatchRequest) -> None:
        """Say that a run begins as soon as what it needs is saved; busy from now on.

        Raises
        ------
        RuntimeError
            When a run is under way.
        """
        if self.busy:
            raise RuntimeError(_BUSY)
        self._prepared = request
        self.update = isinstance(request, TrainRequest) and request.update
        self._set(RunState.STARTING)

    def start_prepared(self) -> None:
        """Start the prepared run, unless it was cancelled meanwhile."""
        if self._prepared is not None:
            request, self._prepared = self._prepared, None
            try:
                self._launch(request)
            except PlaceError as error:
                self._set(RunState.IDLE)
                self.said.emit(Failed(str(error)))
            except OSError as error:
                self._set(RunState.IDLE)
                self.said.emit(Failed(f"The trainer could not be started: {error}."))

    def abandon(self) -> None:
        """Forget the prepared run."""
        if self._prepared is not None:
            self._prepared = None
            self._set(RunState.IDLE)

    def _launch(self, request: TrainRequest | BatchRequest) -> None:
        if self._job is None or not self._fits(self._job):
            self._renew()
        assert self._job is not None
        self._job.start(request)
        self._set(RunState.STARTING)
        self._timer.start()

    def _renew(self) -> None:
        old, self._job = self._job, None
        if old is not None:
            old.close(wait=False)
        self._place = chosen_place()
        if self._place is None:
            self._job = LocalJob(self._project)
        else:
            self._job = RemoteJob(self._project, self._place)

    def _fits(self, job: TrainerProcess) -> bool:
        return job.ready and self._place == chosen_place()

    def _let_go(self) -> None:
        """See to the end of a process whose run is over."""
        if self._job is not None and not self.busy:
            self._job.close(wait=False)
            self._job = None

    def pause(self) -> None:
        """Ask the trainer to wait."""
        if self._job is not None and self._state is RunState.RUNNING:
            self._job.pause()

    def resume(self) -> None:
        """Let it go on."""
        if self._job is not None and self._state is RunState.PAUSED:
            self._job.resume()

    def make_way(self) -> None:
        """Let the trainer leave the processor alone for a moment: the user acts."""
        if self._job is not None and self.busy:
            self._job.make_way(WAY_SECONDS)

    def cancel(self, within: float = 1.0) -> None:
        """Stop it; the state is IDLE within so many seconds."""
        if self._prepared is not None:
            self.abandon()
            self.said.emit(Cancelled())
        elif self._job is not None and self.busy:
            self._job.cancel(within)
            self._set(RunState.CANCELLING)

    def close(self) -> None:
        """End the process, if any. Nothing survives the application."""
        self._closed = True
        self._timer.stop()
        self._prepared = None
        if self._job is not None:
            self._job.close(wait=False)  # the user waits for the window, not for the system
            self._job = None
        self._state = RunState.IDLE

    def _poll(self) -> None:
        job = self._job
        if job is None:
            return
        for event in job.poll():
            self._follow(event)
            self.said.emit(event)

    def _follow(self, event: Event) -> None:
        if isinstance(event, Finished | Cancelled | Failed):
            self._timer.stop()
            self._set(RunState.IDLE)
            # The next run is at once served by the same process. Where that has become large, or
            # is leaving, another one imports while the user corrects.
            QTimer.singleShot(WARM_UP_AFTER_MS, self.warm_up if self._again else self._let_go)
        elif self._state is RunState.CANCELLING:
            return
        elif isinstance(event, Started | Resumed):
            self._set(RunState.RUNNING)
        elif isinstance(event, Paused):
            self._set(RunState.PAUSED)

    def _set(self, state: RunState) -> None:
        if state is not self._state:
            self._state = state
            self.state_changed.emit(state)
