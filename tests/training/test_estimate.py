"""Estimates come from references that were left out, and from nothing else."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_sslseg.training.control import Cancelled
from napari_sslseg.training.dice import dice_scores
from napari_sslseg.training.estimate import (
    Estimate,
    distance_scale,
    estimate,
    inner_references,
    leave_one_out,
    middle_reference,
    pooled_dice,
    spread,
)


def test_only_inner_references_are_left_out(stack):
    assert inner_references(stack) == [5, 9]
    assert middle_reference(stack) == [5]


def test_the_left_out_slice_is_hidden_from_the_predictor(stack):
    hidden = []

    def predict(ink, left_out):
        blank = [z for z in stack.references() if bool((ink[z] == 255).all())]
        hidden.append(blank)
        return torch.zeros(stack.depth, stack.classes, *stack.image.shape[-2:])

    slices, _ = leave_one_out(stack, predict, lambda share: True)
    assert sorted(slices) == [5, 9]
    assert hidden == [[z] for z in slices]


def test_no_time_means_fewer_slices(stack):
    shape = (stack.depth, stack.classes, *stack.image.shape[-2:])
    slices, _ = leave_one_out(
        stack, lambda ink, left_out: torch.zeros(shape), lambda share: share == 0
    )
    assert len(slices) == 1


def test_a_perfect_prediction_is_estimated_as_perfect(stack):
    found = estimate(stack, [5, 9], [stack.ink[5], stack.ink[9]])
    assert found is not None
    assert found.mean == 1
    assert set(found.per_class) == {3, 5}
    assert found.low < 1
    assert set(found.spread.values()) == {0.02}  # never less is claimed


def test_errors_shrink_with_the_distance_but_never_vanish(stack):
    wrong = torch.where(stack.ink[5] == 2, 1, stack.ink[5].long())
    found = estimate(stack, [5], [wrong])
    assert found is not None
    raw = np.mean(dice_scores(wrong, stack.ink[5], 3))
    assert raw < found.mean < 1


def test_errors_are_never_scaled_up():
    far = SimpleNamespace(depth=20, outside=[], anchors=lambda: [0, 1, 2])
    assert distance_scale(far, 1) == 1


def test_the_scale_of_errors_by_hand():
    stack = SimpleNamespace(depth=9, outside=[], anchors=lambda: [0, 4, 8])
    expected = (4 * 0.25**0.7 + 2 * 0.5**0.7) / 6  # four slices 1 away, two 2; left out: 4 away
    assert distance_scale(stack, 4) == pytest.approx(expected)


def test_two_references_give_no_estimate(stack):
    assert estimate(stack, [], []) is None


def test_one_lucky_slice_does_not_promise_perfection(stack):
    wrong = stack.ink[5].clone()
    wrong[:, ::2] = 0
    found = estimate(stack, [5], [wrong])
    assert found is not None
    better, worse = found.with_errors(0.0), found.with_errors(9.0)
    assert abs((1 - better.mean) - 0.5 * (1 - found.mean)) < 1e-9
    assert abs((1 - worse.mean) - min(1, 2 * (1 - found.mean))) < 1e-9
    assert found.with_errors(1.0) == found
    assert 0 <= worse.low <= worse.mean <= worse.high <= 1


def test_the_spread_is_that_of_a_sample():
    assert spread(np.array([0.5, 0.7])) == pytest.approx(0.02**0.5)
    assert spread(np.array([0.5])) == 0.06


def test_pooled_dice_is_over_all_slices_together(stack):
    onehot = torch.nn.functional.one_hot(stack.ink[[5, 9]].long(), 3).movedim(-1, 1)
    assert pooled_dice(stack, [5, 9], onehot) == 1


def test_strays_count_to_each_class_an_equal_share():
    ink = torch.tensor([[[1, 1, 2, 2, 0, 0, 0, 0]]], dtype=torch.uint8)
    found = torch.tensor([[[1, 1, 2, 2, 3, 3, 0, 0]]])
    onehot = torch.nn.functional.one_hot(found, 4).movedim(-1, 1)
    assert pooled_dice(SimpleNamespace(ink=ink, classes=4), [0], onehot) == pytest.approx(0.8)


def test_slices_outside_are_no_references_and_not_asked_about(stack):
    before = distance_scale(stack, 9)
    stack.outside = [0, 13]
    stack.ink[13] = 0  # inked as a whole, all the same it is not left out
    assert stack.references() == [1, 5, 9, 12, 13]
    assert inner_references(stack) == [5, 9, 12]
    stack.outside = [0, 12, 13]
    assert inner_references(stack) == [5, 9]
    stack.outside, stack.ink[13] = [0, 13], 255
    # Slices 0 and 13 lay beside a reference; the others are farther away.
    assert distance_scale(stack, 9) > before
    stack.outside = [z for z in range(14) if z not in stack.inked()]
    assert estimate(stack, [5], [stack.ink[5]]) is None


def measured(count: int) -> Estimate:
    return Estimate({3: 0.6, 5: 0.8}, {3: 0.1, 5: 0.05}, 0.7, 0.64, 0.76, count)


def test_the_confidence_counts_less_the_more_references_were_left_out():
    expected = {3: 0.9, 5: 0.9}
    found = [measured(count).with_confidence(expected) for count in (2, 6, 14)]
    assert [f.mean for f in found] == pytest.approx([0.85, 0.8, 0.76])
    assert found[0].per_class == pytest.approx({3: 0.825, 5: 0.875})
    # They contradict each other by .2: so much is open.
    assert (found[0].low, found[0].high) == pytest.approx((0.75, 0.95))
    agreed = measured(2).with_confidence({3: 0.62, 5: 0.8})
    assert (agreed.low, agreed.high) == pytest.approx((agreed.mean - 0.06, agreed.mean + 0.06))
    assert found[0].count == 2


def test_a_class_that_no_left_out_reference_shows_is_told_by_the_confidence():
    found = measured(6).with_confidence({3: 0.9, 5: 0.9, 7: 0.3})
    assert found.per_class == pytest.approx({3: 0.75, 5: 0.85, 7: 0.3})
    assert found.mean == pytest.approx(0.7)
    assert set(found.spread) == {3, 5, 7}


def test_without_confidence_the_left_out_references_tell():
    assert measured(1).with_confidence({}) == measured(1)


def test_a_stroke_takes_no_slice_from_those_that_are_estimated(stack):
    before = distance_scale(stack, 5)
    wrong = torch.where(stack.ink[5] == 2, 1, stack.ink[5].long())
    expected = estimate(stack, [5], [wrong])
    stack.ink[:, 18] = torch.where(stack.ink[:, 18] == 255, 0, stack.ink[:, 18])
    assert len(stack.inked()) == stack.depth
    assert distance_scale(stack, 5) == before
    assert estimate(stack, [5], [wrong]) == expected


def emptied(stack, z):
    stack.ink[z] = 0
    return stack


def test_the_reference_that_is_tested_on_shows_an_object(stack):
    emptied(stack, 5)
    assert inner_references(stack) == [5, 9]
    assert middle_reference(stack) == [9]
    assert middle_reference(emptied(stack, 9)) == []


def test_a_stray_voxel_in_an_empty_reference_does_not_halve_the_estimate(stack):
    emptied(stack, 5)
    stray = stack.ink[5].clone()
    stray[3, 3:5] = 1
    alone = estimate(stack, [9], [stack.ink[9]])
    found = estimate(stack, [9, 5], [stack.ink[9], stray])
    assert alone is not None
    assert found is not None
    # It counts, as false where that class is shown, and in no other one.
    assert 0.99 < found.mean < alone.mean == 1
    assert found.per_class[3] < found.per_class[5] == 1
    assert found.count == 1
    assert estimate(stack, [5], [stray]) is None


def test_a_reference_without_an_object_is_left_out_last(stack):
    asked = []

    def predict(ink, left_out):
        asked.append(left_out)
        return torch.zeros(stack.depth, stack.classes, *stack.image.shape[-2:])

    leave_one_out(stack, predict, lambda share: True)
    assert asked == [5, 9]
    asked.clear()
    leave_one_out(emptied(stack, 5), predict, lambda share: share == 0)
    assert asked == [9]


def test_references_are_left_out_from_the_middle_outwards():
    ink = torch.ones(10, 2, 2, dtype=torch.uint8)
    stack = SimpleNamespace(
        depth=10, outside=[], ink=ink, references=lambda: [0, 2, 6, 9], without=lambda slices: ink
    )
    slices, _ = leave_one_out(stack, lambda ink, z: torch.zeros(10, 2, 2, 2), lambda share: True)
    assert slices == [6, 2]


def _deep(references: list[int]) -> SimpleNamespace:
    ink = torch.ones(30, 2, 2, dtype=torch.uint8)
    return SimpleNamespace(
        depth=30,
        outside=[],
        ink=ink,
        references=lambda: references,
        without=lambda slices: slices,
    )


def test_several_are_predicted_at_a_time_and_told_in_their_order():
    both, seen = threading.Barrier(2, timeout=30), []

    def predict(ink, z):
        both.wait()  # which one alone would do for ever
        seen.append(z)
        found = torch.zeros(30, 2, 2, 2)
        found[z, 1] = z % 4  # its own
        return found

    stack = _deep([0, 4, 9, 13, 18, 29])
    slices, predictions = leave_one_out(stack, predict, lambda share: True, together=2)
    assert slices == [13, 18, 9, 4]
    assert sorted(seen) == [4, 9, 13, 18]
    assert [int(p[0, 0]) for p in predictions] == [1, 1, 1, 0]


@pytest.mark.parametrize("together", [1, 3])
def test_one_that_is_stopped_stops_all(together):
    asked = []

    def predict(ink, z):
        asked.append(z)
        raise Cancelled

    with pytest.raises(Cancelled):
        leave_one_out(_deep(list(range(30))), predict, lambda share: True, together)
    assert len(asked) <= 2 * together


def test_the_score_of_a_slice_is_of_the_classes_that_it_shows(stack):
    stack.ink[5][stack.ink[5] == 2] = 1
    proposed = stack.ink[5].clone().long()
    proposed[3, 3:5] = 2
    onehot = torch.nn.functional.one_hot(proposed, 3).movedim(-1, 0)[None]
    area = int((stack.ink[5] == 1).sum())
    assert pooled_dice(stack, [5], onehot) == pytest.approx(2 * area / (2 * area + 2))


def test_no_smaller_error_is_estimated_than_labels_come_back_with(stack):
    wrong = stack.ink[5].clone()
    wrong[:, ::2] = 0
    found = estimate(stack, [5, 9], [stack.ink[5], stack.ink[9]], [wrong, None])
    assert found is not None
    scores = [s for s in dice_scores(wrong, stack.ink[5], 3)]
    assert found.mean == pytest.approx((np.mean(scores) + 1) / 2)
    # Where more is lost by the reference that was left out, that counts.
    lost = torch.zeros_like(wrong)
    alone = estimate(stack, [5], [lost])
    assert estimate(stack, [5], [lost], [stack.ink[5]]) == alone
