"""What batches are made of."""

from __future__ import annotations

import torch

from napari_sslseg.training.plan import Plan
from napari_sslseg.training.sampler import Prior, Sampler
from napari_sslseg.training.tiles import Tiles


def drawn(stack, count: int = 40) -> tuple[list[int], list[int], list[torch.Tensor]]:
    """Return the slices of some batches, labelled and unlabelled, and the labels."""
    # The image says which slice it is.
    stack.image = torch.arange(float(stack.depth))[:, None, None, None].expand_as(stack.image)
    height, width = stack.image.shape[-2:]
    plan = Plan(torch.device("cpu"), False, "supervised", Tiles((height, width), ((0, 0),)))
    shape = (stack.depth, stack.classes, height, width)
    prior = Prior(torch.zeros(shape).half(), torch.ones(1).half().expand(stack.ink.shape))
    sampler = Sampler(stack, stack.ink, prior, plan, torch.Generator().manual_seed(0))
    labelled, unlabelled, labels = [], [], []
    for _ in range(count):
        batch = sampler.draw()
        labelled += [int(x) for x in batch.labelled_image[:, 1, 0, 0]]
        unlabelled += [int(x) for x in batch.unlabelled_image[:, 1, 0, 0]]
        labels += list(batch.labelled_target)
    return labelled, unlabelled, labels


def test_slices_outside_teach_background_as_often_as_one_reference(stack):
    stack.outside = [0, 2, 3, 13]
    labelled, unlabelled, labels = drawn(stack)
    assert set(labelled) == {0, 1, 2, 3, 5, 9, 12, 13}
    assert not set(unlabelled) & {0, 1, 2, 3, 5, 9, 12, 13}
    outside = [z in stack.outside for z in labelled]
    assert 0.1 < sum(outside) / len(outside) < 0.3  # four references, and one more
    for is_outside, shown in zip(outside, labels, strict=True):
        assert bool((shown == 0).all()) == is_outside
    assert bool((stack.ink[[0, 2, 3, 13]] == 255).all())  # nothing was inked


def test_all_maps_of_a_batch_show_the_same_place(stack):
    height, width = stack.image.shape[-2:]
    place = torch.arange(1.0, height * width + 1).view(height, width)  # exact in half precision
    stack.image = place.expand_as(stack.image).clone()
    corners = ((0, 0), (0, 20), (8, 4), (height - 12, width - 12))  # the last one stands out
    plan = Plan(torch.device("cpu"), False, "supervised", Tiles((16, 16), corners))
    maps = place.expand(stack.depth, stack.classes, height, width).half()
    sampler = Sampler(
        stack, stack.ink, Prior(maps, maps[:, 0]), plan, torch.Generator().manual_seed(0)
    )
    for _ in range(10):
        batch = sampler.draw()
        for image, prior, weight in (
            (batch.labelled_image, batch.labelled_prior, batch.labelled_prior_weight),
            (batch.unlabelled_image, batch.prior, batch.prior_weight),
        ):
            inside = weight > 0  # a prior says nothing beyond the slice
            assert torch.equal(prior[:, 0] > 0, inside)
            assert torch.equal(weight[inside], image[:, 1][inside])
            assert torch.equal(prior[:, 0], weight)
