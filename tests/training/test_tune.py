"""Threads and number format, by measuring."""

from __future__ import annotations

import itertools

import torch

from napari_sslseg.training import plan
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.tune import (
    HOPELESS,
    MARGIN,
    ROUNDS,
    Compute,
    fastest_of,
    tune,
    warm_up,
)

ONE, TWO = Compute(1, False), Compute(2, False)
ONE_SHORT, TWO_SHORT = Compute(1, True), Compute(2, True)


def measured(seconds: dict[Compute, list[float]]):
    """Return what measures as told, over and over, and the number of times it did."""
    left = {each: itertools.cycle(times) for each, times in seconds.items()}
    count = dict.fromkeys(seconds, 0)

    def measure(each: Compute) -> float:
        count[each] += 1
        return next(left[each])

    return measure, count


def test_a_second_thread_wins_if_it_is_clearly_faster():
    for share, expected in ((MARGIN - 0.01, TWO), (MARGIN + 0.01, ONE)):
        measure, _ = measured({ONE: [1.0], TWO: [share]})
        assert fastest_of([ONE, TWO], measure) == expected


def test_single_disturbances_decide_nothing():
    # Two of five are disturbed, of the one that should win tenfold.
    disturbed = [0.6, 6.0, 0.6, 6.0, 0.6, 0.6]
    measure, _ = measured({ONE: [1.0, 0.5, 1.0, 0.5, 1.0, 1.0], TWO: disturbed})
    assert fastest_of([ONE, TWO], measure) == TWO


def test_a_way_that_prepares_itself_slowly_is_not_hopeless():
    measure, _ = measured({ONE: [1.0], ONE_SHORT: [9.0, 0.5, 0.5, 0.5, 0.5, 0.5]})
    assert fastest_of([ONE, ONE_SHORT], measure) == ONE_SHORT


def test_hopeless_ways_are_given_up():
    slow = HOPELESS + 0.1
    measure, count = measured({ONE: [1.0], ONE_SHORT: [slow], TWO: [0.5], TWO_SHORT: [0.45]})
    assert fastest_of([ONE, ONE_SHORT, TWO, TWO_SHORT], measure) == TWO
    assert count == {ONE: 1 + ROUNDS, ONE_SHORT: 2, TWO: 1 + ROUNDS, TWO_SHORT: 1 + ROUNDS}


def test_a_plan_computes_as_was_measured(stack, monkeypatch):
    for bfloat16 in (False, True):
        monkeypatch.setattr(plan, "tune", lambda device, found=bfloat16: Compute(1, found))
        made = plan.make_plan(stack, TrainRequest(), torch.device("cpu"), 1.0 * (stack.ink > 0))
        assert made.tuned().bfloat16 is bfloat16


def test_what_is_found_is_set():
    before = torch.get_num_threads()
    try:
        found = tune(torch.device("cpu"))
        assert torch.get_num_threads() == found.threads
        assert tune(torch.device("meta")) == Compute(1, False)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_what_only_training_needs_is_left_for_later_when_somebody_waits(monkeypatch):
    made = []
    monkeypatch.setattr(torch.optim, "AdamW", made.append)
    for waits in (True, False):
        warm_up(torch.device("cpu"), lambda waits=waits: waits)
        assert bool(made) is not waits
