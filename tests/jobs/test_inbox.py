"""What a trainer hears: requests in turn, and commands to the run that they are meant for."""

from __future__ import annotations

import json
import threading

import pytest

from napari_sslseg.jobs import inbox as module
from napari_sslseg.jobs.inbox import Inbox
from napari_sslseg.training.control import Cancelled
from napari_sslseg.training.events import Cancelled as CancelledEvent
from napari_sslseg.training.events import Failed, Finished, Paused, Resumed

REQUEST = json.dumps({"preset": "reference", "seconds": 5})


def command(word: object, **more: object) -> str:
    return json.dumps({"command": word, **more})


@pytest.fixture
def left(monkeypatch):
    """Look at once whether a run is ended by force, and note the exit instead of leaving."""
    codes: list[int] = []
    monkeypatch.setattr(module.os, "_exit", codes.append)
    monkeypatch.setattr(module, "GRACE", 0.0)
    return codes


def settle() -> None:
    """Wait for those who look whether the process is to end."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join(10)


@pytest.fixture
def told():
    return []


@pytest.fixture
def inbox(told):
    return Inbox(told.append)


def test_requests_come_in_turn_each_with_switches_of_its_own(inbox, told, left):
    inbox.listen([REQUEST, command("pause"), command("resume")])
    settle()
    run = inbox.next()
    assert run.request == REQUEST
    assert told == [Paused(), Resumed()]
    assert inbox.next() is None
    other = Inbox(told.append)
    other.listen([REQUEST, REQUEST])
    assert other.next().control is not other.next().control


def test_it_is_known_whether_a_request_is_waited_for(inbox, left):
    assert not inbox.wanted
    inbox.listen([REQUEST])
    assert inbox.wanted
    inbox.next()
    assert inbox.next() is None  # the end of the lines


def test_the_end_of_the_input_cancels_the_run_and_ends_the_process(inbox, left):
    inbox.listen([REQUEST])
    settle()
    with pytest.raises(Cancelled):
        inbox.next().control.check()
    assert left == [3]


def test_a_run_that_does_not_end_when_cancelled_takes_the_process_with_it(inbox, told, left):
    inbox._ask(REQUEST)
    inbox._obey("cancel", {})
    settle()
    with pytest.raises(Cancelled):
        inbox.next().control.check()
    assert left == [3]
    assert told == []  # the end of the process is told by whoever sees it


@pytest.mark.parametrize("last", [Finished(1.0, ""), CancelledEvent(), Failed("A sentence.")])
def test_what_is_told_after_its_end_reaches_neither_the_run_nor_the_next_one(
    inbox, told, left, last
):
    inbox._ask(REQUEST)
    run = inbox.next()
    inbox.telling(run)(last)
    for word in ("pause", "cancel"):
        inbox._obey(word, {})
    inbox._ask(REQUEST)
    settle()
    run.control.check()
    inbox.next().control.check()
    assert told == [last]
    assert left == []


@pytest.mark.parametrize(("usual", "said"), [(0.2, {}), (0.0, {"seconds": 0.2})])
def test_a_run_that_ends_in_time_is_not_ended_by_force(inbox, told, left, monkeypatch, usual, said):
    monkeypatch.setattr(module, "GRACE", usual)
    inbox._ask(REQUEST)
    inbox._obey("cancel", said)
    inbox.telling(inbox.next())(CancelledEvent())
    settle()
    assert told == [CancelledEvent()]
    assert left == []


@pytest.mark.parametrize(
    "line", ["", "no JSON", "[1, 2]", "3", command("dance"), command("make way", seconds="long")]
)
def test_what_is_not_understood_is_passed_over(inbox, told, left, line):
    inbox.listen([line, REQUEST, line])
    settle()
    assert inbox.next().request == REQUEST
    assert inbox.next() is None
    assert told == []


def test_way_is_made_for_two_seconds_at_most(inbox, left):
    inbox._ask(REQUEST)
    run = inbox.next()
    asked = []
    run.control.make_way = asked.append
    for seconds in (0.5, 60):
        inbox._obey("make way", {"command": "make way", "seconds": seconds})
    assert asked == [0.5, module.MOST_WAY]
