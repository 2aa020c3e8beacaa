"""Batches are padded by what no annotation and no prior covers."""

from __future__ import annotations

import pytest
import torch

from napari_sslseg.methods.frameworks import Batch


def batch(*sides: int) -> Batch:
    """Return a batch of three classes with all that there can be."""
    image, prior = torch.rand(2, 1, *sides), torch.rand(2, 3, *sides)
    trust = torch.ones(2, *sides)
    target = torch.ones(2, *sides, dtype=torch.long)
    return Batch(image, target, image, prior, trust, prior, trust)


@pytest.mark.parametrize(
    ("sides", "padded"),
    [((3, 8), (16, 16)), ((17, 8), (24, 16)), ((8, 40), (16, 40)), ((4, 16, 9), (16, 16, 16))],
)
def test_sides_become_multiples_two_of_them_at_least(sides, padded):
    made = batch(*sides).padded(8)
    assert made.labelled_image.shape == made.unlabelled_image.shape == (2, 1, *padded)
    assert made.prior.shape == made.labelled_prior.shape == (2, 3, *padded)
    taught = torch.zeros(2, *padded, dtype=torch.bool)
    taught[(..., *(slice(n) for n in sides))] = True
    assert torch.equal(made.labelled_target == 255, ~taught)
    assert torch.equal(made.prior_weight > 0, taught)
    assert torch.equal(made.labelled_prior_weight > 0, taught)


def test_what_has_room_enough_is_left_as_it_is():
    given = batch(16, 24)
    assert given.padded(8) is given
