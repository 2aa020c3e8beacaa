"""A run that waits for the save of the ink it needs."""

from __future__ import annotations

import pytest

from napari_sslseg.app.training_run import RunState
from napari_sslseg.training.events import Cancelled
from napari_sslseg.training.request import TrainRequest

pytestmark = pytest.mark.usefixtures("without_window")

REQUEST = TrainRequest(preset="auto", seconds=5.0, device="cpu")


def test_a_prepared_run_is_busy_and_cancelling_it_starts_nothing(with_proposal):
    _, panel = with_proposal
    training = panel.session.training
    said = []
    training.said.connect(said.append)
    training.prepare(REQUEST)
    assert training.state is RunState.STARTING
    with pytest.raises(RuntimeError, match="already running"):
        training.prepare(REQUEST)
    training.cancel()
    assert not training.busy
    assert [type(event) for event in said] == [Cancelled]
    training.start_prepared()
    assert not training.busy


def test_training_starts_after_the_ink_is_on_disk(with_proposal, paint, until, monkeypatch):
    _, panel = with_proposal
    session = panel.session
    launched = []
    monkeypatch.setattr(
        session.training, "_launch", lambda request: launched.append(session.project.all_ink())
    )
    mask = panel.truth[3] == 1
    paint(session.references.layer, 3, mask, 1)
    session.train(REQUEST)
    assert session.training.busy
    until(lambda: bool(launched))
    assert (launched[0][3][mask] == 1).all()
    session.training.abandon()


def test_a_failed_save_says_so_and_starts_nothing(with_proposal, until, monkeypatch):
    _, panel = with_proposal
    session = panel.session

    def full(ink):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(session.project.ink_store, "save", full)
    heard = []
    session.trouble.connect(heard.append)
    session.train(REQUEST)
    until(lambda: bool(heard))
    assert "No space left" in heard[0]
    until(lambda: not session.training.busy)
    monkeypatch.undo()
