"""A whole run in this process, on a small volume."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.events import Event, ProposalReady, Quality
from napari_sslseg.training.request import PRESETS, TrainRequest
from napari_sslseg.training.session import TrainingError, run_project
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.extent import Extent
from napari_sslseg.volume.project import Project


def run(project: Project, **request) -> list[Event]:
    events: list[Event] = []
    run_project(project.path, TrainRequest(**request), events.append, Control())
    return events


def dice(proposed: np.ndarray, truth: np.ndarray) -> float:
    scores = [
        2 * ((proposed == c) & (truth == c)).sum() / ((proposed == c).sum() + (truth == c).sum())
        for c in (3, 5)
    ]
    return float(np.mean(scores))


def test_matching_alone_needs_no_training(project, truth):
    events = run(project, preset="reference", seconds=20)
    assert [e.kind for e in events if isinstance(e, ProposalReady)] == ["ProposalReady"]
    assert dice(project.read_proposal("reference-guided").classes, truth) > 0.9
    assert "Estimated" in {e.kind for e in events}
    assert not list(project.models.glob("*"))


def test_the_default_makes_both_proposals_and_keeps_ink(project, truth, ink):
    events = run(project, seconds=5)
    inked = ink != NOT_ANNOTATED
    for slug in ("reference-guided", "semsim"):
        proposal = project.read_proposal(slug)
        assert np.array_equal(proposal.classes[inked], ink[inked])
        assert dice(proposal.classes, truth) > 0.85
        assert sum(proposal.info["shares"].values()) == pytest.approx(1)
    looked = [e for e in events if isinstance(e, Quality)]
    assert looked
    assert looked[-1].baseline is not None
    assert (project.models / "model.json").exists()
    assert np.array_equal(project.ink_store.load(), ink)
    told = {e.slug: asdict(e) for e in events if e.kind == "Estimated"}
    assert set(told) == {"reference-guided", "semsim"}
    # What was told of a proposal is with it on disk, also when it was judged anew afterwards.
    for slug, estimate in told.items():
        assert project.proposals.info(slug)["estimate"] == estimate
    assert project.proposal_version("reference-guided") == 2


def test_retraining_goes_on_from_the_last_model(project):
    run(project, seconds=3)
    first = (project.models / "model.json").read_text()
    events = run(project, seconds=3)
    # The model has seen all references now: there is nothing to test it on.
    assert "Quality" not in {e.kind for e in events}
    assert (project.models / "model.json").read_text() != first
    assert project.proposal_version("semsim") == 2


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"auto", "reference"}))
def test_every_preset_trains(project, preset):
    run(project, preset=preset, seconds=2, estimate=False)
    assert project.read_proposal("semsim").info["preset"] == preset


def test_one_reference_slice_is_enough_to_begin(project, truth):
    ink = project.ink_store.load()
    ink[[1, 9, 12]] = NOT_ANNOTATED
    project.ink_store.save(ink)
    events = run(project, seconds=3)
    assert "Estimated" not in {e.kind for e in events}
    assert project.read_proposal("semsim").classes.any()


def test_partial_ink_alone_is_enough_to_begin(project, truth):
    ink = project.ink_store.load()
    ink[:] = NOT_ANNOTATED
    ink[4, 12:24, 4:30] = truth[4, 12:24, 4:30]
    ink[10, 12:24, 4:30] = truth[10, 12:24, 4:30]
    project.ink_store.save(ink)
    run(project, seconds=3)
    classes = project.read_proposal("reference-guided").classes
    assert np.array_equal(classes[4, 12:24, 4:30], truth[4, 12:24, 4:30])


def test_cancelling_before_the_start_leaves_the_project_alone(project):
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        run_project(project.path, TrainRequest(), lambda event: None, control)
    assert project.proposal_slugs() == []


def test_a_device_that_is_not_there_is_said(project):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match="no CUDA device"):
        run(project, device="cuda")


def test_a_folder_without_a_project_is_said(tmp_path):
    with pytest.raises(TrainingError, match="not a napari-sslseg project"):
        run_project(tmp_path, TrainRequest(), lambda event: None, Control())


def test_a_network_that_has_not_learned_enough_is_not_heard(project, monkeypatch):
    monkeypatch.setattr("napari_sslseg.training.proposing.LEARNED", 1.01)  # never enough
    events = run(project, seconds=3)
    matched = project.read_proposal("reference-guided")
    assert matched.info["second_opinion"] != "network"
    assert np.array_equal(project.read_proposal("semsim").classes, matched.classes)
    assert events[-1].recommended == "reference-guided"
    assert matched.info["shares"]["UC"] > 0.5
    told = [e for e in events if e.kind == "Estimated" and e.slug == "semsim"]
    assert "needs more time" in told[-1].how


def test_each_proposal_is_compared_with_what_it_does_not_hold_already(project, monkeypatch):
    monkeypatch.setattr("napari_sslseg.training.proposing.LEARNED", 0.0)
    run(project, seconds=3)
    told = {s: project.read_proposal(s).info["second_opinion"] for s in project.proposal_slugs()}
    assert told == {"reference-guided": "network", "semsim": "network, counting more"}
    run(project, preset="supervised", seconds=3, resume=False)
    proposal, matched = (project.read_proposal(s) for s in ("semsim", "reference-guided"))
    assert proposal.info["second_opinion"] == "matching"
    judged = proposal.regions > 0
    assert judged.any()
    differs = proposal.classes != matched.classes
    assert np.array_equal(proposal.regions[judged] >= 3, differs[judged])


def test_nothing_is_proposed_where_the_user_says_that_there_is_no_object(
    project, truth, ink, monkeypatch
):
    # The network is heard, however little it learns in this time.
    monkeypatch.setattr("napari_sslseg.training.proposing.LEARNED", 0.0)
    project.extent = Extent(4, 10)
    project.save()
    events = run(project, seconds=3)
    outside = [0, 2, 3, 11, 13]
    for slug in ("reference-guided", "semsim"):
        proposal = project.read_proposal(slug)
        assert not proposal.classes[outside].any()
        assert (proposal.regions[outside] == 1).all()
        assert (proposal.confidence[outside] == 255).all()
        # Slices 1 and 12 were painted: ink stands above what was said.
        assert np.array_equal(proposal.classes[[1, 12]], truth[[1, 12]])
        assert all(proposal.classes[z].any() for z in range(4, 11))
    assert "Estimated" in {e.kind for e in events}
    assert np.array_equal(project.ink_store.load(), ink)
