"""A whole run in this process, on a small volume."""

from __future__ import annotations

import errno
import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_sslseg.methods.frameworks.combined import Combined
from napari_sslseg.methods.propagation import propagate
from napari_sslseg.training.checkpoint import read_head
from napari_sslseg.training.control import Cancelled, Control
from napari_sslseg.training.events import (
    Event,
    Loss,
    NetworkUnsaved,
    Planned,
    Progress,
    ProposalReady,
    Quality,
)
from napari_sslseg.training.facts import Witness
from napari_sslseg.training.finite import is_finite
from napari_sslseg.training.judge import DISPUTED, raised_read
from napari_sslseg.training.plan import FIRST_STEPS
from napari_sslseg.training.request import PRESETS, TrainRequest
from napari_sslseg.training.session import TrainingError, run_project
from napari_sslseg.training.trainer import Trainer
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.cohort import Cohort
from napari_sslseg.volume.extent import Extent
from napari_sslseg.volume.project import ImageInfo, Project

from .conftest import StepTime


def run(project: Project, **request) -> list[Event]:
    events: list[Event] = []
    run_project(project.path, TrainRequest(**request), events.append, Control(watch=StepTime()))
    return events


def dice(proposed: np.ndarray, truth: np.ndarray) -> float:
    scores = [
        2 * ((proposed == c) & (truth == c)).sum() / ((proposed == c).sum() + (truth == c).sum())
        for c in (3, 5)
    ]
    return float(np.mean(scores))


def test_matching_alone_needs_no_training(project, stack, truth):
    events = run(project, preset="reference", seconds=20)
    assert [e.kind for e in events if isinstance(e, ProposalReady)] == ["ProposalReady"]
    proposal = project.read_proposal("reference-guided")
    assert dice(proposal.classes, truth) > 0.9
    # Where the farther read names another class, but would not change the matching, both agree.
    matched = propagate(stack.inked_volume(stack.ink))
    differs = (matched.farther != matched.labels).numpy()
    discrepant = (raised_read(matched.probabilities, matched.farther) != matched.labels).numpy()
    regions = np.moveaxis(proposal.regions, stack.axis, 0)
    likely_wrong = np.moveaxis(proposal.confidence, stack.axis, 0) < 128
    assert 0 < np.count_nonzero(discrepant) < np.count_nonzero(differs)
    assert np.array_equal(regions >= 3, discrepant | likely_wrong)
    assert "Estimated" in {e.kind for e in events}
    assert not list(project.models.glob("*"))


def test_the_default_makes_both_proposals_and_keeps_ink(project, truth, ink):
    events = run(project, seconds=4)
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


def test_retraining_goes_on_from_the_last_model(project, any_steps_do):
    run(project, seconds=2)
    first = read_head(project.models)
    events = run(project, seconds=2)
    # The model has seen all references now: there is nothing to test it on.
    assert "Quality" not in {e.kind for e in events}
    again = read_head(project.models)
    assert again["weights"] != first["weights"]
    assert again["steps"] > first["steps"] > 0
    assert again["network"] == first["network"]
    assert project.proposal_version("semsim") == 2


def test_a_run_that_goes_on_counts_the_steps_before_it(project, any_steps_do, untuned, monkeypatch):
    over = []
    monkeypatch.setattr(Combined, "go_on", lambda framework, steps: over.append(steps))
    run(project, seconds=1, estimate=False)
    assert not over
    for steps in (FIRST_STEPS - 1, FIRST_STEPS):
        write_head(project, steps=steps)
        run(project, seconds=1, estimate=False)
        assert over[-1] == steps


def write_head(project: Project, **changed) -> None:
    head = read_head(project.models) | changed
    (project.models / "model.json").write_text(json.dumps(head))


def test_a_network_that_has_hardly_begun_is_trained_and_tested_anew(project, untuned, monkeypatch):
    monkeypatch.setattr("napari_sslseg.training.outcome.FEWEST_STEPS", 10**6)
    run(project, seconds=1)
    events = run(project, seconds=1)
    assert "Quality" in {e.kind for e in events}
    assert read_head(project.models)["steps"] == max(e.step for e in events if e.kind == "Loss")


@pytest.mark.parametrize("why", ["goes on", "preset", "weights", "steps"])
def test_frames_are_those_of_an_earlier_network_only_if_the_run_goes_on_from_it(
    project, any_steps_do, untuned, why
):
    run(project, seconds=1, estimate=False)
    frame = [96, 80]
    write_head(project, frame=frame)
    if why == "weights":
        (project.models / read_head(project.models)["weights"]).write_bytes(b"torn")
    if why == "steps":
        write_head(project, steps=0)
    preset = "supervised" if why == "preset" else "auto"
    events = run(project, preset=preset, seconds=1, estimate=False)
    goes_on = why == "goes on"
    assert (read_head(project.models)["frame"] == frame) == goes_on
    plan = [e for e in events if isinstance(e, Planned)][-1]
    assert (plan.frame == frame) == goes_on


def test_a_network_of_one_reference_is_tested_once_there_are_three(
    project, ink, any_steps_do, untuned
):
    few = ink.copy()
    few[[5, 9, 12]] = NOT_ANNOTATED
    project.ink_store.save(few)
    for _ in range(2):  # it goes on as long as nothing can be tested
        assert "Quality" not in {e.kind for e in run(project, seconds=1)}
    steps = read_head(project.models)["steps"]
    assert steps > max(e.step for e in run(project, seconds=1, estimate=False) if e.kind == "Loss")
    project.ink_store.save(ink)
    events = run(project, seconds=2)
    assert "Quality" in {e.kind for e in events}
    assert {e.slug for e in events if e.kind == "Estimated"} == {"reference-guided", "semsim"}
    assert "recipe" in read_head(project.models)
    # From then on it goes on again.
    assert "Quality" not in {e.kind for e in run(project, seconds=1)}


def test_an_empty_reference_in_the_middle_is_not_what_the_network_is_tested_on(project, ink):
    ink[5] = 0
    project.ink_store.save(ink)
    events = run(project, seconds=2)
    looked = [e for e in events if isinstance(e, Quality)]
    assert looked
    assert all(math.isfinite(e.dice) and math.isfinite(e.baseline) for e in looked)
    told = {e.slug: e for e in events if e.kind == "Estimated"}
    assert told["reference-guided"].mean > 0.8
    assert set(told["reference-guided"].ids) == set(told["reference-guided"].dice)
    assert sorted(told["reference-guided"].ids.values()) == [3, 5]


def test_a_slice_inked_across_does_not_end_the_estimates(project, ink, truth):
    ink[:, 18] = truth[:, 18]
    project.ink_store.save(ink)
    events = run(project, preset="reference", seconds=20)
    assert [e.slug for e in events if e.kind == "Estimated"] == ["reference-guided"]


def test_others_classes_are_measured_with_the_volume(project, monkeypatch):
    measured = []

    def spy(*given):
        measured.append(given)
        raise TrainingError("measured")

    other = Cohort(project.path).add(
        np.random.default_rng(1).normal(size=project.info.shape).astype(np.float32),
        ImageInfo("other", project.info.shape, project.info.spacing),
        0,
    )
    labels = np.tile(np.array([3, 5, 7, 8], np.uint8), (*project.info.shape[:2], 10))
    other.ink_store.save(labels)
    monkeypatch.setattr("napari_sslseg.training.session.measure", spy)
    with pytest.raises(TrainingError, match="measured"):
        run(project)
    assert set(measured[0][-1]) == {3, 5, 7, 8}


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"auto", "reference"}))
def test_every_preset_trains(project, preset):
    run(project, preset=preset, seconds=1, estimate=False)
    assert project.read_proposal("semsim").info["preset"] == preset


def test_one_reference_slice_is_enough_to_begin(project, truth):
    ink = project.ink_store.load()
    ink[[1, 9, 12]] = NOT_ANNOTATED
    project.ink_store.save(ink)
    events = run(project, seconds=2)
    assert "Estimated" not in {e.kind for e in events}
    assert project.read_proposal("semsim").classes.any()


def test_partial_ink_alone_is_enough_to_begin(project, truth):
    ink = project.ink_store.load()
    ink[:] = NOT_ANNOTATED
    ink[4, 12:24, 4:30] = truth[4, 12:24, 4:30]
    ink[10, 12:24, 4:30] = truth[10, 12:24, 4:30]
    project.ink_store.save(ink)
    run(project, seconds=2)
    classes = project.read_proposal("reference-guided").classes
    assert np.array_equal(classes[4, 12:24, 4:30], truth[4, 12:24, 4:30])


def test_cancelling_before_the_start_leaves_the_project_alone(project):
    control = Control()
    control.cancel()
    with pytest.raises(Cancelled):
        run_project(project.path, TrainRequest(), lambda event: None, control)
    assert project.proposal_slugs() == []


def test_a_device_that_is_not_there_is_said(project):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match="no CUDA device"):
        run(project, device="cuda")


def test_a_folder_without_a_project_is_said(tmp_path):
    with pytest.raises(TrainingError, match="not a napari-sslseg project"):
        run_project(tmp_path, TrainRequest(), lambda event: None, Control())


def test_a_network_that_has_not_learned_enough_is_not_heard(project, monkeypatch):
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 1.01)  # never enough
    events = run(project, seconds=2)
    matched = project.read_proposal("reference-guided")
    assert matched.info["second_opinion"] != "network"
    assert np.array_equal(project.read_proposal("semsim").classes, matched.classes)
    assert events[-1].recommended == "reference-guided"
    assert matched.info["shares"]["UC"] > 0.5
    told = [e for e in events if e.kind == "Estimated" and e.slug == "semsim"]
    assert told[-1].basis.witness == Witness.MATCHING


def test_each_proposal_is_compared_with_what_it_does_not_hold_already(project, monkeypatch):
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 0.0)
    run(project, seconds=2)
    told = {s: project.read_proposal(s).info["second_opinion"] for s in project.proposal_slugs()}
    assert told == {"reference-guided": "network", "semsim": "network, counting more"}
    run(project, preset="supervised", seconds=2, resume=False)
    proposal, matched = (project.read_proposal(s) for s in ("semsim", "reference-guided"))
    assert proposal.info["second_opinion"] == "matching"
    least = round(255 * DISPUTED)  # as it is stored: what is rounded to it may be either
    judged = (proposal.regions > 0) & (proposal.confidence != least)
    assert judged.any()
    differs = (proposal.classes != matched.classes) | (proposal.confidence < least)
    assert np.array_equal(proposal.regions[judged] >= 3, differs[judged])


def test_nothing_is_proposed_where_the_user_says_that_there_is_no_object(
    project, truth, ink, monkeypatch
):
    # The network is heard, however little it learns in this time.
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 0.0)
    project.extent = Extent(4, 10)
    project.save()
    events = run(project, seconds=2)
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


def weights(project: Project) -> dict[str, torch.Tensor]:
    return load_file(project.models / read_head(project.models)["weights"])


def test_one_loss_that_is_none_costs_a_step_and_no_more(project, untuned, monkeypatch):
    original, calls = Combined.losses, []

    def losses(framework, *given):
        parts = original(framework, *given)
        calls.append(1)
        return {**parts, "total": parts["total"] * torch.nan} if len(calls) == 2 else parts

    run_for = Trainer.run
    monkeypatch.setattr(Combined, "losses", losses)
    monkeypatch.setattr(Trainer, "run", lambda *given: run_for(*given, max_steps=3))
    events = run(project, seconds=2)
    assert len(calls) == 6  # three while a reference is left out, and three with all
    assert is_finite(weights(project))
    assert all(math.isfinite(e.total) for e in events if isinstance(e, Loss))
    assert {e.slug for e in events if isinstance(e, ProposalReady)} == {
        "reference-guided",
        "semsim",
    }
    assert "NetworkBroken" not in {e.kind for e in events}


@pytest.mark.parametrize("preset", ["auto", "supervised"])
def test_a_network_without_numbers_is_neither_heard_nor_kept(
    project, truth, untuned, monkeypatch, preset
):
    run(project, preset=preset, seconds=1, estimate=False)
    before, kept = read_head(project.models), weights(project)
    original = Trainer.run

    def broken(trainer, *given):
        original(trainer, *given)
        next(trainer.model.parameters()).data.fill_(torch.nan)

    monkeypatch.setattr(Trainer, "run", broken)
    events = run(project, preset=preset, seconds=1, resume=False)
    assert [e.kind for e in events if not isinstance(e, Progress)][-2:] == [
        "NetworkBroken",
        "Finished",
    ]
    assert events[-1].recommended == "reference-guided"
    assert {e.slug for e in events if isinstance(e, ProposalReady)} == {"reference-guided"}
    assert dice(project.read_proposal("reference-guided").classes, truth) > 0.85
    assert read_head(project.models) == before
    assert all(torch.equal(value, kept[name]) for name, value in weights(project).items())


def test_a_full_disk_costs_the_network_alone(project, untuned, monkeypatch):
    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device", "model.json")

    monkeypatch.setattr("napari_sslseg.training.earlier_network.save_model", full)
    events = run(project, seconds=1, estimate=False)
    assert set(project.proposal_slugs()) == {"reference-guided", "semsim"}
    assert events[-1].kind == "Finished"
    (told,) = [e for e in events if isinstance(e, NetworkUnsaved)]
    assert told.message.startswith("model.json cannot be")
    assert "the disk is full" in told.message


def test_cancelling_while_proposals_are_made_keeps_what_was_learned(project, untuned):
    control, ready = Control(watch=StepTime()), []

    def emit(event: Event) -> None:
        if isinstance(event, ProposalReady):
            ready.append(event.slug)
            if len(ready) == 2:  # the first of the last two
                control.cancel()

    with pytest.raises(Cancelled):
        run_project(project.path, TrainRequest(seconds=1), emit, control)
    assert ready == ["reference-guided"] * 2
    assert is_finite(weights(project))
