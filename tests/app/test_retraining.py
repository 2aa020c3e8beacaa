"""A new version replaces the old one when it is no worse; restarting with new ink."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from napari_sslseg.app.training_run import RunState
from napari_sslseg.training.events import Cancelled, Estimated, Finished, ProposalReady
from napari_sslseg.training.facts import Basis, Witness
from napari_sslseg.training.request import TrainRequest
from napari_sslseg.volume.annotation import NOT_ANNOTATED
from napari_sslseg.volume.proposal import Proposal

from .conftest import SHAPE

pytestmark = pytest.mark.usefixtures("without_window")

BASIS = Basis(Witness.LEFT_OUT, 2)


def estimate(dice: float) -> Estimated:
    return Estimated("semsim", {"Structure": dice}, dice, dice - 0.05, dice + 0.05, BASIS)


def write(session, classes: np.ndarray) -> ProposalReady:
    regions, confidence = np.full(SHAPE, 2, np.uint8), np.full(SHAPE, 99, np.uint8)
    proposal = Proposal("SemSim", classes.astype(np.uint8), regions, confidence)
    return ProposalReady("semsim", "SemSim", session.project.write_proposal(proposal))


@pytest.fixture
def estimated(with_proposal):
    """Give a proposal that is estimated at .90, and begin another round."""
    _, panel = with_proposal
    session = panel.session
    session.retraining.follow(estimate(0.90))
    session.retraining.begin(TrainRequest(), session.references.references())
    return panel


def test_a_better_version_is_shown_when_its_estimate_is_there(estimated, until, all_read):
    session = estimated.session
    shown = session.proposals["semsim"]
    session.retraining.follow(write(session, np.zeros(SHAPE)))
    all_read()
    assert shown.version == 1
    session.retraining.follow(estimate(0.93))
    until(lambda: shown.version == 2)
    assert not shown.layer.data.any()
    assert "0.93" in estimated.review.quality.text()
    assert estimated.review.held.text() == ""


def test_a_worse_version_is_held_back_and_shown_on_request(estimated, until, all_read):
    session = estimated.session
    shown = session.proposals["semsim"]
    session.retraining.follow(write(session, np.zeros(SHAPE)))
    session.retraining.follow(estimate(0.80))
    session.retraining.follow(Finished(1.0, "semsim"))
    all_read()
    assert shown.version == 1
    assert np.array_equal(shown.layer.data, estimated.truth)
    text = estimated.review.held.text()
    assert "0.80" in text
    assert "0.90" in text
    assert "0.90" in estimated.review.quality.text()
    estimated.review.held.linkActivated.emit("semsim")
    until(lambda: shown.version == 2)
    assert estimated.review.held.text() == ""
    assert "0.80" in estimated.review.quality.text()


@pytest.mark.parametrize("rough", ["old", "new"])
def test_a_rough_estimate_holds_nothing_back(estimated, until, rough):
    session = estimated.session
    shown = session.proposals["semsim"]
    if rough == "old":
        session.retraining.follow(replace(estimate(0.95), rough=True))
    session.retraining.follow(write(session, np.zeros(SHAPE)))
    session.retraining.follow(replace(estimate(0.80), rough=rough == "new"))
    until(lambda: shown.version == 2)
    assert "0.80" in estimated.review.quality.text()


def test_estimates_and_what_was_held_back_are_known_when_the_project_is_opened_again(
    estimated, until
):
    panel, session = estimated, estimated.session
    project = session.project
    project.proposals.write_estimate("semsim", asdict(estimate(0.90)))
    project.rounds[-1]["recommended"] = "semsim"
    session.accept_slice(4)
    session.retraining.follow(write(session, np.zeros(SHAPE)))
    project.proposals.write_estimate("semsim", asdict(estimate(0.80)))

    def again():
        panel.leave()
        until(lambda: panel.session is None)
        panel.open(project.path)
        until(lambda: panel.session is not None and "semsim" in panel.session.proposals)
        return panel.session

    session = again()  # the program ended before the estimate was told
    assert session.proposals["semsim"].version == 1
    assert "0.90" in panel.review.quality.text()
    assert "0.80" in panel.review.held.text()
    assert [s.index for s in session.accepting.corrective_dice()] == [4]
    for _ in range(2):  # the version that is shown outlives those that the trainer writes
        write(session, np.zeros(SHAPE))
    session = again()
    assert session.proposals["semsim"].version == 1
    assert np.array_equal(session.proposals["semsim"].layer.data, panel.truth)
    assert "was not tested" in panel.review.held.text()
    panel.review.held.linkActivated.emit("semsim")
    until(lambda: session.proposals["semsim"].version == 4)
    session = again()
    assert session.proposals["semsim"].version == 4
    assert session.retraining.held == {}
    # A better one that came meanwhile, in a batch, is simply shown.
    session.project.proposals.write_estimate("semsim", asdict(estimate(0.80)))
    write(session, panel.truth)
    session.project.proposals.write_estimate("semsim", asdict(estimate(0.95)))
    session = again()
    assert session.proposals["semsim"].version == 5
    assert "0.95" in panel.review.quality.text()


def test_without_an_estimate_the_new_version_is_shown_at_the_end(estimated, until):
    session = estimated.session
    session.retraining.follow(write(session, np.zeros(SHAPE)))
    session.retraining.follow(Finished(1.0, "semsim"))
    until(lambda: session.proposals["semsim"].version == 2)


def test_a_cancelled_run_leaves_the_old_version_and_offers_the_new(estimated, all_read):
    session = estimated.session
    session.retraining.follow(write(session, np.zeros(SHAPE)))
    session.retraining.follow(Cancelled())
    all_read()
    assert session.proposals["semsim"].version == 1
    assert "was not tested" in estimated.review.held.text()


def test_the_slices_that_changed_most_are_named_and_lead_there(estimated, until):
    session = estimated.session
    changed = estimated.truth.copy()
    changed[8, :10] = 1
    changed[2, :3] = 1
    session.retraining.follow(write(session, changed))
    session.retraining.follow(estimate(0.95))
    until(lambda: "changed" in estimated.review.news.text())
    text = estimated.review.news.text()
    assert text.index('href="8"') < text.index('href="2"')
    assert 'href="5"' not in text
    estimated.review.news.linkActivated.emit("8")
    assert session.references.current_slice() == 8


def test_a_new_version_never_changes_accepted_slices(estimated, until):
    session = estimated.session
    session.go_to(4)
    estimated.review.accept.click()
    ink = session.references.ink.copy()
    assert session.accepted_slices() == [4]
    session.retraining.follow(write(session, np.zeros(SHAPE)))
    session.retraining.follow(estimate(0.95))
    until(lambda: session.proposals["semsim"].version == 2)
    until(lambda: "changed" in estimated.review.news.text())
    assert 'href="4"' not in estimated.review.news.text()
    assert np.array_equal(session.references.ink, ink)
    assert session.accepted_slices() == [4]
    final = session.final_labels()
    known = ink != NOT_ANNOTATED
    assert np.array_equal(final[known], ink[known])


@pytest.fixture
def running(with_proposal, monkeypatch):
    """Give a panel that trains without a trainer."""
    _, panel = with_proposal
    run = panel.session.training
    started = []

    def launch(request):
        started.append(request)
        run._set(RunState.RUNNING)

    monkeypatch.setattr(run, "_launch", launch)

    def cancel(within=1.0):
        run._follow(Cancelled())
        run.said.emit(Cancelled())

    monkeypatch.setattr(run, "cancel", cancel)
    panel.started = started
    return panel


def test_train_pressed_while_training_runs_says_so_and_offers_to_restart(running, until, paint):
    panel, session = running, running.session
    panel.train.train.click()
    until(lambda: len(panel.started) == 1)
    assert panel.train.restart.isHidden()
    panel.train.train.click()
    assert "with all that you painted" in panel.train.again.text()
    assert panel.train.restart.isHidden(), "it would be the same run"
    assert len(panel.started) == 1
    mask = np.zeros(SHAPE[1:], bool)
    mask[3:5, 3:5] = True
    paint(session.references.layer, 2, mask, 1)
    ink = session.references.ink.copy()
    until(lambda: panel.train.again.text() == "")
    panel.review.retrain.click()
    assert "what you painted since" in panel.train.again.text()
    panel.train.go_on.click()
    assert panel.train.again.text() == ""
    panel.review.retrain.click()
    panel.train.restart.click()
    until(lambda: len(panel.started) == 2)
    assert session.training.busy
    assert panel.train.restart.isHidden()
    assert len(session.project.rounds) == 2
    assert np.array_equal(session.project.ink_store.load(), ink), "saved before the restart"
    assert not session.new_ink
