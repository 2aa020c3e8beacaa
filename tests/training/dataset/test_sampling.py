"""Batches of a data set: what is in them, and in which order."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from napari_sslseg.training.dataset.cases import Case
from napari_sslseg.training.dataset.description import Dataset, DatasetError
from napari_sslseg.training.dataset.sampling import Cycle, PatchSampler, SliceSampler

CPU = torch.device("cpu")


def _dataset(**changes):
    return Dataset("x", {}, {1: "a"}, **{"size": (8, 8), **changes})


def _case(name, depth, value, blank=False, shape=(8, 8)):
    """Slice z of the case has the value ``value + z`` everywhere, and is labelled z."""
    z = torch.arange(depth, dtype=torch.float32).view(-1, 1, 1, 1)
    image = (value + z).expand(depth, 1, *shape).clone()
    target = z[:, 0].expand(depth, *shape).to(torch.uint8).clone()
    if blank:
        target[:, :2] = 255
    return Case(name, image, target, shape, (1.0, 1.0, 1.0), False)


def test_a_cycle_takes_everything_once_before_anything_twice():
    cycle = Cycle(5, torch.Generator().manual_seed(0))
    first, second = cycle.take(5).tolist(), cycle.take(5).tolist()
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4]
    assert first != second
    assert len(cycle.take(12)) == 12
    assert Cycle(0, torch.Generator()).take(3).numel() == 0


def test_a_cycle_goes_on_where_it_was_saved():
    generator = torch.Generator().manual_seed(0)
    cycle = Cycle(7, generator)
    cycle.take(4)
    state, random = cycle.state(), generator.get_state()
    expected = cycle.take(20).tolist()
    again = torch.Generator()
    other = Cycle(7, again)
    other.restore(state)
    again.set_state(random)
    assert other.take(20).tolist() == expected


def test_slices_bring_their_labels_and_context_within_the_case():
    cases = [_case("a", 3, 10), _case("b", 4, 20)]
    sampler = SliceSampler(cases, [_case("c", 2, 30)], _dataset(context=1), (7, 2), CPU, 0)
    batch = sampler.draw()
    seen = batch.labelled_image[:, :, 0, 0].tolist()
    assert sorted(s[1] for s in seen) == [10, 11, 12, 20, 21, 22, 23]
    for (before, middle, after), target in zip(seen, batch.labelled_target[:, 0, 0], strict=True):
        low, high = (10, 12) if middle < 20 else (20, 23)
        assert before == max(middle - 1, low)
        assert after == min(middle + 1, high)
        assert target == middle - low
    others = sorted(batch.unlabelled_image[:, :, 0, 0].tolist())
    assert others == [[30, 30, 31], [30, 31, 31]]


def test_partly_annotated_slices_are_unlabelled_ones_too():
    case = _case("a", 3, 10, blank=True)
    case.target[2] = 255  # a slice without any ink
    sampler = SliceSampler([case], [], _dataset(), (2, 3), CPU, 0)
    batch = sampler.draw()
    assert sorted(batch.labelled_image[:, 0, 0, 0].tolist()) == [10, 11]
    assert (batch.labelled_target[:, :2] == 255).all()
    assert sorted(batch.unlabelled_image[:, 0, 0, 0].tolist()) == [10, 11, 12]


def test_no_unlabelled_case_is_an_empty_half_of_the_batch():
    batch = SliceSampler([_case("a", 3, 10)], [], _dataset(), (2, 2), CPU, 0).draw()
    assert batch.unlabelled_image.shape == (0, 1, 8, 8)
    blank = _case("a", 3, 10)
    blank.target.fill_(255)
    with pytest.raises(DatasetError, match="annotated"):
        SliceSampler([blank], [], _dataset(), (2, 2), CPU, 0)


def test_patches_are_cut_with_their_labels_and_padded_without_any():
    case = _case("a", 6, 10, shape=(12, 5))
    case.image[:, 0] = torch.arange(6 * 12 * 5).view(6, 12, 5).float()
    case.target[:] = (case.image[:, 0] % 2).to(torch.uint8)
    dataset = _dataset(dimensions=3, size=(4, 8, 8))
    sampler = PatchSampler([case], [_case("b", 2, 30)], dataset, (3, 2), CPU, 0)
    batch = sampler.draw()
    assert batch.labelled_image.shape == (3, 1, 4, 8, 8)
    assert batch.labelled_target.shape == (3, 4, 8, 8)
    assert (batch.labelled_target[..., 5:] == 255).all()
    inside = batch.labelled_image[:, 0, ..., :5]
    assert torch.equal(batch.labelled_target[..., :5].float(), inside % 2)
    assert len({float(p[0, 0, 0, 0]) for p in batch.labelled_image}) > 1
    assert batch.unlabelled_image.shape == (2, 1, 4, 8, 8)
    assert torch.equal(inside[..., 4:], batch.labelled_image[:, 0, ..., 5:6])  # the edge goes on
    empty = PatchSampler([case], [], dataset, (1, 2), CPU, 0).draw()
    assert empty.unlabelled_image.shape == (0, 1, 4, 8, 8)


def test_volumes_that_are_annotated_in_part_are_unlabelled_ones_too():
    part, whole, blank = _case("a", 4, 10, blank=True), _case("b", 4, 20), _case("c", 4, 30)
    blank.target.fill_(255)
    dataset = _dataset(dimensions=3, size=(4, 8, 8))
    batch = PatchSampler([part, whole, blank], [], dataset, (3, 2), CPU, 0).draw()
    assert sorted(batch.labelled_image[:, 0, 0, 0, 0].tolist()) == [10, 20, 30]
    assert sorted(batch.unlabelled_image[:, 0, 0, 0, 0].tolist()) == [10, 30]
    with pytest.raises(DatasetError, match="annotated"):
        PatchSampler([blank], [], dataset, (1, 0), CPU, 0)


def test_patches_reach_every_corner():
    owner = SimpleNamespace(_size=(2, 2, 2), _generator=torch.Generator().manual_seed(0))
    corners = [PatchSampler._corner(owner, torch.zeros(1, 3, 3, 2)) for _ in range(50)]
    assert {tuple(c) for c in corners} == {(a, b, 0) for a in (0, 1) for b in (0, 1)}


def test_patches_of_overlapping_classes_keep_their_channels():
    case = _case("a", 6, 10, shape=(8, 8))
    sets = torch.stack([case.target % 2, (case.target > 2).to(torch.uint8)], 1)
    case.target = sets
    dataset = Dataset("x", {}, {1: "a", 2: "b"}, overlapping=True, dimensions=3, size=(4, 4, 4))
    batch = PatchSampler([case], [], dataset, (2, 0), CPU, 0).draw()
    assert batch.labelled_target.shape == (2, 2, 4, 4, 4)
    depth = batch.labelled_image[:, 0] - 10
    assert torch.equal(batch.labelled_target[:, 0].float(), depth % 2)


@pytest.mark.parametrize("kind", [SliceSampler, PatchSampler])
def test_a_sampler_goes_on_where_it_was_saved(kind):
    dataset = _dataset() if kind is SliceSampler else _dataset(dimensions=3, size=(3, 4, 4))

    def make(seed):
        cases = [_case("a", 6, 10), _case("b", 5, 20)]
        return kind(cases, [_case("c", 4, 30)], dataset, (2, 3), CPU, seed)

    sampler, other = make(0), make(9)
    for _ in range(3):
        sampler.draw()
    state = {k: v.clone() for k, v in sampler.state().items()}
    expected = [sampler.draw() for _ in range(5)]
    other.restore(state)
    for batch in expected:
        again = other.draw()
        assert torch.equal(again.labelled_image, batch.labelled_image)
        assert torch.equal(again.unlabelled_image, batch.unlabelled_image)


def test_batches_have_every_class_where_that_is_asked_for():
    # Nine slices: class 1 in eight of them, class 2 in the sixth, class 3 in the seventh alone.
    case = _case("a", 9, 10)
    rare = torch.zeros(9, 8, 8, dtype=torch.uint8)
    rare[1:, :4] = 1
    rare[6, 4:], rare[7, 4:] = 2, 3
    case.target = rare
    dataset = Dataset("x", {}, {1: "a", 2: "b", 3: "c"}, size=(8, 8))
    plain = SliceSampler([case], [], dataset, (3, 0), CPU, 0)
    assert any(len(plain.draw().labelled_target.unique()) < 4 for _ in range(20))
    sampler = SliceSampler([case], [], dataset, (3, 0), CPU, 0, every_class=True)
    drawn = [sampler.draw() for _ in range(40)]
    assert all(set(b.labelled_target.unique().tolist()) >= {1, 2, 3} for b in drawn)
    # What does not have to go stays: all slices still come.
    assert {int(v) for b in drawn for v in b.labelled_image[:, 0, 0, 0]} == set(range(10, 19))
    small = SliceSampler([case], [], dataset, (1, 0), CPU, 0, every_class=True)
    assert all(small.draw().labelled_target.shape[0] == 1 for _ in range(5))


def test_batches_with_every_class_go_on_where_they_were_saved():
    case = _case("a", 6, 10)
    dataset = Dataset("x", {}, {k: str(k) for k in range(1, 6)}, size=(8, 8))
    sampler = SliceSampler([case], [], dataset, (2, 0), CPU, 0, every_class=True)
    other = SliceSampler([case], [], dataset, (2, 0), CPU, 1, every_class=True)
    for _ in range(3):
        sampler.draw()
    other.restore({k: v.clone() for k, v in sampler.state().items()})
    for _ in range(5):
        assert torch.equal(sampler.draw().labelled_image, other.draw().labelled_image)


@pytest.mark.parametrize("kind", [SliceSampler, PatchSampler])
def test_a_sampler_of_other_data_does_not_go_on(kind):
    dataset = _dataset() if kind is SliceSampler else _dataset(dimensions=3, size=(3, 4, 4))
    whole = kind([_case("a", 6, 10), _case("b", 5, 20)], [], dataset, (2, 0), CPU, 0)
    part = kind([_case("a", 5, 10)], [], dataset, (2, 0), CPU, 0)
    whole.draw()
    with pytest.raises(DatasetError, match=r"data of the run have changed .* --fresh"):
        part.restore(whole.state())
