"""What a network is tested on."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import one_hot

from napari_sslseg.training.network_test import AllLabelled, LeftOutReference
from napari_sslseg.training.outcome import Outcome, UnaidedOutcome
from napari_sslseg.training.recipe import Recipe

SLICES = [5, 9]


def right(stack):
    """Probabilities that say what is inked."""
    return one_hot(stack.ink[SLICES].long(), stack.classes).permute(0, 3, 1, 2).float()


def nothing(stack):
    """Probabilities of background alone."""
    found = torch.zeros_like(right(stack))
    found[:, 0] = 1
    return found


def test_a_reference_left_out_compares_network_and_matching(stack):
    test = LeftOutReference(stack, SLICES, nothing(stack))
    assert test.baseline == 0
    assert test.score(right(stack)) == 1
    recipe = Recipe(0.05)
    found = test.outcome(recipe, 0.9, right(stack), 0.4)
    assert found == Outcome(0.9, 0.0, recipe, 0.4)
    assert not isinstance(found, UnaidedOutcome)


def test_of_all_labelled_slices_the_matching_knows_nothing(stack):
    area = float((stack.ink[SLICES] > 0).sum()) / 2
    test = AllLabelled(stack, SLICES, 2 * area)
    assert test.matched is None
    assert test.baseline is None
    assert test.score(right(stack)) == test.found(right(stack)).estimate.mean == 1
    assert test.score(nothing(stack)) == 0
    found = test.outcome(Recipe(), 0.9, right(stack), 0.4)
    assert found == UnaidedOutcome(0.9, 0.0, Recipe(), 0.4, pytest.approx(0.5))


def test_an_object_larger_than_elsewhere_is_shown_whole(stack):
    found = AllLabelled(stack, SLICES, 1.0).outcome(Recipe(), 0.9, nothing(stack), 1.0)
    assert found.extent == 1
    assert AllLabelled(stack, SLICES, 0.0).outcome(Recipe(), 0.9, right(stack), 1.0).extent == 1
