"""The time that a run is given is kept, however slow the machine becomes meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.methods.frameworks.combined import Combined
from napari_sslseg.training.control import Control
from napari_sslseg.training.events import Event, Finished, ProposalReady
from napari_sslseg.training.facts import Witness
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.session import run_project
from napari_sslseg.training.whole_volume import WholeVolume

from .conftest import STEP, StepTime

#: Seconds that judging a proposal takes by the watch of these tests.
JUDGING = 0.1


class SlowTime(StepTime):
    """Predicting and judging take their time too, and more of it once a step or two are done."""

    def __init__(self, slice_seconds: float, slower: float) -> None:
        self.first, self.passed = StepTime.steps, 0.0
        self.slice_seconds, self.slower = slice_seconds, slower

    def now(self) -> float:
        """Return it."""
        return STEP * (StepTime.steps - self.first) + self.passed

    def spend(self, seconds: float) -> None:
        """Let time pass."""
        self.passed += seconds * (self.slower if StepTime.steps > self.first + 1 else 1)


class DisturbedTime(SlowTime):
    """Another program slows predicting for a moment, after some steps."""

    #: Steps after which it comes, when the test is over, and predictions that it slows.
    after, lasts = 40, 1

    def spend(self, seconds: float) -> None:
        """Let time pass."""
        disturbed = StepTime.steps > self.first + self.after and self.lasts > 0
        self.lasts -= disturbed
        self.passed += seconds * (self.slower if disturbed else 1)


@pytest.fixture
def timed(project, monkeypatch):
    """Run with a budget of so many seconds, where a slice takes so many, and then more."""

    def run(
        seconds: float, slice_seconds: float, slower: float = 1.0, kind: type[SlowTime] = SlowTime
    ) -> list[Event]:
        watch = kind(slice_seconds, slower)
        predict, write = Combined.predict, WholeVolume.write

        def predicted(model, images):
            watch.spend(watch.slice_seconds * len(images))
            return predict(model, images)

        def written(*given):
            watch.spend(JUDGING)
            return write(*given)

        monkeypatch.setattr(Combined, "predict", predicted)
        monkeypatch.setattr(WholeVolume, "write", written)
        events = []
        run_project(
            project.path, TrainRequest("auto", seconds), events.append, Control(watch=watch)
        )
        return events

    return run


def proposed(events: list[Event]) -> list[str]:
    return [e.slug for e in events if isinstance(e, ProposalReady)]


def test_training_ends_earlier_when_the_machine_slows(timed, monkeypatch):
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 0.0)
    # Predicting the volume takes 0.7 s at first, and 4.2 s when it is done.
    events = timed(20, 0.05, slower=6)
    (finished,) = [e for e in events if isinstance(e, Finished)]
    assert 12 < finished.seconds <= 20
    assert proposed(events)[-1] == "semsim"


def test_training_goes_on_when_what_has_slowed_the_machine_is_gone(timed, monkeypatch):
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 0.0)
    monkeypatch.setattr("napari_sslseg.training.trainer.REPORT_EVERY", 0.0)
    # For a moment proposing seems to take most of the time that is left.
    events = timed(40, 0.02, slower=50, kind=DisturbedTime)
    (finished,) = [e for e in events if isinstance(e, Finished)]
    assert 35 < finished.seconds <= 40
    assert proposed(events)[-1] == "semsim"


def test_without_time_a_learned_network_is_proposed_and_the_matching_not_judged_again(
    timed, project, monkeypatch
):
    monkeypatch.setattr("napari_sslseg.training.final_proposals.FEWEST_STEPS", 1)
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 0.0)
    events = timed(3, 0.2)
    assert proposed(events) == ["reference-guided", "semsim"]
    assert project.read_proposal("semsim").info["second_opinion"] == "network, counting more"


def test_without_time_a_network_that_has_hardly_begun_is_not_asked_for_all_slices(
    timed, project, monkeypatch
):
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 1.01)  # never enough
    monkeypatch.setattr(WholeVolume, "predict", None)
    events = timed(3, 0.2)
    assert proposed(events) == ["reference-guided", "semsim"]
    matched, repeated = (project.read_proposal(s) for s in ("reference-guided", "semsim"))
    for name in ("classes", "regions", "confidence"):
        assert np.array_equal(getattr(matched, name), getattr(repeated, name))
    assert not repeated.info["recipe"]["heard"]
    assert events[-1].recommended == "reference-guided"
    told = [e for e in events if e.kind == "Estimated" and e.slug == "semsim"]
    assert told[-1].basis.witness == Witness.MATCHING
