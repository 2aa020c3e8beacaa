"""Saving in a thread: requests, failures, waiting for it, and the end."""

from __future__ import annotations

import threading

import pytest
from qtpy.QtWidgets import QApplication

from napari_sslseg.app.autosave import Autosave


class Disk:
    """Counts what is written; may be slow, and may fail."""

    def __init__(self) -> None:
        self.saves = 0
        self.error: Exception | None = None
        self.threads: set[threading.Thread] = set()
        self.fast = threading.Event()
        self.fast.set()

    def save(self) -> int:
        """Write, as `Autosave` asks for it."""
        self.threads.add(threading.current_thread())
        assert self.fast.wait(30)
        if self.error is not None:
            raise self.error
        self.saves += 1
        return self.saves


@pytest.fixture
def disk():
    made = Disk()
    yield made
    made.fast.set()


@pytest.fixture
def autosave(qapp, disk, saved_soon):
    made = Autosave(disk.save)
    made.heard = []
    made.saved.connect(lambda pieces: made.heard.append(pieces))
    made.failed.connect(lambda sentence: made.heard.append(sentence))
    yield made
    disk.fast.set()
    disk.error = None
    made.close(save=False)


def begun(disk: Disk, until) -> None:
    until(lambda: bool(disk.threads), 5)


def test_many_strokes_are_one_save_in_a_thread(autosave, disk, until):
    for _ in range(5):
        autosave.request()
    assert autosave.pending
    assert disk.saves == 0
    until(lambda: not autosave.pending, 5)
    assert autosave.heard == [1]
    assert disk.threads.isdisjoint({threading.main_thread()})


def test_strokes_do_not_push_the_save_back(autosave, disk, until):
    def stroke() -> bool:
        autosave.request()
        return disk.saves > 0

    autosave._timer.setInterval(200)
    until(stroke, 30)  # one every 10 ms


def test_a_stroke_while_saving_is_saved_afterwards(autosave, disk, until):
    disk.fast.clear()
    autosave.request()
    begun(disk, until)
    autosave.request()
    until(lambda: not autosave._timer.isActive(), 5)  # it is due before the first one is over
    disk.fast.set()
    until(lambda: not autosave.pending, 5)
    assert autosave.heard == [1, 2]


def test_a_failed_save_is_tried_again_without_another_stroke(autosave, disk, until, monkeypatch):
    monkeypatch.setattr("napari_sslseg.app.autosave.RETRY_MS", (50, 200))
    autosave._wait = 50
    disk.error = OSError(28, "No space left on device")
    autosave.request()
    until(lambda: autosave._wait == 200, 5)  # it has failed twice
    assert len(autosave.heard) == 1
    disk.error = None
    until(lambda: disk.saves == 1, 5)
    until(lambda: len(autosave.heard) == 2, 5)
    assert autosave.heard[-1] == 1
    assert autosave._wait == 50


@pytest.mark.parametrize("waits", [True, False])
def test_a_failed_save_that_somebody_waited_for_is_tried_again(
    autosave, disk, until, monkeypatch, waits
):
    monkeypatch.setattr("napari_sslseg.app.autosave.RETRY_MS", (50, 200))
    autosave._wait = 50
    disk.error = OSError(28, "No space left on device")
    if waits:
        with pytest.raises(OSError, match="No space"):
            autosave.flush()
    else:
        failures = []
        autosave.flush_then(pytest.fail, lambda: failures.append(1))
        until(lambda: bool(failures), 5)
    until(lambda: autosave._wait == 200, 5)  # it was tried once more
    assert len(autosave.heard) == 1
    disk.error = None
    until(lambda: autosave.heard[1:] == [1], 5)


def test_a_failure_is_told_in_a_sentence_and_the_next_stroke_tries_again(autosave, disk, until):
    disk.error = OSError(28, "No space left on device")
    autosave.request()
    until(lambda: not autosave.pending, 5)
    assert autosave.heard == [
        "Not saved: No space left on device. Your work is still in the viewer."
    ]
    disk.error = None
    autosave.request()
    until(lambda: not autosave.pending, 5)
    assert autosave.heard[1:] == [1]


def test_flush_waits_and_raises_what_went_wrong(autosave, disk):
    autosave.request()
    autosave.flush()
    assert disk.saves == 1
    assert not autosave.pending, "nothing is left to be saved"
    disk.error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        autosave.flush()


@pytest.mark.parametrize("error", [None, OSError(28, "No space left on device")])
def test_what_follows_a_save_is_done_when_it_is_over_on_the_thread_of_the_window(
    autosave, disk, until, error
):
    disk.fast.clear()
    disk.error = error
    order = []

    def note(word: str) -> None:
        assert threading.current_thread() is threading.main_thread()
        order.append(word)

    autosave.failed.connect(lambda sentence: order.append("told"))
    autosave.flush_then(lambda: note("done"), lambda: note("failed"))
    QApplication.processEvents()
    assert order == []
    assert autosave.pending
    disk.fast.set()
    until(lambda: not autosave.pending, 5)
    assert order == (["done"] if error is None else ["told", "failed"])


def test_other_work_comes_after_what_was_asked_for_before(autosave, disk, until):
    disk.fast.clear()
    autosave.request()
    begun(disk, until)
    seen = []
    autosave.do(lambda: seen.append(disk.saves))
    disk.fast.set()
    until(lambda: not autosave.pending, 5)
    assert seen == [1]


def test_the_end_waits_for_a_slow_disk_and_does_not_call_that_a_failure(
    autosave, disk, monkeypatch
):
    import napari_sslseg.app.autosave as module

    def hurried(pool, work):
        future = submit(pool, work)
        result = future.result
        # As if the time that anyone may have set were over already.
        future.result = lambda timeout=None: result(None if timeout is None else 0.01)
        return future

    submit = module.ThreadPoolExecutor.submit
    monkeypatch.setattr(module.ThreadPoolExecutor, "submit", hurried)
    disk.fast.clear()
    autosave.do(disk.save)
    threading.Timer(0.3, disk.fast.set).start()
    autosave.close()
    assert disk.saves == 2
    assert not any(thread.is_alive() for thread in disk.threads)


def test_the_end_on_a_full_disk_says_so_and_ends_the_thread(autosave, disk):
    disk.error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space"):
        autosave.close()
    assert not any(thread.is_alive() for thread in disk.threads)


def test_after_the_end_nothing_is_asked_for_any_more(autosave, disk, until):
    disk.fast.clear()
    autosave.request()
    begun(disk, until)
    autosave.request()
    until(lambda: autosave._again, 5)
    disk.fast.set()
    autosave.close()
    assert disk.saves == 2
    until(lambda: autosave._running is None, 5)  # which asked for another one
    autosave.request()
    assert not autosave.pending
