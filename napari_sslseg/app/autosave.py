"""Saving as the user works: soon after each stroke, off the GUI thread, atomically."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

#: Milliseconds between a stroke and its save. Strokes in between do not push the save back, so
#: a crash costs at most this and the time of one save.
DELAY_MS = 800

#: Milliseconds until a save that failed is tried again, doubling up to the second of them.
RETRY_MS = (2_000, 60_000)


class Autosave(QObject):
    """Runs a save function in one worker thread, soon after `request`.

    Parameters
    ----------
    save : callable
        Called in the worker thread; returns how many pieces it wrote.
    """

    saved = Signal(int)
    """Pieces written; emitted on the GUI thread."""
    failed = Signal(str)
    """One sentence; it is tried again, after the next stroke or a while, and told once a stroke."""
    _done = Signal(object)
    _did = Signal(object, object, object)

    def __init__(self, save: Callable[[], int]) -> None:
        super().__init__()
        self._save = save
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sslseg-autosave")
        self._running: Future[int] | None = None
        self._jobs = 0
        self._again = self._closed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self._start)
        self._retry = QTimer(self)
        self._retry.setSingleShot(True)
        self._retry.timeout.connect(self._try_again)
        self._wait = RETRY_MS[0]
        self._told = False
        self._done.connect(self._finish)
        self._did.connect(self._after)

    def request(self) -> None:
        """Something may have changed."""
        self._told = False
        if not self._closed and not self._timer.isActive():
            self._timer.start()

    @property
    def pending(self) -> bool:
        """Whether something waits to be saved or is being saved."""
        return self._timer.isActive() or self._running is not None or self._jobs > 0

    def flush(self, wait: Callable[[Future[int]], bool] | None = None) -> bool:
        """Save now and wait.

        Parameters
        ----------
        wait : callable, optional
            Waits for the save and says whether to its end; without it that is waited for however
            long it takes, and nothing else happens on the calling thread.

        Returns
        -------
        bool
            Whether all was waited for. What was not goes on, and is told of when it fails.

        Raises
        ------
        Exception
            What the save raised, most likely an OSError.
        """
        self._timer.stop()
        future = self._pool.submit(self._save)
        if wait is not None and not wait(future):
            self._follow(future)
            return False
        try:
            future.result()
        except Exception:
            self._later()  # whoever asked may go on without another stroke
            raise
        self._retry.stop()
        self._wait = RETRY_MS[0]
        return True

    def flush_then(self, done: Callable[[], object], failed: Callable[[], object]) -> None:
        """Save now and go on afterwards: `done`, or `failed` after the signal of that name.

        Both are called on the GUI thread.
        """
        self._timer.stop()
        self.do(self._save, done, failed)

    def do(
        self,
        work: Callable[[], object],
        done: Callable[[], object] | None = None,
        failed: Callable[[], object] | None = None,
    ) -> None:
        """Write something else in the thread, after what was asked for before."""
        self._follow(self._pool.submit(work), done, failed)

    def _follow(
        self,
        future: Future[Any],
        done: Callable[[], object] | None = None,
        failed: Callable[[], object] | None = None,
    ) -> None:
        self._jobs += 1
        future.add_done_callback(lambda future: self._did.emit(future, done, failed))

    def close(self, save: bool = True) -> None:
        """End the thread after what was asked for before, and by default after a last save.

        However long that takes: a disk far away may be slow, and what is not saved now is lost.

        Raises
        ------
        Exception
            What the last save raised.
        """
        self._closed = True
        self._timer.stop()
        self._retry.stop()
        try:
            if save:
                self.flush()
        finally:
            self._pool.shutdown(wait=True)

    def _start(self) -> None:
        if self._running is not None:
            self._again = True
            return
        self._running = self._pool.submit(self._save)
        self._running.add_done_callback(self._done.emit)

    def _failed(self, error: BaseException) -> None:
        """Tell it once a stroke, and try again: nobody may paint any more."""
        if not self._told:
            self.failed.emit(_sentence(error))
        self._told = True
        self._later()

    def _later(self) -> None:
        """Try again after a while, a longer one each time."""
        if not self._closed:
            self._retry.start(self._wait)
            self._wait = min(2 * self._wait, RETRY_MS[1])

    def _try_again(self) -> None:
        if not self._closed and self._running is None and not self._timer.isActive():
            self._start()

    def _after(
        self,
        future: Future[object],
        done: Callable[[], object] | None,
        failed: Callable[[], object] | None,
    ) -> None:
        self._jobs -= 1
        error = future.exception()
        if error is not None:
            self._told = False  # somebody waits for this one
            self._failed(error)
        follow = done if error is None else failed
        if follow is not None:
            follow()

    def _finish(self, future: Future[int]) -> None:
        self._running = None
        error = future.exception()
        if error is not None:
            self._failed(error)
        else:
            self._wait = RETRY_MS[0]
            self.saved.emit(future.result())
        if self._again:
            self._again = False
            self.request()


def _sentence(error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"Not saved: {reason}. Your work is still in the viewer."
