"""Short work off the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import ref

from napari import current_viewer
from napari.qt.threading import create_worker
from qtpy.compat import isalive
from qtpy.QtCore import QObject

T = TypeVar("T")


def in_background(
    work: Callable[[], T],
    done: Callable[[T], Any],
    failed: Callable[[Exception], Any],
    owner: QObject | None = None,
) -> None:
    """Run `work` in a thread, then `done` or `failed` on the GUI thread.

    napari knows of the thread: it asks before it closes while one runs.

    Parameters
    ----------
    work, done, failed : callable
    owner : QObject, optional
        What `done` and `failed` act on: when Qt has deleted it meanwhile, neither is called.
    """
    asking = None if owner is None else ref(owner)
    # What is called is let go of when it has been: a finished worker stays in memory for a while,
    # and would hold what its functions refer to, such as a volume.
    calls: list[Callable[..., Any]] = [work, done, failed]

    def guarded() -> tuple[bool, Any]:
        # Errors travel as values: a worker's own error signal would also pop up a traceback.
        try:
            return True, calls[0]()
        except Exception as error:
            return False, error

    def deliver(outcome: tuple[bool, Any]) -> None:
        _, on_done, on_failed = calls
        calls.clear()
        if asking is not None and not ((there := asking()) and isalive(there)):
            return
        ok, value = outcome
        (on_done if ok else on_failed)(value)

    _forget_finished()
    worker = create_worker(guarded, _start_thread=False)
    worker.returned.connect(deliver)
    worker.start()


def _forget_finished() -> None:
    """Have napari forget work that is done: its list keeps ten kilobytes of each for good."""
    window = getattr(current_viewer(), "window", None)
    tasks = getattr(getattr(window, "_task_status_manager", None), "_tasks", None)
    if not isinstance(tasks, dict):  # another napari may call it otherwise; then all is kept
        return
    for key, task in list(tasks.items()):
        if str(task.state()[2]) == "completed":
            tasks.pop(key, None)
