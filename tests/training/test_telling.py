"""Which proposal a run recommends, and what it says of them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.training.control import Control
from napari_sslseg.training.estimate import Estimate
from napari_sslseg.training.events import Estimated, Event, Finished
from napari_sslseg.training.facts import Basis, Witness
from napari_sslseg.training.outcome import Outcome, TaughtOutcome
from napari_sslseg.training.recipe import Recipe
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.training.run_context import RunContext
from napari_sslseg.training.session import Run
from napari_sslseg.training.telling import DOUBT, TOLERANCE, Telling
from napari_sslseg.training.whole_volume import WholeVolume
from napari_sslseg.volume.classes import ClassTable, SegmentClass

from .conftest import StepTime

EXPECT = Telling.expect
LOST, WON = Outcome(0.5, 0.8, Recipe()), Outcome(0.8, 0.5, Recipe())


def run(project, stack, monkeypatch, matching, network) -> tuple[str, dict[str, Estimated]]:
    """Run with a network that is heard, and what the confidence is to expect of both proposals."""
    monkeypatch.setattr("napari_sslseg.training.final_proposals.LEARNED", 0.0)
    given = {"reference-guided": matching, "semsim": network}
    monkeypatch.setattr(Telling, "expect", lambda self, slug, dice: EXPECT(self, slug, given[slug]))
    events: list[Event] = []
    control = Control(watch=StepTime())
    volume, request = WholeVolume(project, stack), TrainRequest("auto", 1.5)
    Run(RunContext(volume, request, events.append, control)).execute()
    told = {e.slug: e for e in events if isinstance(e, Estimated)}
    return next(e.recommended for e in events if isinstance(e, Finished)), told


def test_the_proposal_of_which_more_is_expected_is_recommended(project, stack, monkeypatch):
    matching = {3: 0.9, 5: 0.8}
    better = {3: 0.9, 5: 0.9}
    recommended, told = run(project, stack, monkeypatch, matching, better)
    assert recommended == "semsim"
    assert told["semsim"].mean > told["reference-guided"].mean
    worse = {3: 0.9, 5: 0.7}
    recommended, told = run(project, stack, monkeypatch, matching, worse)
    assert recommended == "reference-guided"
    assert told["semsim"].mean < told["reference-guided"].mean


def test_classes_of_one_name_have_estimates_of_their_own(project, stack):
    project.classes = ClassTable(
        [SegmentClass(3, "lobe", "#ffffff"), SegmentClass(5, "lobe", "#000000")]
    )
    events: list[Event] = []
    telling = Telling(project, stack.class_ids, events.append)
    found = Estimate({3: 0.6, 5: 0.8}, {3: 0.1, 5: 0.05}, 0.7, 0.64, 0.76, 2)
    telling.tell("semsim", found, Basis(Witness.LEFT_OUT, 2))
    (told,) = events
    assert isinstance(told, Estimated)
    assert told.dice == {"lobe (3)": 0.6, "lobe (5)": 0.8}
    assert told.spread == {"lobe (3)": 0.1, "lobe (5)": 0.05}


def expecting(matching: dict[int, float], network: dict[int, float]) -> Telling:
    """Return what has expectations, and nothing else."""
    telling = Telling(None, (), None)  # type: ignore[arg-type]
    telling.expect("reference-guided", matching)
    telling.expect("semsim", network)
    return telling


def test_a_little_less_may_be_expected_of_the_network_whatever_the_left_out_reference_told():
    for share, expected in ((DOUBT - 0.001, True), (DOUBT + 0.001, False)):
        telling = expecting({1: 0.9}, {1: 0.9 - share})
        assert telling.earned(LOST) == telling.earned(WON) == expected
    assert not expecting({1: 0.8}, {1: 0.9}).earned(None)


def test_only_classes_that_both_show_are_compared():
    assert expecting({1: 0.9, 2: 0.2}, {1: 0.9}).expected_of_both() == (0.9, 0.9)
    assert expecting({2: 0.2}, {1: 0.9}).expected_of_both() is None


def test_left_out_references_decide_where_the_confidence_tells_nothing_of_a_network():
    for gain, expected in ((-TOLERANCE + 0.001, True), (-TOLERANCE - 0.001, False)):
        outcome = Outcome(0.8 + gain, 0.8, Recipe())
        assert expecting({1: 0.9}, {}).earned(outcome) == expected
    # Networks that others taught are judged before they get here.
    assert expecting({1: 0.9}, {1: 0.1}).earned(TaughtOutcome(0.2, 0.8, Recipe()))


def test_errors_are_compared_by_what_is_expected():
    assert expecting({1: 0.8}, {1: 0.9}).error_ratio(LOST) == pytest.approx(0.5)
    assert expecting({1: 0.8}, {}).error_ratio(LOST) == pytest.approx(2.5)
    assert np.isfinite(expecting({1: 1.0}, {1: 0.9}).error_ratio(LOST))
