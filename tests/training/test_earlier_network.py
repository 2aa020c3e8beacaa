"""Which network a run goes on from."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from napari_sslseg.training.checkpoint import read_head
from napari_sslseg.training.earlier_network import EarlierNetwork
from napari_sslseg.training.outcome import FEWEST_STEPS, Outcome, TaughtOutcome
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


def kept(cohort, key="", outcome=TESTED, teachers=(), steps=FEWEST_STEPS) -> None:
    """Let a run on a volume end with a network of ones."""
    earlier = EarlierNetwork(cohort.open(key), resume=True)
    earlier.load(network(0.0), ABOUT, teachers)
    earlier.keep(network(1.0), ABOUT, PLAN, outcome, steps)


def load(
    cohort, teachers=(), about=ABOUT, resume=True, key="", testable=False
) -> tuple[EarlierNetwork, bool]:
    earlier, target = EarlierNetwork(cohort.open(key), resume), network(0.0)
    wanted = earlier.wanted(about, teachers, testable)
    went_on = earlier.load(target, about, teachers, testable)
    assert wanted == went_on
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
    earlier.keep(network(1.0), ABOUT, PLAN, TESTED, 1)
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


def test_one_that_has_hardly_learned_is_no_start_for_any_volume(cohort):
    kept(cohort, steps=FEWEST_STEPS - 1)
    assert not load(cohort, key=cohort.keys[1])[1]
    earlier, went_on = load(cohort)
    assert not went_on
    assert earlier.outcome is None
    assert earlier.steps == 0


def test_steps_add_up_over_the_runs_that_go_on(cohort):
    kept(cohort)
    kept(cohort, steps=7)
    models = cohort.open("").models
    assert read_head(models)["steps"] == load(cohort)[0].steps == FEWEST_STEPS + 7
    head = read_head(models)
    del head["steps"]
    (models / "model.json").write_text(json.dumps(head))
    assert not load(cohort)[1]  # nobody knows whether it has learned


def test_one_that_could_not_be_tested_begins_anew_once_it_can_be(cohort):
    kept(cohort, outcome=None)
    assert load(cohort)[1]
    assert not load(cohort, testable=True)[1]
    # Of another volume nothing was known anyway, and it has not seen what it is tested on.
    assert load(cohort, key=cohort.keys[1], testable=True)[1]
    kept(cohort)
    assert load(cohort, testable=True)[1]


def test_one_whose_teachers_are_gone_is_tested_by_itself(cohort):
    kept(cohort, outcome=TAUGHT, teachers=(cohort.keys[1],))
    assert load(cohort, teachers=(cohort.keys[1],), testable=True)[1]
    assert not load(cohort, testable=True)[1]
