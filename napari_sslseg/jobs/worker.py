"""The trainer process: ``python -m napari_sslseg.jobs.worker PROJECT``.

Protocol, one JSON value a line. In: a `TrainRequest` or `BatchRequest`, then commands to its run,
``{"command": "pause" | "resume" | "cancel"}`` and ``{"command": "make way", "seconds": S}``, by
which the run leaves the processor to the user for so long. Out: events, the last of a run being
`Finished`, `Cancelled` or `Failed`. After the first two the next request may come: who corrects
slice by slice does not wait for torch each time. After a failure, or when a cancelled run reaches
no check-point in time, the process ends. So it does with its input, as that means that the
application is gone: no trainer outlives its application.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import threading
from pathlib import Path

from ..training.control import Cancelled, Control
from ..training.events import Cancelled as CancelledEvent
from ..training.events import Emit, Event, Failed, VolumeFailed
from ..training.freed_memory import give_back
from ..training.request import BatchRequest, read_request
from ..training.threads import calm_threads
from ..training.trouble import explain
from ..volume.folders import is_gone, is_there
from .inbox import Inbox


def main(project: str) -> int:
    """Serve requests on stdin/stdout, one after another; returns the exit code.

    Parameters
    ----------
    project : str
        Path of the project's folder.

    Returns
    -------
    int
        0 when the input has ended, 1 when a run has failed.
    """
    emit = _take_stdout()
    _be_nice()
    calm_threads()
    inbox = Inbox(emit)
    threading.Thread(target=inbox.listen, args=(sys.stdin,), daemon=True).start()
    _import_engine(inbox)  # while the user is still looking at the panel
    while (run := inbox.next()) is not None:
        if serve(Path(project), run.request, run.control, inbox.telling(run)) == 1:
            return 1
        _tidy()
    return 0


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


def _import_engine(inbox: Inbox) -> None:
    from ..training import session  # noqa: F401
    from ..training.plan import choose_device
    from ..training.tune import warm_up

    # A GPU that does not work is told when it is asked for, not here.
    with contextlib.suppress(RuntimeError):
        warm_up(choose_device("auto"), lambda: inbox.wanted)


def _tidy() -> None:
    """Give back what a run has left behind: the next one may be long in coming, or never come."""
    import torch

    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    give_back()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
