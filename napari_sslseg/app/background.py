"""Short work off the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from napari.qt.threading import create_worker

T = TypeVar("T")


def in_background(
    work: Callable[[], T],
    done: Callable[[T], Any],
    failed: Callable[[Exception], Any],
) -> None:
    """Run `work` in a thread, then `done` or `failed` on the GUI thread.

    napari knows of the thread: it asks before it closes while one runs.
    """

    def guarded() -> tuple[bool, Any]:
        # Errors travel as values: a worker's own error signal would also pop up a traceback.
        try:
            return True, work()
        except Exception as error:
            return False, error

    def deliver(outcome: tuple[bool, Any]) -> None:
        ok, value = outcome
        (done if ok else failed)(value)

    worker = create_worker(guarded, _start_thread=False)
    worker.returned.connect(deliver)
    worker.start()
