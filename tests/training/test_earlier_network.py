"""Which network a run goes on from."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_sslseg.training.checkpoint import read_head
from napari_sslseg.training.earlier_network import EarlierNetwork
from napari_sslseg.training.outcome import Outcome, TaughtOutcome
from napari_sslseg.training.plan import Plan
from napari_sslseg.training.recipe import Recipe
from napari_sslseg.training.tiles import Tiles

from .balls import DEPTH, add, ball, make_cohort

ABOUT = {"framework": "fixmatch"}
PLAN = Plan(torch.device("cpu"), False, "fixmatch", Tiles((32, 40), (), 2))
TESTED = Outcome(0.8, 0.7, Recipe())
TAUGHT = TaughtOutcome(0.85, 0.95, Recipe())


@pytest.fixture
def cohort(tmp_path):
    made = make_cohort(tmp_path / "p", slices=(3, 8, 12))
    add(made, "other", ball(7, 24, 26), range(DEPTH))
    return made


def network(value: float) -> nn.Linear:
    made = nn.Linear(2, 2)
    nn.init.constant_(made.weight, value)
    return made


def kept(cohort, key="", outcome=TESTED, teachers=()) -> None:
    """Let a run on a volume end with a network of ones."""
    earlier = EarlierNetwork(cohort.open(key), resume=True)
    earlier.load(network(0.0), ABOUT, teachers)
    earlier.keep(network(1.0), ABOUT, PLAN, outcome)


def load(cohort, teachers=(), about=ABOUT, resume=True, key="") -> tuple[EarlierNetwork, bool]:
    earlier, target = EarlierNetwork(cohort.open(key), resume), network(0.0)
    went_on = earlier.load(target, about, teachers)
    assert bool(target.weight.eq(1.0 if went_on else 0.0).all())
    return earlier, went_on


def test_a_first_run_begins_anew(cohort):
    earlier, went_on = load(cohort)
    assert not went_on
    assert not earlier.own
    assert earlier.outcome is None
    assert earlier.tiles is None


def test_the_next_run_goes_on_with_what_the_test_has_told(cohort):
    kept(cohort)
    earlier, went_on = load(cohort)
    assert went_on
    assert earlier.own
    assert earlier.outcome == TESTED
    assert (earlier.tiles.size, earlier.tiles.reduction) == ((32, 40), 2)


@pytest.mark.parametrize("changed", [{"resume": False}, {"about": {"framework": "semsim"}}])
def test_one_that_is_not_wanted_or_does_not_fit_stays_away(cohort, changed):
    kept(cohort)
    earlier, went_on = load(cohort, **changed)
    assert not went_on
    assert earlier.outcome is None


def test_one_of_another_volume_begins_but_tells_nothing_of_this_one(cohort):
    other = cohort.keys[1]
    kept(cohort, other)
    earlier, went_on = load(cohort)
    assert went_on
    assert not earlier.own
    assert earlier.outcome is None
    earlier.keep(network(1.0), ABOUT, PLAN, TESTED)
    # What the other one's network knew, this one knows too.
    assert read_head(cohort.open("").models)["seen"] == ["", other]


def test_new_teachers_are_tested_with_a_network_that_has_not_seen_them(cohort):
    other = cohort.keys[1]
    kept(cohort)
    assert not load(cohort, teachers=(other,))[1]
    kept(cohort, outcome=TAUGHT, teachers=(other,))
    earlier, went_on = load(cohort, teachers=(other,))
    assert went_on
    assert earlier.outcome == TAUGHT


def test_what_teachers_taught_is_not_told_when_they_are_gone(cohort):
    kept(cohort, outcome=TAUGHT, teachers=(cohort.keys[1],))
    earlier, went_on = load(cohort)
    assert went_on
    assert earlier.outcome is None


def test_teachers_whose_test_told_too_little_are_tested_again(cohort):
    other = cohort.keys[1]
    kept(cohort, outcome=TaughtOutcome(0.85, 0.95, Recipe(), few=True), teachers=(other,))
    assert not load(cohort, teachers=(other,))[1]
