"""What a round leaves to the next one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_sslseg.training.outcome import (
    BETTER,
    TELLING,
    TRUSTED,
    Outcome,
    TaughtOutcome,
    likely_matching,
    tiles_of,
    to_test_anew,
)
from napari_sslseg.training.recipe import Recipe


@pytest.mark.parametrize(
    "outcome",
    [Outcome(0.8, 0.75, Recipe(0.05)), TaughtOutcome(0.8, 0.6, Recipe(0.05), 0.4, few=True)],
)
def test_an_outcome_survives_the_head_of_a_model(outcome):
    head = json.loads(json.dumps({"frame": [96, 64], "reduction": 2, **outcome.to_json()}))
    assert Outcome.of(head) == outcome
    tiles = tiles_of(head)
    assert tiles is not None
    assert (tiles.size, tiles.reduction) == ((96, 64), 2)


def test_a_head_without_a_test_stage_or_frame_tells_nothing():
    assert Outcome.of({}) is None
    assert tiles_of({"frame": "96"}) is None


def test_models_from_before_reductions_are_at_full_resolution():
    tiles = tiles_of({"frame": [40, 40]})
    assert tiles is not None
    assert tiles.reduction == 1


def test_the_error_ratio_compares_errors_not_scores():
    assert abs(Outcome(0.9, 0.8, Recipe()).error_ratio - 0.5) < 1e-9
    assert Outcome(0.9, 1.0, Recipe()).error_ratio > 1


def test_how_good_the_matching_is_everywhere_follows_from_what_it_has_in_common_with_a_network():
    assert likely_matching(0.9, 0.45) == pytest.approx(0.5)
    assert likely_matching(0.5, 0.7) == 1
    assert likely_matching(0.0, 0.0) == 0


def test_propagated_labels_are_not_shown_where_a_taught_network_knows_better():
    better = TaughtOutcome(0.8, 0.8 - BETTER - 0.05, Recipe())
    alike = replace(better, matching=0.75)
    assert better.knows_better
    assert better.own_share == 0
    assert better.error_ratio < 1
    assert not alike.knows_better
    assert alike.own_share == 1
    assert not alike.dismisses_others


def test_others_are_dismissed_where_the_matching_is_clearly_better():
    worse = TaughtOutcome(0.8, 0.8 + BETTER + 0.05, Recipe())
    assert worse.dismisses_others
    assert not worse.heard
    assert worse.error_ratio == 1  # the matching teaches it, and takes part
    assert not replace(worse, few=True).dismisses_others


def test_nothing_is_known_of_a_network_that_others_no_longer_teach():
    alone = TaughtOutcome(0.5, 0.7, Recipe(0.05)).without_others()
    assert (alone.gain, alone.error_ratio) == (0, 1)
    assert alone.recipe == Recipe()
    assert alone.dismisses_others  # nor do they teach the next time
    assert alone.without_others() is alone


def test_a_network_that_is_neither_better_nor_like_the_matching_has_not_learned_yet():
    begun = TaughtOutcome(0.6, 0.8, Recipe())
    assert begun.early
    assert not begun.dismisses_others
    assert to_test_anew(begun.to_json())
    assert not to_test_anew(TaughtOutcome(0.85, 0.95, Recipe()).to_json())


def test_a_network_that_is_a_little_better_is_heard_and_taught_by_both():
    little = TaughtOutcome(0.8, 0.8 - BETTER / 2, Recipe())
    assert little.heard
    assert not little.early
    assert not little.knows_better
    assert little.own_share == 1


@pytest.mark.parametrize("few", [False, True])
def test_a_network_that_only_others_have_taught_is_believed_where_it_is_mostly_right(few):
    right, wrong = (
        TaughtOutcome(network, 0.2, Recipe(), few=few) for network in (TRUSTED + 0.1, TRUSTED - 0.1)
    )
    assert right.knows_better
    assert not wrong.knows_better
    for outcome in (right, wrong):
        assert not outcome.dismisses_others
    assert right.heard
    assert not wrong.heard
    # One that is not believed may have needed more time; few slices tell nothing twice.
    assert to_test_anew(wrong.to_json())
    assert to_test_anew(right.to_json()) == few
    assert wrong.own_share == (0 if few else 1)


def test_what_was_found_without_others_is_not_tested_anew():
    assert not to_test_anew(Outcome(0.1, 0.7, Recipe()).to_json())
    assert not to_test_anew({})


def test_small_sections_of_an_object_tell_nothing_of_a_network():
    end = TaughtOutcome(0.1, 1.0, Recipe(), TELLING - 0.1, few=True)
    assert end.knows_better
    assert not end.telling
    assert not end.matching_as_good
    middle = replace(end, extent=1.0)
    assert not middle.knows_better
    assert middle.matching_as_good


def test_the_matching_is_as_good_where_it_has_enough_in_common_with_the_network():
    assert TaughtOutcome(0.8, likely_matching(0.8, 0.7), Recipe()).matching_as_good
    assert not TaughtOutcome(0.8, likely_matching(0.8, 0.5), Recipe()).matching_as_good
