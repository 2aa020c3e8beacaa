"""Runs that learn from the other volumes of their project, and what becomes of those."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_sslseg.training import earlier_network, outcome, teaching
from napari_sslseg.training.checkpoint import load_model, read_head
from napari_sslseg.training.control import Control
from napari_sslseg.training.events import Planned
from napari_sslseg.training.facts import Basis, Others, Verdict, Witness
from napari_sslseg.training.other_references import gather
from napari_sslseg.training.outcome import TaughtOutcome
from napari_sslseg.training.recipe import ALIKE, ALIKE_TAUGHT
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import run_project
from napari_sslseg.volume.cohort import Cohort

from .balls import DEPTH, add, ball, label, make_cohort
from .conftest import StepTime


@pytest.fixture
def cohort(tmp_path):
    return make_cohort(tmp_path / "p")


def run(cohort: Cohort, **options) -> list:
    events = []
    request = TrainRequest(**{"seconds": 1, "device": "cpu", "estimate": False, **options})
    run_project(cohort.path, request, events.append, Control(watch=StepTime()))
    return events


def planned(events: list) -> list[Planned]:
    return [e for e in events if isinstance(e, Planned)]


@pytest.mark.parametrize("slices", [(3, 6, 9), (6,)])
def test_a_run_names_those_that_should_teach_and_cannot(tmp_path, slices):
    cohort = make_cohort(tmp_path / "p", slices)
    add(cohort, "empty", ball(7, 25, 25), range(DEPTH))
    add(cohort, "gone", ball(7, 24, 26), range(DEPTH))
    (cohort.open(cohort.keys[1]).path / "image.npy").write_bytes(b"")
    (cohort.open(cohort.keys[2]).path / "image.npy").unlink()
    assert planned(run(cohort))[-1].others == Others(missed=["empty", "gone"])


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

    monkeypatch.setattr(teaching, "gather", spy)
    run(hardly_labelled)
    assert len(shown[-1].labels) == DEPTH
    label(hardly_labelled.open(""), ball(6, 20, 22)[1], (3, 9))
    run(hardly_labelled)
    assert len(shown[-1].labels) < DEPTH


def test_without_others_one_reference_tells_nothing(hardly_labelled):
    events = run(hardly_labelled, others=False, estimate=True)
    assert not [e for e in events if e.kind in ("Quality", "Estimated")]
    assert read_head(hardly_labelled.open("").models)["class_ids"] == [0, 5]


@pytest.mark.parametrize("better", [False, True])
def test_an_update_takes_over_what_a_taught_network_has_said(
    cohort, monkeypatch, any_steps_do, better
):
    add(cohort, "other", ball(7, 26, 30), range(DEPTH))
    monkeypatch.setattr(TaughtOutcome, "early", False)
    monkeypatch.setattr(TaughtOutcome, "dismisses_others", not better)
    monkeypatch.setattr(TaughtOutcome, "heard", better)
    run(cohort)
    before = cohort.open("").read_proposal("semsim")

    def nobody(*given):
        raise AssertionError("the network was asked again")

    monkeypatch.setattr("napari_sslseg.training.whole_volume.predict_slices", nobody)
    run(cohort, update=True)
    after = cohort.open("").read_proposal("semsim")
    assert np.array_equal(after.classes, before.classes)
    assert after.info["recipe"]["heard"] == before.info["recipe"]["heard"]
    # With a further teacher nothing is known of the network: it would begin anew in training.
    add(cohort, "new", ball(6, 24, 22), range(DEPTH))
    run(cohort, update=True)
    assert cohort.open("").read_proposal("reference-guided").info["stage"] == "matching"
