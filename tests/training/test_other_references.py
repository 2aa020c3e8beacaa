"""What a run learns from the other volumes of its project."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sslseg.methods.frameworks.base import Batch
from napari_sslseg.training import earlier_network, other_references, outcome, session
from napari_sslseg.training.checkpoint import load_model, read_head
from napari_sslseg.training.control import Control
from napari_sslseg.training.events import Planned
from napari_sslseg.training.facts import Basis, Others, Verdict, Witness
from napari_sslseg.training.object_box import ObjectBox
from napari_sslseg.training.other_references import (
    BEYOND,
    MOST_SLICES,
    JoinedSampler,
    OtherReferences,
    gather,
)
from napari_sslseg.training.outcome import TaughtOutcome
from napari_sslseg.training.plan import Plan
from napari_sslseg.training.recipe import ALIKE, ALIKE_TAUGHT
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import run_project
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.teachers import find_teachers
from napari_sslseg.training.tiles import Tiles
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.project import ImageInfo

from .balls import DEPTH, SIDE, add, ball, label, make_cohort
from .conftest import StepTime


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


@pytest.mark.parametrize("slices", [(3, 6, 9), (6,)])
def test_a_run_names_those_that_should_teach_and_cannot(tmp_path, slices):
    cohort = make_cohort(tmp_path / "p", slices)
    add(cohort, "empty", ball(7, 25, 25), range(DEPTH))
    add(cohort, "gone", ball(7, 24, 26), range(DEPTH))
    (cohort.open(cohort.keys[1]).path / "image.npy").write_bytes(b"")
    (cohort.open(cohort.keys[2]).path / "image.npy").unlink()
    assert planned(run(cohort))[-1].others == Others(missed=["empty", "gone"])


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


def run(cohort: Cohort, **options) -> list:
    events = []
    request = TrainRequest(**{"seconds": 1, "device": "cpu", "estimate": False, **options})
    run_project(cohort.path, request, events.append, Control(watch=StepTime()))
    return events


def planned(events: list) -> list[Planned]:
    return [e for e in events if isinstance(e, Planned)]


def test_a_run_says_from_whom_it_learns_and_remembers_it(cohort):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    assert planned(run(cohort))[0].others == Others(["other"])
    head = read_head(cohort.open("").models)
    assert head["seen"] == sorted(["", cohort.keys[1]])
    # The other one must not begin with a network that knows its labels.
    assert cohort.models_for(cohort.keys[1]) == cohort.folder(cohort.keys[1]) / "models"


def test_a_run_can_be_told_to_look_at_its_own_volume_alone(cohort):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    assert [plan.others for plan in planned(run(cohort, others=False))] == [Others()]
    assert read_head(cohort.open("").models)["seen"] == [""]


def test_the_wish_is_in_the_request():
    request = replace(TrainRequest(), others=False)
    assert TrainRequest.from_json(request.to_json()) == request


@pytest.mark.parametrize("better", [False, True])
def test_others_are_left_alone_when_the_matching_is_better_on_labelled_slices(
    cohort, monkeypatch, any_steps_do, better
):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    monkeypatch.setattr(TaughtOutcome, "dismisses_others", not better)
    monkeypatch.setattr(TaughtOutcome, "knows_better", better)
    monkeypatch.setattr(TaughtOutcome, "heard", better)
    monkeypatch.setattr(TaughtOutcome, "matching_as_good", False)
    events = run(cohort, estimate=True)
    assert planned(events)[0].others.teach
    assert planned(events)[-1].others.names == ["other"]
    assert planned(events)[-1].others.teach is better
    found = [e for e in events if e.kind == "Estimated"][-1]
    assert (found.basis == Basis(Witness.UNAIDED, 3)) is better
    assert not found.rough
    if not better:
        again = run(cohort, estimate=True)  # once dismissed, they are not tested again
        assert not [e for e in again if e.kind == "Quality"]
        assert planned(again)[-1].others.verdict == Verdict.DISMISSED
    recipe = cohort.open("").read_proposal("semsim").info["recipe"]
    if recipe["heard"]:
        assert recipe["alike"] == (ALIKE_TAUGHT if better else ALIKE)


def test_a_network_goes_on_with_known_teachers_and_begins_anew_with_new_ones(
    cohort, monkeypatch, any_steps_do
):
    asked = []

    def spy(*given) -> bool:
        asked.append(given)
        return load_model(*given)

    monkeypatch.setattr(earlier_network, "load_model", spy)
    monkeypatch.setattr(TaughtOutcome, "early", False)  # or it is tested again
    run(cohort)
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    asked.clear()
    run(cohort)
    assert not asked
    run(cohort)
    assert len(asked) == 1


@pytest.mark.parametrize("broken", [False, True])
def test_frames_change_with_new_teachers_but_not_with_one_that_cannot_teach(
    cohort, any_steps_do, untuned, broken
):
    run(cohort)
    own = cohort.open("").models
    frame = [96, 80]
    (own / "model.json").write_text(json.dumps(read_head(own) | {"frame": frame}))
    image, truth = ball(7, 26, 30)
    if broken:
        image = np.full(image.shape, np.nan)
    add(cohort, "other", (image, truth), range(DEPTH))
    plan = planned(run(cohort))[-1]
    assert plan.others.missed == ["other"] * broken
    assert (plan.frame == frame) == broken
    assert (read_head(own)["frame"] == frame) == broken


@pytest.fixture
def hardly_labelled(tmp_path):
    """Make a project with one reference, which shows one class of two, and a finished volume."""
    cohort = make_cohort(tmp_path / "p", ())
    truth = ball(6, 20, 22)[1]
    label(cohort.open(""), np.where(truth == 9, 0, truth), (6,))
    add(cohort, "finished", ball(7, 26, 30), range(DEPTH))
    return cohort


def test_one_reference_tells_how_good_a_network_is_that_others_have_taught(
    hardly_labelled, monkeypatch
):
    monkeypatch.setattr(outcome, "TRUSTED", 0.0)
    monkeypatch.setattr(outcome, "TELLING", 0.0)
    events = run(hardly_labelled, seconds=3, estimate=True)
    found = [e for e in events if e.kind == "Estimated"]
    assert [e.slug for e in found] == ["semsim"]
    assert found[0].basis == Basis(Witness.UNAIDED, 1)
    assert found[0].rough
    assert [e.recommended for e in events if e.kind == "Finished"] == ["semsim"]
    proposal = hardly_labelled.open("").read_proposal("semsim")
    assert proposal.info["recipe"]["heard"]
    # It is not the matching, which could not test itself, that is drawn as a line to beat.
    assert {e.baseline for e in events if e.kind == "Quality"} == {None}
    assert proposal.info["estimate"]["mean"] == found[0].mean
    head = read_head(hardly_labelled.open("").models)
    assert head["few"]
    assert head["class_ids"] == [0, 5, 9]  # the other one knows a class that this one lacks


def test_a_network_that_has_seen_the_references_is_not_tested_on_them_again(
    hardly_labelled, monkeypatch
):
    run(hardly_labelled)
    monkeypatch.setattr(earlier_network, "load_model", lambda *given: pytest.fail("goes on"))
    events = run(hardly_labelled, estimate=True)
    assert [e for e in events if e.kind == "Quality"]


def test_a_network_that_does_not_fit_the_references_is_not_proposed(hardly_labelled, monkeypatch):
    monkeypatch.setattr(outcome, "TRUSTED", 99.0)
    monkeypatch.setattr(outcome, "TELLING", 0.0)
    events = run(hardly_labelled, estimate=True)
    assert planned(events)[-1].others == Others(["finished"], Verdict.DOUBTED)
    assert not [e for e in events if e.kind == "Estimated"]
    project = hardly_labelled.open("")
    if not project.read_proposal("semsim").info["recipe"]["heard"]:
        assert [e.recommended for e in events if e.kind == "Finished"] == ["reference-guided"]
    # What it was tested for is no use once the others are gone.
    run(hardly_labelled, others=False)
    assert "network" not in read_head(project.models)


def test_what_lies_beyond_the_object_is_shown_where_references_do_not_say(
    hardly_labelled, monkeypatch
):
    shown = []

    def spy(*given):
        shown.append(gather(*given))
        return shown[-1]

    monkeypatch.setattr(session, "gather", spy)
    run(hardly_labelled)
    assert len(shown[-1].labels) == DEPTH
    label(hardly_labelled.open(""), ball(6, 20, 22)[1], (3, 9))
    run(hardly_labelled)
    assert len(shown[-1].labels) < DEPTH


def test_without_others_one_reference_tells_nothing(hardly_labelled):
    events = run(hardly_labelled, others=False, estimate=True)
    assert not [e for e in events if e.kind in ("Quality", "Estimated")]
    assert read_head(hardly_labelled.open("").models)["class_ids"] == [0, 5]
