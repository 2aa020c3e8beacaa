"""How alike two predictions are."""

from __future__ import annotations

import math

import pytest
import torch

from napari_sslseg.training.estimate import mean_dice
from napari_sslseg.training.likeness import likeness


def test_it_is_the_mean_dice_of_the_classes_that_occur():
    one = torch.tensor([[[0, 1, 1, 2]], [[1, 0, 0, 0]]], dtype=torch.uint8)
    two = torch.tensor([[[0, 1, 2, 2]], [[1, 1, 0, 0]]], dtype=torch.uint8)
    # Class 1: two of three and three voxels in common; class 2: one of one and two; no class 3.
    assert likeness(one, two, 4) == pytest.approx((4 / 6 + 2 / 3) / 2)
    assert likeness(one, two, 4) == pytest.approx(mean_dice(one, two, 4))


def test_two_empty_predictions_are_not_alike_nor_unlike():
    nothing = torch.zeros(2, 3, 3, dtype=torch.uint8)
    assert math.isnan(likeness(nothing, nothing, 3))
