"""A training job in a process of its own, wherever that is: what goes in and comes out of it."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import psutil

from ..training.events import Cancelled, Event, Failed, Finished
from ..training.request import BatchRequest, TrainRequest
from ..volume.folders import folder_within
from ..volume.user_error import ProjectError

#: Part of the time for a cancelled run to end in, after which the trainer leaves by itself, and
#: after which it is killed.
LEAVE, KILL = 0.7, 0.85

#: On Windows: no black window for a program of the console.
NO_CONSOLE: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)


class TrainerProcess:
    """One trainer process, and the run that it is at.

    The process is started at once and imports what it needs while it waits, so that `start`
    finds it ready. It serves one run after another, until one fails or it is closed. Nothing here
    blocks: call `poll` from a timer.

    Parameters
    ----------
    project : Path
        The project folder. All results go there.
    command : sequence of str
        What starts the process, which speaks as `worker` does.

    Raises
    ------
    OSError
        When the project folder is no longer there, or the process cannot be started.
    """

    #: What it is called when it ends unexpectedly.
    name = "The trainer process"

    def __init__(self, project: Path, command: Sequence[str]) -> None:
        self.project = Path(project)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._kill_at: float | None = None
        self._running = self._failed = False
        try:
            log = folder_within(self.project, "log")
        except ProjectError as error:
            # As any other trouble with files, for those who start trainers unasked.
            gone = (
                f"the project folder {self.project} is no longer there; put it back and try again"
            )
            raise FileNotFoundError(gone) from error
        with open(log / "trainer.log", "ab") as errors:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                errors="replace",
                bufsize=1,
                creationflags=NO_CONSOLE,
            )
        assert self._process.stdout is not None
        self._reader = threading.Thread(
            target=self._read, args=(self._process.stdout,), daemon=True, name="trainer-events"
        )
        self._reader.start()
        # Commands are written in a thread: a pipe whose reader is busy may be full.
        self._commands: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        assert self._process.stdin is not None
        self._writer = threading.Thread(
            target=self._send, args=(self._process.stdin,), daemon=True, name="trainer-commands"
        )
        self._writer.start()

    @property
    def pid(self) -> int:
        """Process id of the trainer."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process exists."""
        return self._process.poll() is None

    @property
    def running(self) -> bool:
        """Whether a request was given and has not ended."""
        return self._running

    @property
    def ready(self) -> bool:
        """Whether a run can be started."""
        return self.alive and not self._running and not self._failed

    @property
    def memory(self) -> int:
        """Bytes of memory that the process holds, 0 when there is none."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def start(self, request: TrainRequest | BatchRequest) -> None:
        """Give the process its work.

        Raises
        ------
        RuntimeError
            While it is at a run, or after one that failed, as the process ends then.
        """
        self._claim()
        self._write(request.to_json())

    def pause(self) -> None:
        """Ask the trainer to wait; it answers with `Paused`."""
        self._write(json.dumps({"command": "pause"}))

    def resume(self) -> None:
        """Let a paused trainer go on; it answers with `Resumed`."""
        self._write(json.dumps({"command": "resume"}))

    def cancel(self, within: float = 1.0) -> None:
        """Stop the run; `poll` yields `Cancelled` in time.

        Parameters
        ----------
        within : float
            Seconds. A run that reaches a check-point in seven tenths of them leaves the process
            ready for the next one; otherwise it takes the process with it.
        """
        if self._running and self._kill_at is None:
            self._kill_at = time.monotonic() + KILL * within
            self._write(json.dumps({"command": "cancel", "seconds": LEAVE * within}))

    def poll(self) -> list[Event]:
        """Events since the last call; a run ends with one of Finished, Cancelled, Failed."""
        dead = self._is_over()
        events: list[Event] = []
        while True:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                break
            if self._running:
                events.append(event)
                self._running = not isinstance(event, Finished | Cancelled | Failed)
                self._failed |= isinstance(event, Failed)
        if self._running and dead:
            self._running, self._failed = False, True
            events.append(self._obituary())
        elif (
            self._running
            and self._kill_at is not None
            and time.monotonic() > self._kill_at
            and self.alive
        ):
            self._kill()
        return events

    def make_way(self, seconds: float) -> None:
        """Tell the trainer that the user acts, and to leave the processor alone for some seconds.

        It waits at its next check-point, and goes on when the time is over unless told again. Told
        without end, it still works a third of the time (`Control.make_way`); told once, it makes
        way for two seconds at most. Nothing is told where no run is under way.
        """
        if self._running and self._commands.empty():
            self._write(json.dumps({"command": "make way", "seconds": seconds}))

    def close(self, wait: bool = True) -> None:
        """End the process now; what it has saved stays in the project.

        Parameters
        ----------
        wait : bool
            Return when the system has taken the process away, which takes a while when it had much
            memory. Without, a thread sees to that.
        """
        if self.alive:
            self._kill()
        self._commands.put(None)
        if wait:
            self._bury()
        else:
            threading.Thread(target=self._bury, daemon=True, name="trainer-end").start()

    def _is_over(self) -> bool:
        """Whether nothing more will be told."""
        return not self.alive and not self._reader.is_alive()

    def _claim(self) -> None:
        """Begin a run.

        Raises
        ------
        RuntimeError
            See `start`.
        """
        if self._running or self._failed:
            raise RuntimeError("This trainer is at another run, or leaving; make a new one.")
        self._running, self._kill_at = True, None

    def _kill(self) -> None:
        self._process.kill()

    def _bury(self) -> None:
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:  # pragma: no cover - the system owns it now
            return
        for thread, stream in (
            (self._writer, self._process.stdin),
            (self._reader, self._process.stdout),
        ):
            thread.join(timeout=2)
            if stream is not None and not thread.is_alive():
                with contextlib.suppress(OSError):
                    stream.close()

    def _obituary(self) -> Event:
        if self._kill_at is not None:
            return Cancelled()
        return Failed(
            f"{self.name} ended unexpectedly (exit code {self._process.returncode}; "
            "killed, or out of memory). Your work is safe; press Train to try again.",
            f"See {self.project / 'log' / 'trainer.log'}",
        )

    def _write(self, line: str) -> None:
        self._commands.put(line)

    def _send(self, stream: IO[str]) -> None:
        while (line := self._commands.get()) is not None:
            try:
                stream.write(line + "\n")
                stream.flush()
            except (OSError, ValueError):
                return  # the process is gone; poll tells

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            event = Event.from_json(line)
            if event is not None:
                self._told(event)

    def _told(self, event: Event) -> None:
        """Take in what the process says, in the thread that reads it."""
        self._events.put(event)
