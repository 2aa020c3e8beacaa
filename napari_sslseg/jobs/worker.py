"""The trainer process: ``python -m napari_sslseg.jobs.worker PROJECT``.

Protocol, one JSON value a line. In: first a `TrainRequest` or `BatchRequest`, then commands
``{"command": "pause" | "resume" | "cancel"}`` and ``{"command": "make way", "seconds": S}``, by
which the run leaves the processor to the user for so long. Out: events. The end of the input means
that the application is gone, and ends the process: no trainer outlives its application.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import TextIO

from ..training.control import FIRST_WORK, Cancelled, Control
from ..training.events import Cancelled as CancelledEvent
from ..training.events import Emit, Event, Failed, MadeWay, Paused, Resumed, VolumeFailed
from ..training.request import BatchRequest, read_request
from ..training.threads import calm_threads
from ..training.trouble import explain
from ..volume.folders import is_gone, is_there

#: Seconds that a run gets to reach a check-point before the process ends by force.
GRACE = 0.7

#: Most seconds for which one message makes way: an application that hangs is not acted in.
MOST_WAY = 2.0


def main(project: str) -> int:
    """Serve one request on stdin/stdout; returns the exit code.

    Parameters
    ----------
    project : str
        Path of the project's folder.

    Returns
    -------
    int
        As of `serve`; 0 also when the input ends before a request.
    """
    emit = _take_stdout()
    _be_nice()
    calm_threads()
    _import_engine()  # while the user is still looking at the panel
    line = sys.stdin.readline()
    if not line:
        return 0
    control = Control(FIRST_WORK)
    control.on_way = lambda waiting, seconds: emit(MadeWay(waiting, round(seconds, 2)))
    threading.Thread(target=_listen, args=(sys.stdin, control, emit), daemon=True).start()
    return serve(Path(project), line, control, emit)


def serve(project: Path, request_line: str, control: Control, emit: Emit) -> int:
    """Run the request and turn every outcome into an event; details of failures go to stderr.

    Parameters
    ----------
    project : Path
        Folder of the project.
    request_line : str
        JSON of a `TrainRequest` or `BatchRequest`.
    control : Control
        By which another thread pauses or cancels the run.
    emit : callable
        Receives every event.

    Returns
    -------
    int
        0 finished, 1 failed, 3 cancelled.
    """
    from ..training.session import run_project

    emit = _logging(emit)
    begun = is_there(project)
    try:
        request = read_request(request_line)
        if isinstance(request, BatchRequest):
            from ..training.batch import run_batch

            run_batch(project, request, emit, control)
        else:
            run_project(project, request, emit, control)
    except Cancelled:
        emit(CancelledEvent())
        return 3
    except Exception as error:
        # Whichever file was missed first: what the user has to know is that all of them are gone.
        trouble = explain(is_gone(project) if begun and not is_there(project) else error)
        emit(Failed(trouble.sentence, trouble.detail))
        return 1
    return 0


def _logging(emit: Emit) -> Emit:
    """Write the details of what failed to stderr, which is the trainer's log."""

    def emit_and_log(event: Event) -> None:
        if isinstance(event, Failed | VolumeFailed) and event.detail:
            print(event.detail, file=sys.stderr, flush=True)
        emit(event)

    return emit_and_log


def _listen(stream: TextIO, control: Control, emit: Emit) -> None:
    """Obey commands until the application hangs up."""
    for line in stream:
        try:
            message = json.loads(line)
            command = message.get("command")
        except (ValueError, AttributeError):
            continue
        if command == "pause":
            control.pause()
            emit(Paused())
        elif command == "resume":
            control.resume()
            emit(Resumed())
        elif command == "make way":
            control.make_way(min(float(message.get("seconds", 0.0)), MOST_WAY))
        elif command == "cancel":
            _end(control, emit)
    _end(control, None)


def _end(control: Control, emit: Emit | None) -> None:
    """Cancel, and leave by force when no check-point is reached in time."""
    control.cancel()

    def leave() -> None:
        if emit is not None:
            emit(CancelledEvent())
        os._exit(3)

    timer = threading.Timer(GRACE, leave)
    timer.daemon = True
    timer.start()


def _take_stdout() -> Emit:
    """Keep the pipe for events; whatever a library prints goes to the log."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            try:
                pipe.write(event.to_json() + "\n")
                pipe.flush()
            except (OSError, ValueError):
                os._exit(3)  # nobody listens any more

    return emit


def _be_nice() -> None:
    """Let the application have the processor first: it is what the user feels."""
    import psutil

    try:
        process = psutil.Process()
        process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if sys.platform == "win32" else 10)
    except (psutil.Error, OSError):
        pass


def _import_engine() -> None:
    from ..training import session  # noqa: F401
    from ..training.plan import choose_device
    from ..training.tune import warm_up

    # A GPU that does not work is told when it is asked for, not here.
    with contextlib.suppress(RuntimeError):
        warm_up(choose_device("auto"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
