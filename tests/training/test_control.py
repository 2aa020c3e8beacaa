"""Pausing, cancelling and making way, with real threads and short times."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from napari_sslseg.methods.check_point import check_point, checked
from napari_sslseg.training import control as module
from napari_sslseg.training.clock import Clock
from napari_sslseg.training.control import MOST, Cancelled, Control


def seconds(call) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def test_way_is_made_for_the_time_told_and_no_longer():
    control = Control()
    assert seconds(control.check) < 0.1
    control.make_way(0.2)
    assert 0.19 <= seconds(control.check) < 0.6
    assert seconds(control.check) < 0.1
    assert control.way_seconds == pytest.approx(0.2, abs=0.1)


def test_told_again_it_goes_on_waiting():
    control = Control()
    control.make_way(0.2)
    threading.Timer(0.1, control.make_way, [0.3]).start()
    assert seconds(control.check) >= 0.38


def test_a_user_who_never_rests_gets_a_third_of_the_time_worked(monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 0.1)
    monkeypatch.setattr(module, "_AT_LEAST", 0.05)
    control = Control()
    begin, worked = time.monotonic(), 0.0
    while (wall := time.monotonic() - begin) < 1.2:
        control.make_way(5.0)
        worked += seconds(lambda: time.sleep(0.01))
        control.check()
    assert worked >= 0.8 * (1 - MOST) * wall - 0.1
    assert 0.3 * wall < control.way_seconds <= MOST * wall + 0.15


def test_neither_pauses_nor_way_count_against_the_budget():
    control = Control()
    control.make_way(0.2)
    control.check()
    clock = Clock(10.0, control)
    assert clock.spent < 0.1  # what was before the clock is not taken off either
    assert clock.spent >= 0
    control.make_way(0.3)
    # Two threads that wait at the same time are one wait.
    waits = [threading.Thread(target=control.check) for _ in range(2)]
    for thread in waits:
        thread.start()
    time.sleep(0.15)
    assert clock.spent < 0.1  # not even while it lasts
    for thread in waits:
        thread.join()
    control.pause()
    threading.Timer(0.2, control.resume).start()
    control.check()
    assert control.paused_seconds == pytest.approx(0.7, abs=0.15)
    assert control.way_seconds == pytest.approx(0.5, abs=0.12)
    assert 0 <= clock.spent < 0.2
    time.sleep(0.1)
    assert clock.spent >= 0.1


def test_cancel_comes_through_a_wait():
    control = Control()
    control.make_way(5.0)
    threading.Timer(0.1, control.cancel).start()
    begin = time.monotonic()
    with pytest.raises(Cancelled):
        control.check()
    assert time.monotonic() - begin < 1


def test_a_run_works_a_while_before_it_makes_way():
    control = Control(first_work=0.3)
    control.make_way(5.0)
    assert seconds(control.check) < 0.1
    time.sleep(0.35)
    control.make_way(0.2)
    threading.Timer(0.3, control.cancel).start()
    with pytest.raises(Cancelled):
        control.check()
    assert control.way_seconds >= 0.2


def test_no_way_is_made_where_there_are_cores_enough_or_a_gpu(monkeypatch):
    control = Control()
    for device, cores, expected in (("cpu", 2, True), ("cpu", 8, False), ("cuda", 2, False)):
        monkeypatch.setattr(module, "usable_cores", lambda cores=cores: cores)
        control.runs_on(device)
        assert control.shares_processor is expected


def test_on_a_gpu_no_way_is_made_but_pauses_hold():
    control = Control()
    control.shares_processor = False
    control.make_way(5.0)
    assert seconds(control.check) < 0.1
    control.pause()
    threading.Timer(0.2, control.resume).start()
    assert seconds(control.check) >= 0.19
    assert control.way_seconds == 0


def test_only_a_wait_that_can_be_noticed_is_told(monkeypatch):
    monkeypatch.setattr(module, "_TELL_AFTER", 0.1)
    control, told = Control(), []
    control.on_way = lambda waiting, seconds: told.append((waiting, round(seconds, 1)))
    control.make_way(0.05)
    control.check()
    assert told == []
    control.make_way(0.3)
    control.check()
    assert [waiting for waiting, _ in told] == [True, False]
    assert told[1][1] == pytest.approx(0.35, abs=0.1)


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
