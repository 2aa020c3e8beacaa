"""What a network is tested on."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import one_hot

from napari_sslseg.methods.propagation import Propagation
from napari_sslseg.training.network_test import AllLabelled, LeftOutReference
from napari_sslseg.training.outcome import TELLING, Outcome, TaughtOutcome
from napari_sslseg.training.recipe import Recipe

SLICES = [5, 9]


def right(stack, slices):
    """Probabilities that say what is inked."""
    return one_hot(stack.ink[slices].long(), stack.classes).permute(0, 3, 1, 2).float()


def nothing(stack, slices):
    """Probabilities of background alone."""
    found = torch.zeros(len(slices), stack.classes, *stack.ink.shape[1:])
    found[:, 0] = 1
    return found


def carried(stack):
    """Return what a matching that finds nothing returns."""
    everywhere = list(range(stack.depth))
    reads = torch.zeros(stack.ink.shape)
    return Propagation(nothing(stack, everywhere), reads + 1, reads.byte(), stack.inked())


def test_what_a_reference_does_not_show_is_no_class_of_its_score(stack):
    stack.ink[5][stack.ink[5] == 2] = 1
    test = LeftOutReference(stack, carried(stack), [5])
    proposed = right(stack, [5])
    proposed[0, :, 3, 3] = torch.tensor([0.0, 0.0, 1.0])
    assert 0.99 < test.score(proposed) < 1


def areas(stack, slices):
    return [float((stack.ink[z] > 0).sum()) for z in slices]


def test_a_reference_left_out_compares_network_and_matching(stack):
    test = LeftOutReference(stack, carried(stack), SLICES)
    assert test.hidden == SLICES
    assert test.baseline == 0
    assert test.score(right(stack, SLICES)) == 1
    recipe = Recipe(0.05)
    assert test.unaided(right(stack, SLICES)) is None
    found = test.outcome(recipe, 0.9, lambda: pytest.fail("predicted in vain"))
    assert found == Outcome(0.9, 0.0, recipe)
    assert not isinstance(found, TaughtOutcome)


def test_without_all_labelled_slices_the_matching_knows_nothing(stack):
    test = AllLabelled(stack, carried(stack), 1.0, few=False)
    assert test.hidden == test.slices == stack.inked()
    assert test.matched is None
    assert test.baseline is None
    proposed = right(stack, test.slices)
    assert test.score(proposed) == test.unaided(proposed).estimate.mean == 1
    assert test.score(nothing(stack, test.slices)) == 0
    found = test.outcome(Recipe(), 0.9, lambda: 0.45)
    assert found == TaughtOutcome(0.9, pytest.approx(0.5), Recipe(), 1.0, few=False)
    assert AllLabelled(stack, carried(stack), 1.0, few=True).outcome(Recipe(), 0.9, lambda: 0.4).few


def test_slices_that_show_little_of_the_object_are_not_tested(stack):
    small, large = stack.inked()[0], stack.inked()[1]
    stack.ink[small][torch.arange(stack.ink.shape[1]) > 14] = 0
    area_small, area_large = areas(stack, [small, large])
    assert area_small < TELLING * area_large
    test = AllLabelled(stack, carried(stack), area_large, few=False)
    assert small not in test.slices
    assert large in test.slices
    assert test.hidden == stack.inked()  # nor does the network learn from them
    assert test.outcome(Recipe(), 0.9, lambda: 1.0).extent == 1


def test_where_no_slice_shows_enough_all_are_tested_and_tell_nothing(stack):
    usual = 10 * max(areas(stack, stack.inked()))
    test = AllLabelled(stack, carried(stack), usual, few=True)
    assert test.slices == stack.inked()
    found = test.outcome(Recipe(), 0.9, lambda: 1.0)
    assert found.extent == pytest.approx(0.1)
    assert not found.telling
