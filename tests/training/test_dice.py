"""Dice by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_sslseg.training.dice import dice_scores, mean_dice, overall_dice


def test_dice_by_hand():
    prediction = torch.tensor([[0, 1, 1, 2]])
    truth = torch.tensor([[0, 1, 2, 2]])
    assert dice_scores(prediction, truth, 4)[:2] == pytest.approx([2 / 3, 2 / 3])
    assert np.isnan(dice_scores(prediction, truth, 4)[2])


def test_what_is_no_class_does_not_count():
    prediction = torch.tensor([1, 1, 0, 255], dtype=torch.uint8)
    truth = torch.tensor([1, 255, 1, 255], dtype=torch.uint8)
    assert dice_scores(prediction, truth, 2) == [0.5]


def test_the_mean_is_that_of_the_classes_that_occur():
    one = torch.tensor([[[0, 1, 1, 2]], [[1, 0, 0, 0]]], dtype=torch.uint8)
    two = torch.tensor([[[0, 1, 2, 2]], [[1, 1, 0, 0]]], dtype=torch.uint8)
    # Class 1: two of three and three voxels in common; class 2: one of one and two; no class 3.
    assert mean_dice(one, two, 4) == pytest.approx((4 / 6 + 2 / 3) / 2)
    assert mean_dice(one.flatten(), two.flatten(), 4) == mean_dice(one, two, 4)


def test_two_empty_predictions_are_not_alike_nor_unlike():
    nothing = torch.zeros(2, 3, 3, dtype=torch.uint8)
    assert math.isnan(mean_dice(nothing, nothing, 3))


def test_the_overall_dice_counts_voxels_of_the_right_class():
    truth = torch.tensor([0, 1, 1, 2])
    assert overall_dice(torch.tensor([0, 1, 1, 2]), truth) == 1
    assert overall_dice(torch.tensor([0, 1, 2, 2]), truth) == pytest.approx(4 / 6)
    assert overall_dice(torch.zeros(4), torch.zeros(4)) == 0
