"""A run on another computer from beginning to end, for a command that waits for it."""

from __future__ import annotations

import time
from pathlib import Path

from ..training.control import Cancelled, Control
from ..training.events import Cancelled as CancelledEvent
from ..training.events import Emit, Failed, Finished
from ..training.request import BatchRequest, TrainRequest
from ..volume.user_error import UserError
from .place import Place
from .remote import RemoteJob

#: Seconds between two looks at what has come.
_LOOK_EVERY = 0.05

#: Seconds that a run gets to reach a check-point after it was cancelled.
_MOST_GRACE = 3.0


def run_remotely(
    project: Path,
    request: TrainRequest | BatchRequest,
    place: Place,
    emit: Emit,
    control: Control,
    keep_copy: bool = True,
) -> None:
    """Do what a trainer would do here, on another computer; what it makes is in the project then.

    Parameters
    ----------
    project : Path
    request : TrainRequest or BatchRequest
    place : Place
    emit : callable
        Receives every event but the last one of a run that was cancelled or has failed.
    control : Control
        Cancels.
    keep_copy : bool
        Whether the copy of the project stays there for the next run.

    Raises
    ------
    UserError
        When the run has failed, or the other computer cannot be reached.
    OSError
        When SSH cannot be started.
    Cancelled
        When the user cancels.
    """
    job = RemoteJob(project, place)
    try:
        job.start(request)
        while True:
            for event in job.poll():
                if isinstance(event, Failed):
                    raise UserError(event.message)
                if isinstance(event, CancelledEvent):
                    raise Cancelled
                emit(event)
                if isinstance(event, Finished):
                    return
            try:
                control.check()
            except Cancelled:
                job.cancel(_MOST_GRACE)
            time.sleep(_LOOK_EVERY)
    finally:
        if keep_copy:
            job.close()
        else:
            job.close_and_forget()
