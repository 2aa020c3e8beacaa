"""Freed memory does not stay with the process."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from napari_sslseg.training import freed_memory


@pytest.mark.skipif(freed_memory._TRIM is None, reason="the C library has no call for it")
def test_holes_between_what_is_kept_are_given_back():
    process = psutil.Process()
    # Too small to be mapped each for itself; the last one keeps the heap from shrinking.
    small = [np.ones(8_000) for _ in range(4_000)]
    kept = small[-1]
    del small
    before = process.memory_info().rss
    freed_memory.give_back()
    assert before - process.memory_info().rss > 100e6
    assert kept.all()


def test_where_there_is_no_call_nothing_happens(monkeypatch):
    monkeypatch.setattr(freed_memory, "_TRIM", None)
    freed_memory.give_back()
