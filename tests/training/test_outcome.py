"""What a round leaves to the next one."""

from __future__ import annotations

import json

from napari_sslseg.training.outcome import (
    BEGUN,
    UNLIKE,
    UNLIKE_PRIOR,
    Outcome,
    tiles_of,
    was_early,
)
from napari_sslseg.training.recipe import Recipe


def test_an_outcome_survives_the_head_of_a_model():
    outcome = Outcome(0.8, 0.75, Recipe(0.05), 0.7)
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


def test_propagated_labels_weigh_less_where_a_taught_network_knows_better_and_says_otherwise():
    def weight(network: float, likeness: float) -> float:
        return Outcome(network, 0.4, Recipe(), likeness).prior_weight

    assert weight(0.8, UNLIKE - 0.1) == UNLIKE_PRIOR
    assert weight(0.8, UNLIKE + 0.1) == 1  # both say the same
    assert weight(0.45, UNLIKE - 0.1) == 1  # the network is no better
    assert Outcome(0.8, 0.4, Recipe()).knows_better
    assert not Outcome(0.45, 0.4, Recipe()).knows_better


def test_a_test_that_came_too_early_dismisses_nobody():
    early, late = (Outcome(0.3, 0.4, Recipe(), likeness) for likeness in (BEGUN - 0.1, 0.9))
    assert not early.dismisses_others
    assert late.dismisses_others
    assert not Outcome(0.8, 0.4, Recipe(), 0.9).dismisses_others
    assert was_early(early.to_json())
    assert not was_early(late.to_json())
    assert not was_early({})
