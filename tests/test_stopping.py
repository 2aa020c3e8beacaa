"""Signals that end a command between two steps."""

from __future__ import annotations

import signal
import threading

import pytest

from napari_sslseg.stopping import stoppable
from napari_sslseg.training.control import Cancelled


def test_a_signal_cancels_and_handlers_are_put_back():
    before = signal.getsignal(signal.SIGTERM)
    with stoppable() as control:
        control.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Cancelled):
            control.check()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stoppable() as control:
            signal.raise_signal(signal.SIGTERM)
            control.check()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_than_the_main_one_sets_no_handlers():
    before, found = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with stoppable() as control:
            control.check()
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]
