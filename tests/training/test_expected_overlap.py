"""The Dice that a proposal's confidence lets expect."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_sslseg.methods.voxel_evidence import Predictions
from napari_sslseg.training.dice import dice_scores
from napari_sslseg.training.expected_overlap import ExpectedOverlap

IDS = (0, 3, 5)


def overlap_of(probabilities, certainty, counted=None):
    overlap = ExpectedOverlap(IDS)
    if counted is None:
        counted = torch.ones(certainty.shape, dtype=torch.bool)
    for each in zip(probabilities, certainty, counted, strict=True):
        overlap.add_slice(*each)
    return overlap.dice()


def test_by_hand():
    # Two pixels: class 3 with .8 to be right, background with .6; what is left of the second is
    # shared 3 : 1 among the others.
    probabilities = torch.tensor([[0.1, 0.6], [0.7, 0.3], [0.2, 0.1]])[None, :, None]
    found = overlap_of(probabilities, torch.tensor([[[0.8, 0.6]]]))
    assert found[3] == pytest.approx(2 * 0.8 / (1 + 0.8 + 0.4 * 0.75), abs=1e-6)
    # Nothing of class 5 is proposed, and less than half a pixel of it is to be expected.
    assert set(found) == {3}


def test_what_is_certain_is_expected_to_be_perfect():
    classes = torch.randint(0, 3, (2, 6, 7), generator=torch.Generator().manual_seed(0))
    probabilities = torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).float()
    found = overlap_of(probabilities, torch.ones(2, 6, 7))
    assert found == pytest.approx({3: 1.0, 5: 1.0})


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_truth_drawn_by_the_confidence_has_that_dice(sharpness):
    torch.manual_seed(0)
    probabilities = (sharpness * torch.randn(20, 3, 60, 60)).softmax(1)
    certainty = probabilities.amax(1)
    truth = torch.distributions.Categorical(probabilities.movedim(1, -1)).sample()
    actual = dice_scores(probabilities.argmax(1), truth, 3)
    found = overlap_of(probabilities, certainty)
    assert [found[3], found[5]] == pytest.approx(actual, abs=0.01)


def test_an_unsure_confidence_lowers_it_though_the_prediction_is_sure():
    torch.manual_seed(0)
    probabilities = (8 * torch.randn(4, 3, 20, 20)).softmax(1)
    high = overlap_of(probabilities, torch.full((4, 20, 20), 0.95))
    low = overlap_of(probabilities, torch.full((4, 20, 20), 0.6))
    assert all(low[i] < high[i] - 0.2 for i in (3, 5))


def test_half_precision_tells_the_same():
    torch.manual_seed(0)
    probabilities = (4 * torch.randn(4, 3, 20, 20)).softmax(1)
    certainty = torch.full((4, 20, 20), 0.9)
    assert overlap_of(probabilities.half(), certainty) == pytest.approx(
        overlap_of(probabilities, certainty), abs=2e-3
    )


def test_what_does_not_count_says_nothing():
    torch.manual_seed(0)
    probabilities = (2 * torch.randn(4, 3, 20, 20)).softmax(1)
    certainty = probabilities.amax(1)
    counted = torch.zeros(4, 20, 20, dtype=torch.bool)
    counted[1:3] = True
    part = overlap_of(probabilities, certainty, counted)
    assert part == pytest.approx(overlap_of(probabilities[1:3], certainty[1:3]))
    assert overlap_of(probabilities, certainty, torch.zeros_like(counted)) == {}


def test_slices_beyond_the_outermost_references_do_not_count():
    torch.manual_seed(0)
    probabilities = (2 * torch.randn(6, 3, 20, 20)).softmax(1)
    certainty = probabilities.amax(1)
    between = Predictions(probabilities, probabilities, certainty, [1, 4])
    assert [z for z in range(6) if ExpectedOverlap.covers(between, z)] == [2, 3]
    alone = replace(between, inked=[2])
    assert not any(ExpectedOverlap.covers(alone, z) for z in range(6))
