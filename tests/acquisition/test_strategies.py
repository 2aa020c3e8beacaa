"""What each strategy chooses, and that all keep the rules."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.acquisition.content import look_at
from napari_sslseg.acquisition.error_reduction import ErrorReduction
from napari_sslseg.acquisition.evidence import Evidence
from napari_sslseg.acquisition.influence import influence
from napari_sslseg.acquisition.registry import STRATEGIES, best_of_volumes, create

every_strategy = pytest.mark.parametrize("name", sorted(STRATEGIES))


def evidence(depth: int = 20, known=(0, 10, 19), doubt=None, **more) -> Evidence:
    """Return evidence of an object in all slices; ``doubt`` is given by slice."""
    values = np.ones(depth)
    for z, voxels in (doubt or {}).items():
        values[z] = voxels
    regions = np.zeros((depth, 5), dtype=np.int64)
    regions[:, 1] = 100
    regions[:, 4] = values.astype(int)
    more.setdefault("areas", np.full(depth, 200))
    return Evidence(regions, tuple(known), values, **more)


def image_with_object(depth: int = 30) -> np.ndarray:
    """Return noise in slices 8 to 22, nothing around them."""
    image = np.zeros((depth, 24, 20), np.float32)
    image[8:23] = np.random.default_rng(0).normal(size=(15, 24, 20))
    return image


@every_strategy
def test_known_slices_are_never_suggested_and_none_twice(name):
    found = create(name).rank(evidence(known=(0, 7, 19), doubt={7: 500, 8: 80}), 30)
    assert sorted(s.index for s in found) == [z for z in range(20) if z not in (0, 7, 19)]


@every_strategy
def test_all_done_means_no_suggestion(name):
    assert create(name).rank(evidence(known=range(20)), 3) == []


@every_strategy
def test_first_slices_lie_where_there_is_something_to_see(name):
    chosen = create(name).first(look_at(image_with_object(), 0), 3)
    assert len(set(chosen)) == 3
    assert all(8 <= z <= 22 for z in chosen)


@every_strategy
def test_first_slices_lie_in_the_extent_that_was_told(name):
    content = look_at(np.random.default_rng(0).normal(size=(12, 40, 12)), 1, extent=(20, 24))
    assert sorted(create(name).first(content, 9)) == [20, 21, 22, 23, 24]


@every_strategy
def test_every_suggestion_has_a_reason_and_its_volume(name):
    for found in create(name).rank(evidence(volume="second"), 2):
        assert "nearest known" in found.reason
        assert found.volume == "second"


@pytest.mark.parametrize("name", ["uniform", "random", "coreset"])
def test_strategies_that_see_no_proposal_stay_in_the_extent(name):
    found = create(name).rank(evidence(known=(9,), extent=(8, 10)), 4)
    assert {s.index for s in found} == {8, 10}


def test_the_middle_of_a_doubtful_gap_promises_most():
    doubt = dict.fromkeys(range(11, 19), 30)
    assert create().rank(evidence(doubt=doubt))[0].index in (14, 15)


def test_one_doubtful_slice_in_a_gap_draws_the_choice_towards_it():
    found = create().rank(evidence(known=(0, 19), doubt={5: 500}))[0]
    assert 4 <= found.index <= 7
    assert create("uncertainty").rank(evidence(known=(0, 19), doubt={5: 500}))[0].index == 5


def test_a_batch_does_not_crowd_around_one_place():
    found = create().rank(evidence(depth=41, known=(0, 20, 40), doubt={9: 60, 10: 60, 11: 60}), 2)
    assert 7 <= found[0].index <= 13
    assert found[1].index > 20
    assert found[0].score > found[1].score


def test_without_doubt_the_farthest_slice_is_suggested():
    nothing = Evidence(np.zeros((20, 5), np.int64), (0, 4, 19), np.zeros(20))
    assert create().rank(nothing)[0].index in (11, 12)


def test_ties_go_to_the_slice_nearest_to_the_one_in_view():
    nothing = evidence(known=(), doubt=dict.fromkeys(range(20), 0))
    assert (
        create("uncertainty").rank(Evidence(nothing.regions, (), np.zeros(20), current=13))[0].index
        == 13
    )


def test_regions_stand_in_for_a_missing_confidence():
    regions = np.zeros((20, 5), dtype=np.int64)
    regions[5, 4], regions[14, 2] = 30, 40  # fewer voxels, but there the predictions disagree
    given = Evidence(regions, (0, 10, 19))
    for name in ("uncertainty", "region", "error-reduction"):
        assert abs(create(name).rank(given)[0].index - 5) <= 1


def test_suspicion_fades_towards_known_slices():
    scores = create("region").scores(evidence(known=(0,)))
    assert scores[1] / scores[2] == pytest.approx((1 - np.exp(-0.5)) / (1 - np.exp(-1)))


def test_uniform_choice_halves_the_largest_gap_and_does_open_ends_first():
    uniform = create("uniform")
    assert uniform.rank(evidence(known=(2, 9, 17)))[0].index == 13
    assert uniform.rank(evidence(known=(2, 6, 10, 14, 17)))[0].index in (0, 19)
    assert uniform.rank(evidence(known=(0, 4, 8, 12, 16, 19)))[0].index in (6, 10)


def test_an_open_end_decides_ties_only():
    found = create("uniform").scores(evidence(18, known=(3, 13)))
    assert found.argmax() == 8  # five slices from both, and 17 only four from one


def test_the_core_set_goes_to_the_slice_least_like_the_known_ones():
    descriptors = np.zeros((20, 2))
    descriptors[13] = (3, 4)
    assert create("coreset").rank(evidence(descriptors=descriptors))[0].index == 13


def test_the_core_set_of_slices_that_are_alike_has_no_slice_twice():
    content = look_at(np.tile(np.arange(12.0), (8, 12, 1)), 0)
    chosen = create("coreset").first(content, 3)
    assert len(set(chosen)) == 3


def test_random_choice_is_repeatable_and_reaches_everything():
    drawn = [[s.index for s in create("random").rank(evidence(), 17)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0] != sorted(drawn[0])


def test_volumes_compete_by_the_share_of_their_object():
    small = evidence(doubt={15: 50}, areas=np.full(20, 20), volume="small")
    large = evidence(doubt={15: 60}, areas=np.full(20, 2000), volume="large")
    for volumes in ([large, small], [small, large]):
        assert best_of_volumes(ErrorReduction(), volumes).volume == "small"
    assert best_of_volumes(ErrorReduction(), []) is None


def test_an_unknown_strategy_is_named_with_the_known_ones():
    with pytest.raises(ValueError, match=r"no strategy “best”.*uniform"):
        create("best")


def test_all_slices_are_weighed_at_once_for_each_suggestion(monkeypatch):
    weighed = []

    def spy(depth, known):
        weighed.append(depth)
        return influence(depth, known)

    monkeypatch.setattr("napari_sslseg.acquisition.error_reduction.influence", spy)
    create().rank(evidence(depth=300, known=(20, 150, 280)), 5)
    assert weighed == [300] * 5


@every_strategy
def test_nothing_outside_of_the_object_is_suggested(name):
    given = evidence(known=(5, 10), doubt={0: 900, 3: 900, 16: 900}, extent=(4, 12))
    found = create(name).rank(given, 20)
    assert sorted(s.index for s in found) == [4, 6, 7, 8, 9, 11, 12]
    one_end = evidence(known=(5, 10), doubt={0: 900, 19: 900}, extent=(4, None))
    assert all(s.index >= 4 for s in create(name).rank(one_end, 5))


def test_a_stated_end_bounds_the_last_gap():
    doubt = dict.fromkeys(range(9, 20), 30)
    given = evidence(known=(0, 4, 8), doubt=doubt, extent=(0, 15))
    assert given.sources == (0, 4, 8, 16)
    assert given.expected_errors()[16:].sum() == 0
    assert create().rank(given)[0].index == 12


def test_with_known_ends_doubt_that_stays_beside_known_slices_draws_nobody():
    # Small doubt everywhere, as much beside known slices; some slices with a little more.
    doubt = dict.fromkeys(range(31), 20) | {5: 34, 6: 36, 7: 34}
    given = evidence(depth=31, known=(0, 12, 30), doubt=doubt)
    assert create().rank(given)[0].index in (20, 21, 22), "a wide gap of doubt"
    told = evidence(depth=31, known=(0, 12, 30), doubt=doubt, extent=(0, 30))
    assert create().rank(told)[0].index == 6


def test_the_first_slices_reach_up_to_an_end_that_was_told():
    image = np.random.default_rng(0).normal(size=(100, 24, 20)).astype(np.float32)
    both = create().first(look_at(image, 0, (40, 69)), 3)
    assert sorted(both) == [45, 55, 65]
    first, last = sorted(create().first(look_at(image, 0, (40, None)), 3))[::2]
    assert 45 < first < 50
    assert 75 < last < 90, "the end that nobody knows is kept away from"


@every_strategy
def test_further_slices_lie_far_from_those_that_have_ink(name):
    content = look_at(np.random.default_rng(0).normal(size=(11, 24, 20)), 0)
    found = create(name).further(content, [5], 3)
    assert abs(found[0] - 5) >= 3
    assert (found[0] < 5) != (found[1] < 5)  # one at either side
    assert sorted([5, *create(name).further(content, [5], 20)]) == list(range(11))
    assert create(name).further(content, range(11), 3) == []


@every_strategy
def test_further_slices_lie_in_the_extent_that_was_told(name):
    content = look_at(np.random.default_rng(0).normal(size=(30, 24, 20)), 0, extent=(10, 20))
    assert set(create(name).further(content, [15], 2)) == {10, 20}


def hand_made(extent) -> np.ndarray:
    """Scores of twelve slices, three of them known, in voxels."""
    doubt = dict.fromkeys(range(12), 0) | {3: 10, 4: 90, 5: 2, 7: 60, 9: 30, 10: 50}
    given = evidence(depth=12, known=(2, 6, 8), doubt=doubt, extent=extent)
    return ErrorReduction().scores(given) * given.object_size()


def test_scores_by_hand():
    # Beside known slices are 3, 5, 7 and 9, with a median of 20 voxels, which only go from the
    # slice itself: what others can mend is 70 in slice 4, 40 in 7, 10 in 9 and 30 in 10.
    found = hand_made((2, 10))  # slices 1 and 11 are known to be empty
    # With 3 known, the reach at 4 is 2/3 instead of 1; with 10 known, that at 9 is 1/2, not 2/3.
    assert found[3] == pytest.approx(10 + 70 * (1 - (2 / 3) ** 3))
    assert found[7] == pytest.approx(60)
    assert found[10] == pytest.approx(50 + 10 * (1 - (3 / 4) ** 3))
    assert found[[0, 1, 11]].tolist() == [0, 0, 0]


def test_scores_beyond_an_open_end_by_hand():
    found = hand_made((2, None))
    # With 10 known, the reach at 9 is 1/2 instead of 1, its distance to the outermost known slice.
    assert found[10] == pytest.approx(50 + 10 * (1 - (1 / 2) ** 3))
    assert found[3] == pytest.approx(10 + 70 * (1 - (2 / 3) ** 3))


def test_errors_count_in_full_while_no_slice_is_known():
    doubt = dict.fromkeys(range(20), 0) | {5: 30}
    given = evidence(known=(), doubt=doubt, extent=(4, None))
    assert ErrorReduction().scores(given)[5] == pytest.approx(30 / given.object_size())


def test_the_central_part_leaves_out_as_much_at_either_end():
    content = look_at(np.random.default_rng(0).normal(size=(24, 24, 20)), 0)
    assert ErrorReduction().central(content) == (4, 19)  # 3.6 of 24 slices
