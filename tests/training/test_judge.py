"""Which region a voxel belongs to."""

from __future__ import annotations

import torch

from napari_sslseg.training.judge import (
    RAISED_READ,
    Limits,
    judge_voxels,
    raised_network,
    raised_read,
)

LIMITS = Limits(0.4, 0.2)


def test_outside_is_confident_whatever_its_certainty():
    certainty, zeros = torch.full((2,), 0.1), torch.zeros(2, dtype=torch.long)
    ink = torch.full((2,), 255, dtype=torch.uint8)
    outside = torch.tensor([True, False])
    judged = judge_voxels(
        certainty, zeros, zeros + 1, torch.tensor([0.5, 0.5]), LIMITS, ink, outside
    )
    assert judged.regions.tolist() == [1, 4]


def test_what_is_disputed_is_discrepant_and_never_confident():
    certainty = torch.tensor([0.1, 0.3, 0.3, 0.45])
    named, other = torch.zeros(4, dtype=torch.long), torch.tensor([0, 0, 1, 1])
    ink, outside = torch.full((4,), 255, dtype=torch.uint8), torch.zeros(4, dtype=torch.bool)
    judged = judge_voxels(certainty, named, other, torch.tensor([0.8, 0.8]), LIMITS, ink, outside)
    assert judged.regions.tolist() == [4, 2, 4, 3]


def test_a_network_within_a_mixture_dissents_where_it_outweighs_it():
    # The mixture says class 1 with .6 and .9, its network class 0 with .7 both times.
    mixture = torch.tensor([[[0.4, 0.1]], [[0.6, 0.9]]])
    network = torch.tensor([[[0.7, 0.7]], [[0.3, 0.3]]])
    assert raised_network(mixture, network).tolist() == [[0, 1]]
    volumes = raised_network(torch.stack([mixture, network]), torch.stack([network, network]))
    assert volumes.tolist() == [[[0, 1]], [[0, 0]]]


def test_the_farther_read_dissents_where_it_would_change_the_matching():
    # The matching says class 1 with .6, .7 and .9, then class 0 with .5; the farther read class 0.
    matched = torch.tensor([[[0.3, 0.28, 0.1, 0.5]], [[0.6, 0.7, 0.9, 0.3]], [[0.1, 0, 0, 0.2]]])
    farther = torch.zeros(1, 4, dtype=torch.uint8)
    assert raised_read(matched, farther).tolist() == [[0, 1, 1, 0]]
    torch.manual_seed(0)
    matched, farther = torch.rand(4, 3, 20, 20).softmax(1) ** 2, torch.randint(3, (4, 20, 20))
    matched = matched / matched.sum(1, keepdim=True)
    alone = torch.nn.functional.one_hot(farther, 3).movedim(-1, 1)
    mixture = torch.lerp(matched, alone.float(), RAISED_READ)
    assert torch.equal(raised_read(matched, farther.to(torch.uint8)), mixture.argmax(1))
