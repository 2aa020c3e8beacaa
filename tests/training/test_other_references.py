"""What a run learns from the other volumes of its project."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sslseg.methods.frameworks.base import Batch
from napari_sslseg.training import other_references, session
from napari_sslseg.training.checkpoint import load_model, read_head
from napari_sslseg.training.control import Control
from napari_sslseg.training.object_box import ObjectBox
from napari_sslseg.training.other_references import (
    BEYOND,
    MOST_SLICES,
    JoinedSampler,
    OtherReferences,
    gather,
)
from napari_sslseg.training.outcome import Outcome
from napari_sslseg.training.plan import Plan
from napari_sslseg.training.recipe import ALIKE, ALIKE_TAUGHT
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import run_project
from napari_sslseg.training.stack import SliceStack
from napari_sslseg.training.tiles import Tiles
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort, ink_facts
from napari_sslseg.volume.project import ImageInfo, Project

DEPTH, SIDE = 14, 48


def ball(z: float, y: float, x: float, depth: int = DEPTH, side: int = SIDE, fine: int = 1):
    """Return a bright ball (labels 5, its upper half 9) in noise, and its labels."""
    grid = np.meshgrid(
        np.arange(depth), *(np.arange(side * fine) / fine for _ in range(2)), indexing="ij"
    )
    inside = ((grid[0] - z) * 2) ** 2 + (grid[1] - y) ** 2 + (grid[2] - x) ** 2 < 81
    truth = np.where(inside, np.where(grid[1] < y, 9, 5), 0).astype(np.uint8)
    noise = np.random.default_rng(int(z + y + x)).normal(0, 5, truth.shape)
    return (50 * (truth > 0) + 20 * (truth == 9) + noise).astype(np.float32), truth


def label(project: Project, truth: np.ndarray, slices) -> None:
    ink = project.ink_store.load()
    for z in slices:
        ink[z] = truth[z]
    project.ink_store.save(ink)


def add(cohort: Cohort, name: str, made, slices, spacing=(2.0, 1.0, 1.0)) -> Project:
    image, truth = made
    project = cohort.add(image, ImageInfo(name, image.shape, spacing), 0)
    label(project, truth, slices)
    return project


@pytest.fixture
def cohort(tmp_path):
    """Make a project whose first volume has three references, of a ball from slice 2 to 10."""
    image, truth = ball(6, 20, 22)
    info = ImageInfo("own", image.shape, (2.0, 1.0, 1.0))
    first = Project.create(tmp_path / "p", image, info, ClassTable.from_ids([5, 9]), 0)
    label(first, truth, (3, 6, 9))
    return Cohort(first.path)


def stack_of(cohort: Cohort) -> SliceStack:
    project = cohort.open("")
    return SliceStack.from_volume(
        project.image(), project.all_ink(), 0, project.info.spacing, project.extent
    )


def plan_of(size: int = 32, reduction: int = 1) -> Plan:
    tiles = Tiles((size, size), ((0, 0),), reduction)
    return Plan(torch.device("cpu"), False, "supervised", tiles, labelled=4, unlabelled=2)


def gathered(cohort: Cohort, plan: Plan | None = None) -> OtherReferences | None:
    stack = stack_of(cohort)
    truth = torch.from_numpy(ball(6, 20, 22)[1])
    own = ObjectBox.around(truth > 0)
    return gather(cohort.open(""), stack, own, plan or plan_of(), 2**30, lambda: None)


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


def test_classes_that_this_volume_does_not_have_are_left_open(cohort):
    image, truth = ball(7, 26, 30)
    truth[:, 24:26][truth[:, 24:26] > 0] = 12
    add(cohort, "other", (image, truth), range(DEPTH))
    found = gathered(cohort)
    assert int((found.labels == NOT_ANNOTATED).sum()) == int((truth == 12).sum())


def test_a_volume_where_a_class_was_never_painted_is_not_listened_to(cohort):
    image, truth = ball(7, 26, 30)
    add(cohort, "half", (image, np.where(truth == 9, 0, truth)), range(DEPTH))
    assert gathered(cohort) is None


def test_strokes_and_broken_volumes_are_passed_over(cohort):
    image, truth = ball(7, 26, 30)
    strokes = add(cohort, "strokes", (image, truth), ())
    ink = strokes.ink_store.load()
    ink[7, 20:30, 20:30] = truth[7, 20:30, 20:30]
    strokes.ink_store.save(ink)
    broken = add(cohort, "broken", ball(7, 25, 25), range(DEPTH))
    (broken.path / "image.npy").unlink()
    add(cohort, "whole", ball(7, 24, 26), (5, 7))
    assert gathered(cohort).names == ("whole",)


def test_ink_that_cannot_be_read_elsewhere_does_not_end_this_volume_s_run(cohort, monkeypatch):
    add(cohort, "torn", ball(7, 25, 25), range(DEPTH))
    add(cohort, "whole", ball(7, 24, 26), (5, 7))

    def read(project):
        if project.info.name == "torn":
            raise OSError("torn")
        return ink_facts(project)

    monkeypatch.setattr(other_references, "ink_facts", read)
    assert gathered(cohort).names == ("whole",)


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
    own = Own().draw()
    batch = JoinedSampler(Own(), others, torch.Generator().manual_seed(0)).draw()
    assert batch.labelled_image[:2].eq(1).all()
    assert batch.labelled_image[2:].eq(0).all()
    assert batch.labelled_target[:2].eq(1).all()
    assert batch.labelled_target[2:].eq(2).all()
    assert batch.labelled_prior_weight[:2].eq(1).all()
    assert batch.labelled_prior_weight[2:].eq(0).all()
    assert batch.unlabelled_image.eq(own.unlabelled_image).all()


def run(cohort: Cohort, **options) -> list:
    events = []
    request = TrainRequest(seconds=2, device="cpu", **{"estimate": False, **options})
    run_project(cohort.path, request, events.append, Control())
    return events


def test_a_run_says_from_whom_it_learns_and_remembers_it(cohort):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    plans = [e.plan for e in run(cohort) if e.kind == "Started"]
    assert "Learns from other as well." in plans[-1]
    head = read_head(cohort.open("").models)
    assert head["seen"] == sorted(["", cohort.keys[1]])
    # The other one must not begin with a network that knows its labels.
    assert cohort.models_for(cohort.keys[1]) == cohort.folder(cohort.keys[1]) / "models"


def test_a_run_can_be_told_to_look_at_its_own_volume_alone(cohort):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    plans = [e.plan for e in run(cohort, others=False) if e.kind == "Started"]
    assert not any("Learns from" in plan for plan in plans)
    assert read_head(cohort.open("").models)["seen"] == [""]


def test_the_wish_is_in_the_request():
    request = replace(TrainRequest(), others=False)
    assert TrainRequest.from_json(request.to_json()) == request


@pytest.mark.parametrize("better", [False, True])
def test_others_are_left_alone_when_they_did_not_help_on_a_left_out_reference(
    cohort, monkeypatch, better
):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    monkeypatch.setattr(Outcome, "early", False)
    monkeypatch.setattr(Outcome, "knows_better", property(lambda self: better))
    events = run(cohort, estimate=True)
    plans = [e.plan for e in events if e.kind == "Started"]
    assert ("other did not help" in plans[-1]) is not better
    if better:
        assert [e.how for e in events if e.kind == "Estimated"][-1].endswith(
            "and on 1 other volume."
        )
    recipe = cohort.open("").read_proposal("semsim").info["recipe"]
    if recipe["heard"]:
        assert recipe["alike"] == (ALIKE_TAUGHT if better else ALIKE)


def test_a_network_goes_on_with_known_teachers_and_begins_anew_with_new_ones(cohort, monkeypatch):
    asked = []

    def spy(*given) -> bool:
        asked.append(given)
        return load_model(*given)

    monkeypatch.setattr(session, "load_model", spy)
    run(cohort)
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    asked.clear()
    run(cohort)
    assert not asked
    run(cohort)
    assert len(asked) == 1


def test_a_volume_too_large_for_the_memory_is_passed_over(cohort):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    stack = stack_of(cohort)
    own = ObjectBox.around(torch.from_numpy(ball(6, 20, 22)[1]) > 0)
    assert gather(cohort.open(""), stack, own, plan_of(), 10_000, lambda: None) is None
