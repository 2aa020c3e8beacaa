"""A volume worked on in blocks gives what it gives as a whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sslseg.training import size as size_module
from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.events import (
    Estimated,
    Finished,
    Planned,
    Progress,
    ProposalReady,
    Started,
)
from napari_sslseg.training.facts import Phase
from napari_sslseg.training.judge import raised_network, raised_read
from napari_sslseg.training.memory import Need
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import TrainingError, run_project
from napari_sslseg.training.size import measure
from napari_sslseg.training.stack import SliceStack, View
from napari_sslseg.training.whole_volume import WholeVolume
from napari_sslseg.training.windowed import (
    channel_scales,
    grown_view,
    survey,
    window_around,
    windowed_stack,
)
from napari_sslseg.training.workspace import Workspace
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.classes import ClassTable
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.extent import Extent
from napari_sslseg.volume.project import ImageInfo, Project

from .conftest import StepTime

#: Rows and columns around the volume of `conftest`, so that a window is a part of it.
WIDE = 90


@pytest.fixture
def tight(monkeypatch):
    """No volume fits into the memory as a whole, and windows have little room."""
    monkeypatch.setattr(Need, "whole", property(lambda self: 2**60))
    monkeypatch.setattr("napari_sslseg.training.windowed.ROOM", 8)


def make(folder, image, ink, axis):
    """Return a project with the volume in the middle of a wider one, sliced along any axis."""
    around = ((0, 0), (WIDE, WIDE), (WIDE, WIDE))
    noise = np.random.default_rng(1).normal(
        100, 8, [n + 2 * w for n, w in zip(image.shape, (0, WIDE, WIDE), strict=True)]
    )
    wide = noise.astype(np.float32)
    wide[:, WIDE:-WIDE, WIDE:-WIDE] = image
    references = (ink != NOT_ANNOTATED).all((1, 2))
    marks = np.pad(ink, around, constant_values=NOT_ANNOTATED)
    marks[references] = np.pad(ink[references], around)
    marks[3, 2, 3:9] = 0  # a stroke of background, far from the objects
    wide = np.round(wide).clip(0, 2**16 - 1).astype(np.uint16)
    wide, marks = (np.ascontiguousarray(np.moveaxis(a, 0, axis)) for a in (wide, marks))
    spacing = np.insert([1.0, 1.0], axis, 2.0)
    info = ImageInfo("wide", wide.shape, tuple(float(s) for s in spacing))
    project = Project.create(folder, wide, info, ClassTable.from_ids([3, 5]), axis)
    project.ink_store.save(marks)
    return project, marks


def run(project, preset, seconds=60.0, memory=None):
    events = []
    request = TrainRequest(preset, seconds, "cpu", memory=memory, resume=False)
    run_project(project.path, request, events.append, Control(watch=StepTime()))
    return events


@pytest.mark.parametrize(("axis", "extent"), [(0, Extent()), (2, Extent(3, 10))])
def test_proposals_in_blocks_are_those_of_the_whole(
    tmp_path, image, ink, axis, extent, monkeypatch
):
    whole, marks = make(tmp_path / "whole", image, ink, axis)
    whole.extent = extent
    whole.save()
    expected = run(whole, "reference")
    monkeypatch.setattr(Need, "whole", property(lambda self: 2**60))
    monkeypatch.setattr("napari_sslseg.training.windowed.ROOM", 8)
    blocks, _ = make(tmp_path / "blocks", image, ink, axis)
    blocks.extent = extent
    blocks.save()
    found = run(blocks, "reference")
    one, two = (p.read_proposal("reference-guided") for p in (whole, blocks))
    # Half precision moves a voxel in ten thousand.
    objects = np.count_nonzero(one.classes)
    assert np.count_nonzero(one.classes != two.classes) <= 1 + objects // 1000
    assert np.count_nonzero(one.regions != two.regions) <= 5 + objects // 200
    assert np.mean(np.abs(one.confidence.astype(int) - two.confidence) > 1) < 1e-3
    stated = marks != NOT_ANNOTATED
    assert np.array_equal(two.classes[stated], marks[stated])
    assert not two.regions[stated].any()
    dice = [
        next(e.mean for e in events if isinstance(e, Estimated)) for events in (expected, found)
    ]
    assert dice[0] == pytest.approx(dice[1], abs=0.01)


def test_blocks_tell_their_budget_and_how_far_they_are(tmp_path, image, ink, tight):
    project, _ = make(tmp_path / "p", image, ink, 0)
    events = run(project, "reference", memory=3 * 2**30)
    assert [e.memory for e in events if isinstance(e, Started)] == [3 * 2**30]
    shown = [e for e in events if isinstance(e, Progress)]
    fractions = [e.fraction for e in shown]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len({e.phase for e in shown}) >= 4
    assert len(fractions) > 15
    assert list((project.path / "work").iterdir()) == []


def test_a_network_is_trained_and_proposes_in_blocks(tmp_path, image, ink, truth, tight):
    project, marks = make(tmp_path / "p", image, ink, 1)
    turned, known = (np.ascontiguousarray(np.moveaxis(a, 0, 1)) for a in (image, truth))
    other = Cohort(project.path).add(turned, ImageInfo("other", turned.shape, (1.0, 2.0, 1.0)), 1)
    other.ink_store.save(known)
    events = run(project, "auto", seconds=4.0)
    plan = next(e for e in events if isinstance(e, Planned))
    assert plan.others.names == ["other"]
    assert plan.memory is not None
    slugs = [e.slug for e in events if isinstance(e, ProposalReady)]
    assert slugs == ["reference-guided", "reference-guided", "semsim"]
    assert isinstance(events[-1], Finished)
    middle = slice(WIDE, -WIDE)
    for slug in set(slugs):
        proposal = project.read_proposal(slug)
        assert proposal.classes.shape == marks.shape
        found = np.moveaxis(proposal.classes, 1, 0)[:, middle, middle]
        assert np.mean(found == np.where(truth > 0, truth, 0)) > 0.95


def test_second_predictions_in_blocks_are_those_of_the_whole(tmp_path, project, stack):
    torch.manual_seed(0)
    proposed, network = torch.rand(2, 5, 3, 6, 7).softmax(2)
    farther = torch.randint(3, (5, 6, 7), dtype=torch.uint8)
    blocks = WholeVolume(project, stack, Workspace(tmp_path, 2**28))
    for raised, part in ((raised_network, network), (raised_read, farther)):
        found = blocks.raised_classes(raised, proposed, part)
        assert torch.equal(found.long(), raised(proposed, part))


def test_too_little_memory_is_said_before_anything_is_read(tmp_path, image, ink, tight):
    project, _ = make(tmp_path / "p", image, ink, 0)
    with pytest.raises(TrainingError, match=r"needs .* even in blocks, and 20 MB may be used"):
        run(project, "reference", memory=20 * 2**20)
    assert project.proposal_slugs() == []


@pytest.mark.parametrize("axis", [0, 2])
def test_strokes_and_a_slice_inked_across_are_no_slices_that_labels_are_carried_from(
    tmp_path, image, ink, axis, tight
):
    project, marks = make(tmp_path / "p", image, ink, axis)
    assert survey(project.stored_ink(), axis).anchors == 4
    across = np.moveaxis(marks, axis, 0)
    across[:, WIDE + 18] = np.where(across[:, WIDE + 18] == NOT_ANNOTATED, 0, across[:, WIDE + 18])
    project.ink_store.save(marks)
    found = survey(project.stored_ink(), axis)
    assert found.anchors == 4
    assert found.classes == [0, 3, 5]
    assert measure(project, TrainRequest("auto"), 2, 2**40).need.references == 4
    across[[1, 5, 9, 12], 0, 0] = NOT_ANNOTATED
    project.ink_store.save(marks)
    # Now strokes are carried from wherever they tell an object from the background.
    stack = SliceStack.from_volume(project.image(), marks, axis, project.info.spacing)
    assert stack.anchors() == [1, 5, 9, 12]
    assert stack.references() == []
    assert survey(project.stored_ink(), axis).anchors == 4


def test_classes_that_others_teach_count_before_a_volume_goes_whole(tmp_path, image, ink):
    project, _ = make(tmp_path / "p", image, ink, 0)
    request = TrainRequest("auto")

    def size(budget: int, taught=()):
        return measure(project, request, 2, budget, taught)

    needed = size(size(2**50).need.whole - 1).need.whole
    assert size(needed).fits
    assert not size(needed, range(1, 9)).fits
    assert size(needed, (3, 5)).need.classes == 3


def test_too_small_a_disk_is_said_before_anything_is_read(tmp_path, image, ink, tight, monkeypatch):
    project, _ = make(tmp_path / "p", image, ink, 0)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(size_module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(TrainingError, match="must be free on the disk"):
        run(project, "reference")


def test_matching_in_blocks_can_be_cancelled(tmp_path, image, ink, tight):
    project, _ = make(tmp_path / "p", image, ink, 0)
    control, events = Control(), []

    def emit(event):
        events.append(event)
        if isinstance(event, Progress) and event.phase == Phase.MATCHING:
            control.cancel()

    with pytest.raises(Cancelled):
        run_project(project.path, TrainRequest("reference"), emit, control)
    assert not any(isinstance(e, ProposalReady) for e in events)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_windowed_stack_shows_the_window_of_the_whole_one(tmp_path, image, ink, axis):
    project, marks = make(tmp_path / "p", image, ink, axis)
    whole = SliceStack.from_volume(project.image(), marks, axis, project.info.spacing)
    found = survey(project.stored_ink(), axis)
    height, width = whole.ink.shape[1:]
    view = window_around(found, height, width)
    assert view.rows.stop - view.rows.start < height
    scales = channel_scales(project.image(), 1, lambda: None)
    part = windowed_stack(
        project.image(),
        project.stored_ink(),
        found,
        axis,
        project.info.spacing,
        view,
        scales,
        Workspace(tmp_path, 1),
    )
    assert part.class_ids == whole.class_ids
    assert part.spacing == whole.spacing
    assert torch.equal(part.ink, whole.ink[:, view.rows, view.columns])
    assert part.references() == whole.references()
    slices = torch.tensor([0, 5, 13])
    expected = whole.context(slices)[..., view.rows, view.columns]
    # The percentiles of a large image come from a sample of another order.
    assert torch.allclose(part.context(slices), expected, atol=1e-3)


def test_a_window_grows_where_objects_reach_its_edge():
    view = View(slice(10, 20), slice(0, 30), 100, 40)
    probabilities = torch.zeros(4, 2, 10, 30)
    probabilities[:, 0] = 1
    assert grown_view(view, probabilities) == view
    probabilities[2, :, 9, 5] = torch.tensor([0.1, 0.9])
    assert grown_view(view, probabilities) == View(slice(10, 25), slice(0, 30), 100, 40)
    probabilities[1, :, 4, 29] = torch.tensor([0.1, 0.9])
    assert grown_view(view, probabilities) == View(slice(10, 25), slice(0, 40), 100, 40)
