"""What the last phase will take, from what was measured."""

from __future__ import annotations

import pytest

from napari_sslseg.training.foresight import Foresight, Unhurried


def test_nothing_is_foreseen_of_what_was_never_measured():
    assert Foresight().needed(80, 2) == 0


def test_slices_and_judgings_add_up():
    foresight = Foresight()
    foresight.judged(3.0)
    foresight.predicted(4, 2.0)
    assert foresight.needed(10, 1.5) == pytest.approx(10 * 0.5 + 1.5 * 3.0)


def test_a_machine_that_slows_slows_the_judging_too():
    foresight = Foresight()
    foresight.judged(3.0)
    foresight.predicted(1, 0.5)
    foresight.predicted(1, 1.5)  # a single one counts half
    assert foresight.needed(1, 0) == pytest.approx(1.0)
    assert foresight.needed(0, 1) == pytest.approx(6.0)
    foresight.judged(8.0)
    assert foresight.needed(0, 1) == pytest.approx(8.0)


def test_a_measurement_may_count_alone():
    foresight = Foresight()
    foresight.predicted(1, 0.5)
    foresight.predicted(1, 9.5)
    foresight.predicted(1, 0.5, anew=True)
    assert foresight.needed(10, 0) == pytest.approx(5.0)


def test_a_reserve_is_a_little_more_than_what_is_foreseen():
    foresight = Foresight()
    foresight.judged(3.0)
    foresight.predicted(4, 2.0)
    assert foresight.reserve(10, 1.0, 60.0) == pytest.approx(1.1 * 8.0 + 1.2)


def test_nothing_is_reserved_where_no_time_is_kept():
    foresight = Unhurried()
    foresight.judged(3.0)
    foresight.predicted(4, 2.0)
    assert not foresight.wanted
    assert foresight.needed(10, 1.0) == foresight.reserve(10, 1.0, 60.0) == 0
