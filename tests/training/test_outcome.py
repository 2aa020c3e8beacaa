"""What a round leaves to the next one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from napari_sslseg.training.outcome import (
    BEGUN,
    TELLING,
    TRUSTED,
    UNLIKE_PRIOR,
    Outcome,
    UnaidedOutcome,
    tiles_of,
    to_test_anew,
)
from napari_sslseg.training.recipe import Recipe


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(0.8, 0.75, Recipe(0.05), 0.7),
        UnaidedOutcome(0.8, 0.0, Recipe(0.05), 0.7, extent=0.4),
    ],
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
    assert Outcome(0.9, 0.4, Recipe(), 0.45).matching_everywhere == pytest.approx(0.5)
    assert Outcome(0.5, 0.4, Recipe(), 0.7).matching_everywhere == 1
    assert Outcome(0.0, 0.4, Recipe(), 0.0).matching_everywhere == 0


def test_propagated_labels_weigh_less_where_a_taught_network_knows_better_all_over():
    def weight(network: float, likeness: float) -> float:
        return Outcome(network, 0.4, Recipe(), likeness).prior_weight

    assert weight(0.8, 0.8 * 0.6) == UNLIKE_PRIOR
    assert weight(0.8, 0.8 * 0.75) == 1  # the matching is as good
    assert weight(0.45, 0.45 * 0.3) == 1  # the network is no better
    assert Outcome(0.8, 0.4, Recipe()).knows_better
    assert not Outcome(0.45, 0.4, Recipe()).knows_better


def test_nothing_is_known_of_a_network_that_others_no_longer_teach():
    alone = Outcome(0.5, 0.7, Recipe(0.05), 0.8).without_others()
    assert (alone.gain, alone.error_ratio, alone.prior_weight) == (0, 1, 1)
    assert alone.recipe == Recipe()
    assert alone.dismisses_others  # nor do they the next time


def test_a_test_that_came_too_early_dismisses_nobody():
    early, late = (Outcome(0.3, 0.4, Recipe(), likeness) for likeness in (BEGUN - 0.1, 0.9))
    assert not early.dismisses_others
    assert late.dismisses_others
    assert not Outcome(0.8, 0.4, Recipe(), 0.9).dismisses_others
    assert to_test_anew(early.to_json())
    assert not to_test_anew(late.to_json())
    assert not to_test_anew({})


def test_a_network_that_only_others_have_taught_is_believed_where_it_is_mostly_right():
    right, wrong = (
        UnaidedOutcome(network, 0.0, Recipe(), 0.9) for network in (TRUSTED + 0.1, TRUSTED - 0.1)
    )
    assert right.knows_better
    assert not wrong.knows_better
    assert not right.early
    assert wrong.early
    for outcome in (right, wrong):
        assert not outcome.dismisses_others
        assert outcome.prior_weight == 0
        assert to_test_anew(outcome.to_json())


def test_small_sections_of_an_object_tell_nothing_of_a_network():
    end = UnaidedOutcome(0.1, 0.0, Recipe(), 0.4, extent=TELLING - 0.1)
    assert end.knows_better
    assert not end.telling
    assert not end.matching_as_good
    middle = replace(end, extent=1.0)
    assert not middle.knows_better
    assert middle.matching_as_good  # 0.4 in common with a network of 0.1


def test_the_matching_is_as_good_where_it_has_enough_in_common_with_the_network():
    assert UnaidedOutcome(0.8, 0.0, Recipe(), 0.7).matching_as_good
    assert not UnaidedOutcome(0.8, 0.0, Recipe(), 0.5).matching_as_good
