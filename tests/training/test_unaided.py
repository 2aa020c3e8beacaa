"""What the labelled slices tell of a network that has not seen them."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.training.unaided import Unaided
from napari_sslseg.volume.annotation import NOT_ANNOTATED

SLICES = [5, 9]


def test_a_network_that_is_right_is_estimated_so(stack):
    found = Unaided.of(stack, SLICES, stack.ink[SLICES].long())
    assert found.dice == found.estimate.mean == 1
    assert set(found.estimate.per_class) == set(stack.class_ids[1:])
    assert found.estimate.count == 2
    assert found.estimate.low < 1  # two slices prove nothing


def test_what_is_missed_counts(stack):
    truth = stack.ink[SLICES].long()
    half = truth.clone()
    half[1] = 0
    found = Unaided.of(stack, SLICES, half)
    kept, lost = int((truth[0] > 0).sum()), int((truth[1] > 0).sum())
    assert found.dice == pytest.approx(2 * kept / (2 * kept + lost))
    assert found.estimate.mean < 1
    nothing = Unaided.of(stack, SLICES, torch.zeros_like(truth))
    assert nothing.dice == nothing.estimate.mean == 0


def test_a_class_that_no_slice_shows_counts_as_object_and_beside_it_as_wrong(stack):
    stack.ink[stack.ink == 2] = 1
    other = stack.ink[SLICES].long() * 2
    found = Unaided.of(stack, SLICES, other)
    assert found.dice == 1
    assert list(found.estimate.per_class) == [stack.class_ids[1]]
    background = other[0] == 0
    other[0, background] = 2
    assert Unaided.of(stack, SLICES, other).dice < 0.8


def test_it_counts_slice_by_slice_which_classes_are_shown(stack):
    stack.ink[SLICES[0]][stack.ink[SLICES[0]] == 2] = 1
    other = stack.ink[SLICES].long()
    other[0] *= 2  # a class that only the second slice shows
    assert Unaided.of(stack, SLICES, other).dice == 1
    other[1][other[1] == 1] = 2
    assert Unaided.of(stack, SLICES, other).dice < 1


def test_a_class_that_a_slice_shows_has_to_be_told_from_the_others(stack):
    assert Unaided.of(stack, SLICES, (stack.ink[SLICES] > 0).long()).dice < 0.9


def test_pixels_without_ink_tell_nothing(stack):
    wrong = stack.ink[SLICES].long()
    wrong[:, :18] = 1
    stack.ink[SLICES[0], :18] = stack.ink[SLICES[1], :18] = NOT_ANNOTATED
    found = Unaided.of(stack, SLICES, wrong)
    assert found.dice == 1
