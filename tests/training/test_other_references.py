"""Frames of other volumes of a project that a run is shown beside its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sslseg.methods.frameworks.base import Batch
from napari_sslseg.training import other_references
from napari_sslseg.training.object_box import ObjectBox
from napari_sslseg.training.other_references import (
    BEYOND,
    MOST_SLICES,
    JoinedSampler,
    OtherReferences,
    gather,
)
from napari_sslseg.training.plan import Plan
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.teachers import find_teachers
from napari_sslseg.training.tiles import Tiles
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo

from .balls import DEPTH, SIDE, add, ball, make_cohort


@pytest.fixture
def cohort(tmp_path):
    return make_cohort(tmp_path / "p")


def stack_of(cohort: Cohort, taught=()) -> SliceStack:
    project = cohort.open("")
    return SliceStack.from_volume(
        project.image(), project.all_ink(), 0, project.info.spacing, project.extent, taught
    )


def plan_of(size: int = 32, reduction: int = 1) -> Plan:
    tiles = Tiles((size, size), ((0, 0),), reduction)
    return Plan(torch.device("cpu"), False, "supervised", tiles, labelled=4, unlabelled=2)


def gathered(cohort: Cohort, plan: Plan | None = None, **options) -> OtherReferences | None:
    teachers = find_teachers(cohort.open(""), 2**30)
    truth = torch.from_numpy(ball(6, 20, 22)[1])
    own = ObjectBox.around(truth > 0)
    stack = stack_of(cohort, teachers.classes)
    return gather(teachers, stack, own, plan or plan_of(), lambda: None, **options)


def test_nobody_else_has_nothing_to_tell(cohort):
    assert gathered(cohort) is None
    cohort.add(ball(5, 20, 20)[0], ImageInfo("bare", (DEPTH, SIDE, SIDE), (2.0, 1.0, 1.0)), 0)
    assert gathered(cohort) is None


def test_whole_slices_of_others_become_frames_that_show_the_same_as_their_labels(cohort):
    made = ball(7, 26, 30)
    add(cohort, "other", made, range(DEPTH))
    found = gathered(cohort)
    assert found is not None
    assert found.names == ("other",)
    assert found.keys == (cohort.keys[1],)
    objects = np.flatnonzero((made[1] > 0).any((1, 2)))
    assert len(found.labels) == len(objects) + 2 * BEYOND
    assert found.images.shape[1:] == (6, 32, 32)
    assert found.labels.shape[1:] == (32, 32)
    assert set(found.labels.unique().tolist()) == {0, 1, 2}
    # Every voxel of the object is in the frames, under the middle one of the context slices.
    assert int((found.labels == 1).sum()) == int((made[1] == 5).sum())
    assert int((found.labels == 2).sum()) == int((made[1] == 9).sum())
    middle = found.images[:, 1]
    assert middle[found.labels == 1].mean() > middle[found.labels == 0].mean() + 1


def test_frames_are_normalised_as_the_volume_s_own_slices_are(cohort):
    made = ball(7, 26, 30)
    other = add(cohort, "other", made, range(DEPTH))
    found = gathered(cohort, plan_of(SIDE))
    stack = SliceStack.from_volume(made[0], other.all_ink(), 0, (2.0, 1.0, 1.0))
    objects = np.flatnonzero((made[1] > 0).any((1, 2)))
    slices = torch.arange(objects[0] - BEYOND, objects[-1] + BEYOND + 1)
    torch.testing.assert_close(found.images[:, :3], stack.context(slices)[:, :3], atol=1e-4, rtol=0)


def test_positions_agree_where_the_object_begins_ends_and_has_its_middle(cohort):
    made = ball(7, 28, 31)  # a slice deeper, eight rows and nine columns farther
    add(cohort, "other", made, range(DEPTH))
    found = gathered(cohort, plan_of(SIDE))
    stack = stack_of(cohort)
    own = np.flatnonzero((ball(6, 20, 22)[1] > 0).any((1, 2)))
    ends = stack.context(torch.tensor([own[0], own[-1]]))[:, 3, 0, 0]
    torch.testing.assert_close(found.images[[BEYOND, -1 - BEYOND], 3, 0, 0], ends)
    here = stack.context(torch.tensor([6]))[0, 4:, 20, 22]
    torch.testing.assert_close(found.images[0, 4:, 28, 31], here)


def test_a_volume_whose_image_is_gone_is_passed_over(cohort):
    broken = add(cohort, "broken", ball(7, 25, 25), range(DEPTH))
    (broken.path / "image.npy").unlink()
    add(cohort, "whole", ball(7, 24, 26), (5, 7))
    missed = []
    assert gathered(cohort, missed=missed.append).names == ("whole",)
    assert missed == ["broken"]


def test_an_error_of_our_own_is_not_taken_for_a_volume_that_cannot_be_read(cohort, monkeypatch):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))

    def broken(*given):
        raise ValueError("shapes do not match")

    monkeypatch.setattr(other_references, "channel_scales", broken)
    with pytest.raises(ValueError, match="shapes do not match"):
        gathered(cohort)


def test_where_the_object_ends_is_not_known_volumes_are_aligned_as_wholes(cohort):
    add(cohort, "other", ball(7, 28, 31), range(DEPTH))
    teachers = find_teachers(cohort.open(""), 2**30)
    stack = stack_of(cohort, teachers.classes)
    found = gather(teachers, stack, None, plan_of(SIDE), lambda: None, DEPTH)
    assert len(found.labels) == DEPTH  # what lies beyond the object is shown too
    expected = stack.context(torch.arange(DEPTH))[:, 3:]
    torch.testing.assert_close(found.images[:, 3:], expected)


def test_slices_are_brought_to_this_volume_s_pixels(cohort):
    add(cohort, "fine", ball(7, 26, 30, fine=2), range(DEPTH), (2.0, 0.5, 0.5))
    add(cohort, "same", ball(7, 25, 29), range(DEPTH))
    found = gathered(cohort)
    sizes = [int((found.labels[found.weights == w] > 0).sum()) for w in found.weights.unique()] or [
        0
    ]
    total = int(((found.labels > 0) & (found.labels < 255)).sum())
    assert total == pytest.approx(2 * int((ball(7, 25, 29)[1] > 0).sum()), rel=0.03), sizes


def test_reduced_frames_are_reduced_here_too(cohort):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    found = gathered(cohort, plan_of(32, reduction=2))
    assert found.images.shape[-2:] == (16, 16)
    assert found.labels.shape[-2:] == (16, 16)


def test_a_deep_volume_counts_as_much_as_a_shallow_one(cohort):
    deep = ball(60, 24, 24, depth=120)
    deep[1][:] = np.where(deep[1].any(0)[None], deep[1].max(0)[None], 0)  # a column throughout
    add(cohort, "deep", deep, range(120))
    add(cohort, "shallow", ball(7, 24, 26), (5, 7))
    found = gathered(cohort)
    assert len(found.labels) == MOST_SLICES + 2
    assert float(found.weights[:MOST_SLICES].sum()) == pytest.approx(1)
    assert float(found.weights[MOST_SLICES:].sum()) == pytest.approx(1)


LABELLED = ("labelled_image", "labelled_target", "labelled_prior", "labelled_prior_weight")


class Own:
    """Draws batches of nothing but ones."""

    def draw(self) -> Batch:
        """Return it."""
        image, maps = torch.ones(4, 6, 8, 8), torch.ones(4, 8, 8)
        soft = torch.ones(4, 3, 8, 8)
        target = torch.ones(4, 8, 8, dtype=torch.uint8)
        return Batch(image, target, image, soft, maps, soft, maps)


def test_half_of_the_labelled_frames_are_theirs_and_nothing_was_propagated_to_those():
    images, labels = torch.zeros(5, 6, 8, 8), torch.full((5, 8, 8), 2, dtype=torch.uint8)
    others = OtherReferences(images, labels, torch.ones(5) / 5, ("other",), ("key",))
    batch = JoinedSampler(Own(), others, 4, torch.Generator().manual_seed(0)).draw()
    assert batch.labelled_image[:2].eq(1).all()
    assert batch.labelled_image[2:].eq(0).all()
    assert batch.labelled_target[:2].eq(1).all()
    assert batch.labelled_target[2:].eq(2).all()
    assert batch.labelled_prior_weight[:2].eq(1).all()
    assert batch.labelled_prior_weight[2:].eq(0).all()


def drawn_with(trust: float, **changes) -> tuple[Batch, Batch]:
    """Return a volume's own batch, and one that others' frames of class 2 were put into."""
    images, labels = torch.zeros(5, 6, 8, 8), torch.full((5, 8, 8), 2, dtype=torch.uint8)
    labels[:, 0] = NOT_ANNOTATED
    others = OtherReferences(images, labels, torch.ones(5) / 5, ("other",), ("key",))
    own, whole = Own(), replace(Own().draw(), **changes)
    own.draw = lambda: whole
    return whole, JoinedSampler(own, others, 4, torch.Generator().manual_seed(0), trust).draw()


def test_propagated_labels_that_are_trusted_stay():
    own, batch = drawn_with(1.0)
    assert batch.unlabelled_image.equal(own.unlabelled_image)
    assert batch.prior.equal(own.prior)
    assert batch.prior_weight.equal(own.prior_weight)


def test_where_they_are_not_trusted_others_take_the_place_of_unlabelled_frames():
    _, batch = drawn_with(0.0)
    assert batch.unlabelled_image.eq(0).all()
    assert batch.prior[:, :, 1:].argmax(1).eq(2).all()
    assert batch.prior_weight[:, 1:].eq(1).all()
    assert batch.prior_weight[:, 0].eq(0).all()  # nobody has looked there


def test_trust_is_the_share_of_the_volumes_own_frames():
    unlabelled = {
        "unlabelled_image": torch.ones(400, 6, 8, 8),
        "prior": torch.full((400, 3, 8, 8), 1 / 3),
        "prior_weight": torch.ones(400, 8, 8),
    }
    _, batch = drawn_with(0.25, **unlabelled)
    mine = batch.unlabelled_image[:, 0, 0, 0] == 1
    assert 0.15 < mine.float().mean() < 0.35
    assert batch.prior[mine].eq(1 / 3).all()
    assert batch.prior[~mine].amax(1)[:, 1:].eq(1).all()


def test_without_propagated_labels_the_volumes_own_frames_stay():
    own, batch = drawn_with(0.0, prior=None, prior_weight=None)
    assert batch.unlabelled_image.equal(own.unlabelled_image)


def test_the_usual_area_of_the_object_is_that_of_frames_that_show_it():
    labels = torch.zeros(3, 8, 8, dtype=torch.uint8)
    labels[0, :2], labels[1, :4] = 1, 2
    labels[2, 5] = NOT_ANNOTATED
    given = (torch.zeros(3, 6, 8, 8), labels, torch.ones(3), ("other",), ("key",))
    assert OtherReferences(*given).area == (16 + 32) / 2
    assert OtherReferences(given[0], labels[2:], *given[2:]).area == 0


def test_all_labelled_frames_are_theirs_where_the_volume_has_none():
    images, labels = torch.zeros(5, 6, 8, 8), torch.full((5, 8, 8), 2, dtype=torch.uint8)
    others = OtherReferences(images, labels, torch.ones(5) / 5, ("other",), ("key",))
    own, whole = Own(), Own().draw()
    none = {name: getattr(whole, name)[:0] for name in LABELLED}
    # What is not cut into frames has the size of the slices.
    none["labelled_image"] = torch.empty(0, 6, 20, 30)
    own.draw = lambda: replace(whole, **none)
    batch = JoinedSampler(own, others, 4, torch.Generator().manual_seed(0), prior=0.0).draw()
    assert batch.labelled_image.shape == (4, 6, 8, 8)
    assert batch.labelled_target.eq(2).all()
    assert batch.labelled_prior.shape == (4, 3, 8, 8)
    assert batch.labelled_prior_weight.eq(0).all()
