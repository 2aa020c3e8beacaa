"""An update: proposals anew from all the ink there is, and the network as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sslseg.methods.propagation import propagate
from napari_sslseg.training.control import Control
from napari_sslseg.training.events import Estimated, Event, Finished, Loss, Progress, ProposalReady
from napari_sslseg.training.kept_matching import KeptMatching
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import run_project
from napari_sslseg.training.trainer import predict_slices
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.project import Project

from .conftest import StepTime


def run(project: Project, **request) -> list[Event]:
    events: list[Event] = []
    run_project(project.path, TrainRequest(**request), events.append, Control(watch=StepTime()))
    return events


def files(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.models.iterdir()}


@pytest.fixture
def asked(monkeypatch):
    """Slices that networks were asked for."""
    slices: list[int] = []

    def ask(model, stack, wanted, *given):
        slices.extend(wanted)
        return predict_slices(model, stack, wanted, *given)

    monkeypatch.setattr("napari_sslseg.training.whole_volume.predict_slices", ask)
    return slices


@pytest.fixture
def slow_matching(monkeypatch):
    """Let matching anew take too long for an update."""
    monkeypatch.setattr("napari_sslseg.training.kept_matching.MOMENTS", -1.0)


@pytest.fixture
def heard(monkeypatch):
    """Let a network be heard however unlike the matching it is."""
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 0.0)
    monkeypatch.setattr("napari_sslseg.training.final_proposals.STILL_HEARD", 0.0)


@pytest.fixture
def one_more(project, truth):
    """Return a function that makes a slice a reference, not as proposed; it returns all the ink."""

    def ink_slice(index: int) -> np.ndarray:
        ink = project.ink_store.load()
        ink[index] = np.roll(truth[index], 3, axis=0)
        project.ink_store.save(ink)
        return ink

    return ink_slice


@pytest.mark.usefixtures("any_steps_do", "heard")
def test_the_network_is_heard_as_it_is_and_nothing_is_trained(project, one_more, monkeypatch):
    run(project, seconds=2)
    # Now it would be too unlike the matching, had it not been heard before.
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 1.01)
    before, network = (
        {s: project.read_proposal(s) for s in project.proposal_slugs()},
        files(project),
    )
    ink = one_more(7)
    events = run(project, update=True, seconds=2)
    assert files(project) == network
    assert not [e for e in events if isinstance(e, Loss)]
    assert {e.seconds_left for e in events if isinstance(e, Progress)} == {None}
    shown = [e.slug for e in events if isinstance(e, ProposalReady)]
    assert shown[0] == "reference-guided"  # it is there first
    assert shown[-1] == "semsim"
    inked = ink != NOT_ANNOTATED
    for slug, old in before.items():
        new = project.read_proposal(slug)
        assert np.array_equal(new.classes[inked], ink[inked])
        changed = (new.classes != old.classes).any(axis=(1, 2))
        assert changed[[6, 8]].all()  # beside the new reference, too
    kinds = [type(e) for e in events]
    assert kinds.index(Estimated) > max(i for i, k in enumerate(kinds) if k is ProposalReady)
    assert [e.slug for e in events if isinstance(e, Estimated)] == ["reference-guided", "semsim"]
    assert all(project.read_proposal(s).info["estimate"] for s in before)
    assert isinstance(events[-1], Finished)
    assert project.read_proposal("semsim").info["recipe"]["heard"]


def test_without_a_network_the_matching_alone_is_renewed(project, one_more):
    run(project, preset="reference")
    one_more(7)
    events = run(project, update=True)
    assert [e.slug for e in events if isinstance(e, ProposalReady)] == ["reference-guided"]
    assert not list(project.models.glob("*"))


def test_what_stands_for_a_network_that_has_hardly_begun_is_renewed_with_it(project, one_more):
    run(project, seconds=2)  # too few steps to be gone on from
    before = project.read_proposal("semsim")
    assert before.info["recipe"]["heard"] is False
    one_more(7)
    run(project, update=True)
    matched, after = (project.read_proposal(s) for s in ("reference-guided", "semsim"))
    assert np.array_equal(after.classes, matched.classes)
    assert not np.array_equal(after.classes, before.classes)


@pytest.mark.usefixtures("any_steps_do", "heard")
def test_what_the_network_has_said_is_not_asked_again_while_it_would_say_the_same(
    project, one_more, asked
):
    run(project, seconds=2)
    before = project.read_proposal("semsim")
    asked.clear()
    run(project, update=True)  # nothing is new
    assert np.array_equal(project.read_proposal("semsim").classes, before.classes)
    one_more(7)
    run(project, update=True)
    assert asked == []
    (project.kept / "prediction.safetensors").unlink()
    taken_over = project.read_proposal("semsim")
    run(project, update=True)
    assert asked == list(range(14))
    assert np.array_equal(project.read_proposal("semsim").classes, taken_over.classes)
    run(project, update=True)
    assert len(asked) == 14  # it was kept again


@pytest.mark.usefixtures("any_steps_do", "heard")
def test_a_network_that_went_on_learning_is_asked_anew(project, one_more, asked):
    run(project, seconds=2)
    one_more(7)
    run(project, seconds=2)
    newer = project.read_proposal("semsim")
    asked.clear()
    run(project, update=True)
    assert asked == []  # as that was kept in place of the other
    assert np.array_equal(project.read_proposal("semsim").classes, newer.classes)


@pytest.mark.usefixtures("slow_matching")
def test_an_update_takes_over_what_was_matched_and_training_does_not(project, stack, one_more):
    run(project, preset="reference")
    right = project.read_proposal("reference-guided").classes
    empty = propagate(stack.inked_volume())
    empty.probabilities[:] = torch.tensor([1.0, 0, 0])[:, None, None]
    KeptMatching(project, stack).keep(empty, 60.0)
    one_more(7)
    run(project, preset="reference", update=True)
    shown = project.read_proposal("reference-guided").classes.any(axis=(1, 2))
    assert set(np.flatnonzero(shown)) == {1, 5, 6, 7, 8, 9, 12}  # ink, and beside the new one
    run(project, preset="reference")
    anew = project.read_proposal("reference-guided").classes
    assert anew.any(axis=(1, 2)).all()
    assert (anew[[2, 3, 4]] == right[[2, 3, 4]]).mean() > 0.99


@pytest.mark.usefixtures("slow_matching")
def test_ink_that_is_taken_back_brings_back_what_was_proposed(project, one_more):
    run(project, preset="reference")
    before = project.read_proposal("reference-guided").classes
    ink = one_more(7)
    run(project, preset="reference", update=True)
    assert not np.array_equal(project.read_proposal("reference-guided").classes, before)
    ink[7] = NOT_ANNOTATED
    project.ink_store.save(ink)
    run(project, preset="reference", update=True)
    assert np.array_equal(project.read_proposal("reference-guided").classes, before)
