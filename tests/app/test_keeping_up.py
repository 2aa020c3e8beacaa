"""Proposals are made anew when a slice has become a reference, by a real trainer."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sslseg.app import keeping_up
from napari_sslseg.app.training_run import RunState
from napari_sslseg.training.events import Failed, Finished, Started
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.volume.annotation import NOT_ANNOTATED

from .conftest import put_proposal

pytestmark = pytest.mark.usefixtures("without_window", "keeps_up")


@pytest.fixture
def matched(with_proposal, until, monkeypatch):
    """Give a panel with a Reference-guided proposal as well, and a short wait for updates."""
    monkeypatch.setattr(keeping_up, "WAIT_MS", 30)
    _, panel = with_proposal
    session = panel.session
    put_proposal(session, panel.truth, until, "Reference-guided")
    panel.train.set_session(session)  # with the short wait
    return panel


@pytest.fixture
def asked(matched, monkeypatch):
    """Give the panel, and the requests that would start a trainer."""
    requests: list[TrainRequest] = []
    monkeypatch.setattr(matched.session.rounds, "begin", requests.append)
    return matched, requests


def test_an_accepted_slice_brings_new_proposals_and_leaves_the_users_work(matched, until, paint):
    session = matched.session
    rounds = len(session.project.rounds)
    shown = session.proposals["reference-guided"]
    version, dots = shown.version, np.zeros(shown.layer.data.shape[1:], bool)
    dots[2:4, 2:4] = True
    paint(shown.layer, 8, dots, 1)  # wrong, but the user's
    session.activate("reference-guided")
    session.accept_slice(4)
    ink = session.references.ink.copy()
    until(lambda: session.training.updating)
    assert matched.train.train.isEnabled()
    assert matched.top.training.text == "Updating the proposals"
    until(lambda: not session.training.busy, 120)
    until(lambda: shown.version > version)
    assert np.array_equal(session.references.ink, ink)
    inked = ink != NOT_ANNOTATED
    assert np.array_equal(shown.layer.data[inked], ink[inked])
    assert shown.layer.data[8][dots].all()
    assert "Updated in" in matched.top.training.text
    assert len(session.project.rounds) == rounds
    assert "reference-guided" in session.estimates
    assert not list(session.project.models.glob("*"))


def test_an_undone_acceptance_counts_as_well_and_strokes_do_not(asked, until, paint, qapp):
    panel, requests = asked
    session = panel.session
    paint(session.references.layer, 3, panel.truth[3] == 1, 1)
    session.accept_slice(4)
    until(lambda: len(requests) == 1)
    assert requests[0].update
    panel.train._keeping_up._on_state(RunState.STARTING)  # as if it had begun
    session.history.undo()
    until(lambda: len(requests) == 2)


def test_nothing_starts_once_it_is_switched_off_and_that_is_kept(asked, qtbot, until):
    panel, requests = asked
    session = panel.session
    assert panel.train.keep_up.isChecked()
    panel.train.keep_up.setChecked(False)
    session.accept_slice(4)
    qtbot.wait(150)
    assert requests == []
    panel.train.set_session(session)
    assert not panel.train.keep_up.isChecked()
    panel.train.keep_up.setChecked(True)
    until(lambda: panel.train._keeping_up is not None)
    session.accept_slice(5)
    until(lambda: len(requests) == 1)
    assert keeping_up.SETTING not in session.project.settings


def test_nothing_starts_along_another_axis_or_without_a_matching(asked, qtbot, paint):
    panel, requests = asked
    session = panel.session
    session.set_axis(1)
    qtbot.wait(100)
    assert requests == []
    session.set_axis(0)
    del session.shelf.layers["reference-guided"]
    session.accept_slice(4)
    qtbot.wait(100)
    assert requests == []


def test_it_stops_where_it_is_slow_until_the_next_training(asked, until, qtbot):
    panel, requests = asked
    session = panel.session
    keeper = panel.train._keeping_up
    session.training.update = True
    keeper._on_event(Started("cpu"))
    session.training.said.emit(Finished(95.0, "reference-guided"))
    assert panel.top.training.text == "Updated in 1 min 35 s; slow, so Retrain when you want it"
    assert "press Retrain" in panel.train.hint.text()
    session.accept_slice(4)
    qtbot.wait(100)
    assert requests == []
    session.training.update = False
    keeper._on_state(RunState.STARTING)
    keeper._on_state(RunState.IDLE)
    session.accept_slice(5)
    until(lambda: len(requests) == 1)


def test_nothing_starts_once_the_session_is_over(asked, qtbot):
    panel, requests = asked
    panel.session.accept_slice(4)
    panel.session.close()
    qtbot.wait(100)
    assert requests == []


@pytest.mark.parametrize("event", [Failed("No room."), Started("cpu", 10**9)])
def test_it_stops_after_a_failure_and_where_volumes_are_large(asked, qtbot, event):
    panel, requests = asked
    panel.session.training.update = True
    panel.train._keeping_up._on_event(event)
    panel.session.accept_slice(4)
    qtbot.wait(100)
    assert requests == []


def test_train_takes_the_place_of_an_update(matched, until):
    session = matched.session
    session.activate("reference-guided")
    session.accept_slice(4)
    until(lambda: session.training.updating)
    matched.train.method.value = "reference"
    matched.train.train.click()
    until(lambda: session.training.asked_for, 30)
    assert not matched.train.restart.isVisible()
    until(lambda: not session.training.busy, 120)
    assert session.project.rounds[-1]["preset"] == "reference"
    assert session.project.rounds[-1]["references"] == [1, 4, 6, 10]
