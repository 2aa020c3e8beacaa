"""Labels go to other slices and back; where a reference lies it is known what they lost."""

from __future__ import annotations

import numpy as np
import torch

from napari_sslseg.methods.propagation import Execution, propagate
from napari_sslseg.training.dice import mean_dice
from napari_sslseg.training.estimate import estimate, open_distances
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.way_back import came_back, half_way
from napari_sslseg.volume.annotation import NOT_ANNOTATED


def test_labels_go_half_as_far_as_the_open_slices_lie_at_least():
    assert half_way(np.array([1, 1, 2, 2])) == 1
    assert half_way(np.array([2, 4, 6, 8])) == 3
    assert half_way(np.array([], int)) == 0


def test_what_moves_little_comes_back_as_it_went(stack):
    propagated = propagate(stack.inked_volume())
    back = came_back(stack, propagated, 5, 1, Execution())
    assert back is not None
    assert mean_dice(back, stack.ink[5], stack.classes) > 0.9
    assert came_back(stack, propagated, 0, 1, Execution()) is None  # no slice before it


def test_where_no_object_is_none_comes_back(stack):
    propagated = propagate(stack.inked_volume())
    propagated.probabilities[4:7] = 0
    propagated.probabilities[4:7, 0] = 1
    assert came_back(stack, propagated, 5, 1, Execution()) is None


def test_thin_layers_in_speckle_are_not_said_to_be_nearly_right_beside_a_reference():
    generator = np.random.default_rng(0)
    z, y, x = np.meshgrid(np.arange(21), np.arange(40), np.arange(48), indexing="ij")
    # Each slice has moved against the one before.
    top = 14 + 3 * np.sin(x / 8 + z / 9) + generator.normal(0, 2, 21)[:, None, None].round()
    truth = np.clip(np.ceil((y - top) / 3), 0, 4).astype(np.uint8) % 4
    image = np.array([20.0, 90.0, 40.0, 75.0])[truth] * generator.gamma(2, 0.5, truth.shape)
    known = [0, 10, 20]
    ink = np.full(truth.shape, NOT_ANNOTATED, np.uint8)
    ink[known] = truth[known]
    stack = SliceStack.from_volume(image.astype(np.float32), ink, 0, (1.0, 1.0, 1.0))
    propagated = propagate(stack.inked_volume())
    without = propagate(stack.inked_volume(stack.without([10]))).probabilities[10].argmax(0)
    half = half_way(open_distances(stack))
    back = came_back(stack, propagated, 10, half, Execution())
    far, now = estimate(stack, [10], [without]), estimate(stack, [10], [without], [back])
    is_open = np.setdiff1d(np.arange(21), known)
    found = propagated.probabilities.argmax(1)[is_open]
    true = mean_dice(found, torch.from_numpy(truth)[is_open], 4)
    assert far is not None
    assert now is not None
    assert now.mean < far.mean
    assert abs(now.mean - true) < 0.8 * abs(far.mean - true)
