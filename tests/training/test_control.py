"""Pausing, cancelling and making way, on a clock that goes on only while somebody waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

from napari_sslseg.methods.check_point import check_point, checked
from napari_sslseg.training import control as module
from napari_sslseg.training.clock import Clock
from napari_sslseg.training.control import AT_ONCE, MOST, Cancelled, Control


class Timeline:
    """Time that passes while something waits or works; what is planned happens on the way."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._planned: list[tuple[float, Callable[[], object]]] = []

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Plan a call."""
        self._planned.append((self.seconds + seconds, call))
        self._planned.sort(key=lambda planned: planned[0])

    def now(self) -> float:
        """Return the time."""
        return self.seconds

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        """Go on to what is planned next, or by so many seconds."""
        end = self.seconds + seconds
        if self._planned and self._planned[0][0] <= end:
            self.seconds, call = self._planned.pop(0)
            call()
        else:
            assert seconds < 1000, "nothing would ever end this wait"
            self.seconds = end + 1e-9  # however short, some time passes

    def work(self, seconds: float) -> None:
        """Let so many seconds pass."""
        self.seconds += seconds


@pytest.fixture
def timeline():
    return Timeline()


@pytest.fixture
def control(timeline):
    return Control(watch=timeline)


def test_way_is_made_for_the_time_told_and_no_longer(control, timeline):
    control.check()
    assert timeline.now() == 0
    control.make_way(0.2)
    control.check()
    control.check()
    assert timeline.now() == control.paused_seconds == pytest.approx(0.2)


def test_told_again_it_goes_on_waiting(control, timeline):
    control.make_way(0.2)
    timeline.after(0.1, lambda: control.make_way(0.3))
    control.check()
    assert timeline.now() == pytest.approx(0.4)


def test_a_user_who_never_rests_gets_two_thirds_of_the_time(control, timeline):
    for _ in range(3000):
        control.make_way(5.0)
        timeline.work(0.1)
        control.check()
    worked, wall = 300, timeline.now()
    assert control.paused_seconds == pytest.approx(wall - worked)
    assert control.paused_seconds == pytest.approx(MOST * wall + (1 - MOST) * AT_ONCE, abs=3)


def test_neither_pauses_nor_way_count_against_the_budget(control, timeline):
    control.make_way(0.2)
    control.check()
    clock = Clock(10.0, control)
    assert clock.spent == 0  # what was before the clock is not taken off either
    control.make_way(0.3)
    timeline.after(0.1, control.check)  # two that wait at the same time are one wait
    timeline.after(0.15, lambda: spent.append(clock.spent))
    spent: list[float] = []
    control.check()
    assert spent == [pytest.approx(0)]  # not even while it lasts
    control.pause()
    timeline.after(0.2, control.resume)
    control.check()
    assert control.paused_seconds == pytest.approx(0.7)
    timeline.work(0.1)
    assert clock.spent == pytest.approx(0.1)


def test_cancel_comes_through_a_wait(control, timeline):
    control.make_way(5.0)
    timeline.after(0.1, control.cancel)
    with pytest.raises(Cancelled):
        control.check()
    assert timeline.now() == pytest.approx(0.1)


@pytest.mark.parametrize("change", ["resume", "cancel"])
def test_another_thread_ends_a_pause(change):
    waits, ended = threading.Event(), []

    class Announced(module.Watch):
        def wait(self, changed, seconds):
            waits.set()
            super().wait(changed, seconds)

    control = Control(watch=Announced())

    def run() -> None:
        try:
            control.check()
            ended.append("resume")
        except Cancelled:
            ended.append("cancel")

    control.pause()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert waits.wait(30)
    getattr(control, change)()
    thread.join(30)
    assert ended == [change]


def test_a_run_works_a_while_before_it_makes_way(timeline):
    control = Control(first_work=0.3, watch=timeline)
    control.make_way(5.0)
    control.check()
    assert timeline.now() == 0
    timeline.work(0.35)
    control.make_way(0.2)
    timeline.after(0.3, control.cancel)
    with pytest.raises(Cancelled):
        control.check()
    assert control.paused_seconds == pytest.approx(0.3)


def test_no_way_is_made_where_there_are_cores_enough_or_a_gpu(monkeypatch):
    control = Control()
    for device, cores, expected in (("cpu", 2, True), ("cpu", 8, False), ("cuda", 2, False)):
        monkeypatch.setattr(module, "usable_cores", lambda cores=cores: cores)
        control.runs_on(device)
        assert control.shares_processor is expected


def test_on_a_gpu_no_way_is_made_but_pauses_hold(control, timeline):
    control.shares_processor = False
    control.make_way(5.0)
    control.check()
    assert timeline.now() == 0
    control.pause()
    timeline.after(0.2, control.resume)
    control.check()
    assert timeline.now() == control.paused_seconds == pytest.approx(0.2)


def test_only_a_wait_that_can_be_noticed_is_told(control, timeline):
    told = []
    control.on_way = lambda waiting, seconds: told.append((timeline.now(), waiting, seconds))
    control.make_way(0.4)
    control.check()
    assert told == []
    control.make_way(0.8)
    control.check()
    assert told == [pytest.approx((0.9, True, 0.9)), pytest.approx((1.2, False, 1.2))]


def test_check_points_deep_in_the_work_call_who_runs_it():
    check_point()  # nobody runs it
    control = Control()
    control.cancel()
    with checked(control.check), pytest.raises(Cancelled):
        check_point()
    check_point()


def test_every_layer_is_a_check_point_forward_and_backward():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(inplace=True))
    passed = []
    with checked(lambda: passed.append(1)):
        loss = network(torch.zeros(1, 1, 5, 5)).sum()
        assert len(passed) == 3  # two layers, and what holds them
        loss.backward()
        assert len(passed) > 3
        gradients = [p.grad.clone() for p in network.parameters()]
    passed.clear()
    network.zero_grad()
    network(torch.zeros(1, 1, 5, 5)).sum().backward()
    assert not passed
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), gradients, strict=True))
    control = Control()
    with checked(control.check):
        loss = network(torch.zeros(1, 1, 5, 5)).sum()
        control.cancel()
        with pytest.raises(Cancelled):
            loss.backward()
