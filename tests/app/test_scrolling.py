"""What waits while slices go by, and that all of it catches up."""

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QListView

from napari_sslseg.app import open_counts
from napari_sslseg.app.open_counts import OpenCounts


def test_one_step_is_told_at_once_and_many_when_they_rest(started, until):
    viewer, panel = started
    session, scrolling = panel.session, panel.scrolling
    layer_list = next(
        view
        for view in viewer.window._qt_window.findChildren(QListView)
        if type(view).__name__ == "QtLayerList"
    ).viewport()

    def text() -> str:
        return panel.references.hint.text()

    until(lambda: not scrolling.under_way)
    session.go_to(3)
    assert text().startswith("Slice 3:")
    assert not layer_list.updatesEnabled()
    told = []
    scrolling.arrived.connect(lambda: told.append(session.references.current_slice()))
    for index in (4, 5, 6):
        session.go_to(index)
        assert panel.top.strip._current == index  # where one is can be seen all the time
    assert text().startswith("Slice 3:")
    until(lambda: not scrolling.under_way)
    assert text().startswith("Slice 6:")
    assert told == [6]
    assert layer_list.updatesEnabled()

    scrolling._rest.setInterval(60_000)  # a film, whose end is not waited for
    scrolling._most.setInterval(50)

    def play() -> bool:
        session.go_to(session.references.current_slice() % 11 + 1)
        return len(told) >= 3

    until(play)
    assert scrolling.under_way

    panel.close_session()
    assert layer_list.updatesEnabled()
    told.clear()
    viewer.dims.set_current_step(0, 2)
    viewer.dims.set_current_step(0, 3)
    assert layer_list.updatesEnabled()
    assert told == []


def test_a_count_rests_while_the_user_acts_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(open_counts, "MOST_REST", 0.2)
    counts = OpenCounts()

    slept = []
    monkeypatch.setattr(open_counts.time, "sleep", slept.append)

    def rested(rest) -> float:
        slept.clear()
        rest()
        return sum(slept)

    rest = counts._rests()
    assert rested(rest) == 0
    counts.acting = lambda: True
    assert rested(rest) == pytest.approx(open_counts.MOST_REST, abs=0.1)
    assert rested(rest) == 0  # it has rested enough
    rest = counts._rests()
    counts.close()
    assert rested(rest) == 0
