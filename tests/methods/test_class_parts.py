"""Parts of one object."""

from __future__ import annotations

import torch

from napari_sslseg.methods.class_parts import exchange, exchanged_classes, object_first
from napari_sslseg.methods.intensity import standardise
from napari_sslseg.methods.propagation import InkedVolume, propagate


def maps(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None, None].expand(len(values), 2, 2).clone()


def test_parts_that_share_the_chance_do_not_lose_to_the_background():
    shared = maps(0.4, 0.35, 0.25)
    decided = object_first(shared, 0.3)
    assert (shared.argmax(0) == 0).all()
    assert (decided.argmax(0) == 1).all()
    assert torch.allclose(decided[0], shared[0])
    assert torch.allclose(decided.sum(0), torch.ones(2, 2), atol=1e-6)


def test_what_is_likelier_background_stays_background():
    assert (object_first(maps(0.6, 0.35, 0.05), 0.1).argmax(0) == 0).all()


def test_one_class_or_temperature_one_changes_nothing():
    single = maps(0.4, 0.6)
    assert object_first(single, 0.1) is single
    several = maps(0.4, 0.35, 0.25)
    assert object_first(several, 1.0) is several


def test_exchanged_classes_are_those_of_one_slice_only():
    here, there = torch.tensor([[0, 1], [2, 2]]), torch.tensor([[0, 1], [3, 0]])
    left, gained = exchanged_classes(here, there, 4)
    assert left.tolist() == [2]
    assert gained.tolist() == [3]


def test_exchanged_classes_go_to_the_nearer_slice_and_keep_their_mass():
    labels = maps(0.3, 0.5, 0.15, 0.05)
    ahead, back = maps(0.0, 0.0, 1.0, 0.0), maps(1.0, 0.0, 0.0, 0.0)
    near, far = torch.full((2, 2), 0.25), torch.full((2, 2), 0.75)
    exclusive = (torch.tensor([1, 2]), torch.tensor([3]))
    labels, ahead, back, near, far = (m[None] for m in (labels, ahead, back, near[None], far[None]))
    found, labels = exchange(labels, ahead, back, near, far, exclusive, 1.0)[0], labels[0]
    assert torch.allclose(found[0], labels[0])
    assert torch.allclose(found[1:].sum(0), labels[1:].sum(0))
    assert torch.allclose(found[3], torch.full((2, 2), 0.7 * 0.75))
    assert (found[2] > 100 * found[1]).all()  # what the read shows of the two


def test_nothing_is_exchanged_when_a_class_only_ends():
    labels = maps(0.3, 0.5, 0.2)[None]
    near = far = torch.ones(1, 1, 2, 2)
    empty = torch.tensor([], dtype=torch.int64)
    assert exchange(labels, labels, labels, near, far, (torch.tensor([2]), empty), 1.0) is labels


def test_the_border_between_two_parts_lies_half_way_between_their_slices():
    image = torch.zeros(11, 1, 40, 40)
    image[:, :, 12:28, 12:28] = 1
    ink = torch.full((11, 40, 40), 255, dtype=torch.uint8)
    for z, part in ((0, 1), (10, 2)):
        ink[z] = 0
        ink[z, 12:28, 12:28] = part
    labels = propagate(InkedVolume(standardise(image), ink, 3)).labels
    middle = labels[:, 20, 20].tolist()
    assert middle[:5] == [1] * 5
    assert middle[6:] == [2] * 5
    assert bool((labels[:, 14:26, 14:26] > 0).all())
