"""What a doubtful part is flipped to."""

from __future__ import annotations

import numpy as np

from napari_sslseg.editing.runner_up import runner_up


def picture() -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros((8, 8), np.uint8)
    labels[2:6, 2:6] = 1
    labels[2:6, 6:] = 3
    part = np.zeros((8, 8), bool)
    part[3:5, 3:5] = True
    return labels, part


def test_the_other_proposal_decides_where_it_differs():
    labels, part = picture()
    other = labels.copy()
    other[part] = 2
    assert runner_up(labels, part, other) == 2


def test_the_surroundings_decide_where_both_proposals_agree():
    labels, part = picture()
    labels[part] = 2
    assert runner_up(labels, part, labels) == 1
    assert runner_up(labels, part) == 1


def test_a_few_differing_voxels_do_not_decide():
    labels, part = picture()
    labels[part] = 2
    other = labels.copy()
    other[3, 3] = 3
    assert runner_up(labels, part, other) == 1


def test_half_of_the_part_is_enough_for_the_other_proposal():
    labels, part = picture()
    other = labels.copy()
    other[3, 3:5] = 2  # two of four voxels
    assert runner_up(labels, part, other) == 2


def test_nothing_to_flip_to():
    labels = np.ones((4, 4), np.uint8)
    part = np.zeros((4, 4), bool)
    assert runner_up(labels, part) is None
    part[1:3, 1:3] = True
    assert runner_up(np.zeros((4, 4), np.uint8), part) is None
